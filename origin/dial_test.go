package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]reach{
		"93.184.216.34": public, "2606:2800:220:1::1": public, "::ffff:93.184.216.34": public, "64:ff9b::5db8:d822": public,
		"127.0.0.1": private, "10.1.2.3": private, "172.16.0.1": private, "192.168.0.1": private, "100.64.0.1": private, "198.18.0.1": private,
		"::1": private, "fc00::1": private, "::ffff:10.0.0.1": private, "64:ff9b::7f00:1": private, "64:ff9b:1::1": private, "::127.0.0.1": private,
		"2002:7f00:1::": private, "2001::1": private, "fec0::1": private,
		"0.0.0.0": nowhere, "0.1.2.3": nowhere, "::": nowhere, "169.254.169.254": nowhere, "::ffff:169.254.169.254": nowhere,
		"64:ff9b::a9fe:a9fe": nowhere, "fe80::1%eth0": nowhere, "224.0.0.1": nowhere, "ff02::1": nowhere, "255.255.255.255": nowhere, "240.0.0.1": nowhere,
	} {
		if got := reachOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestCheck tells the story of names and of the addresses that they lead to, one after the other.
func TestCheck(t *testing.T) {
	t.Parallel()
	d := newDialer(&Options{Origins: []Named{{URL: "http://inside/x/"}, {URL: "https://Outside.example:8443/${ch}/"}, {URL: "http://split/"}}},
		NewHosts([]Host{{Name: "split", Private: true}, {Name: "cdn.lan:8080", Private: true}}))
	for _, step := range []struct {
		name, port, to string
		ok             bool
	}{
		{"inside", "80", "10.0.0.1:80", true}, {"inside", "80", "127.0.0.1:80", true},
		{"inside", "80", "169.254.169.254:80", false}, {"inside", "80", "0.0.0.0:80", false}, {"inside", "80", "[fe80::1%lo]:80", false},
		{"inside", "80", "10.0.0.1:80", true},
		{"outside.example", "8443", "192.0.2.1:8443", true}, {"outside.example", "8443", "192.0.2.2:8443", true},
		{"outside.example", "8443", "127.0.0.1:8443", false}, {"OUTSIDE.example.", "80", "[::ffff:10.0.0.1]:80", false},
		{"outside.example", "8443", "192.0.2.1:8443", true},
		{"split", "80", "192.0.2.1:80", true}, {"split", "80", "10.0.0.1:80", true}, {"split", "80", "169.254.0.1:80", false},
		{"cdn.example", "443", "192.0.2.1:443", true}, {"cdn.example", "443", "10.0.0.1:443", false}, {"cdn.other", "443", "[::1]:443", false},
		{"cdn.lan", "8080", "10.0.0.1:8080", true}, {"cdn.lan", "8081", "10.0.0.1:8081", false},
		{"localhost", "80", "127.0.0.1:80", true}, {"localhost", "80", "10.0.0.1:80", false},
	} {
		if err := d.check(step.name, step.port, step.to); (err == nil) != step.ok || err != nil && !errors.Is(err, errAddress) {
			t.Errorf("%s:%s at %s: %v", step.name, step.port, step.to, err)
		}
	}
}

// names is a name server that answers each question for an IPv4 address with what the test says by then.
type names struct {
	mu sync.Mutex
	at map[string]string
}

func (n *names) set(name, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at[name+"."] = address
}

func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	n.at = make(map[string]string)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(n.answer(buf[:size]), from)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer is a DNS message (RFC 1035, 4) with the question and one A record, or none.
func (n *names) answer(question []byte) []byte {
	var name strings.Builder
	at := 12
	for size := int(question[at]); size > 0; size = int(question[at]) {
		name.Write(question[at+1 : at+1+size])
		name.WriteByte('.')
		at += 1 + size
	}
	end := at + 5
	n.mu.Lock()
	to, err := netip.ParseAddr(n.at[strings.ToLower(name.String())])
	n.mu.Unlock()
	found := err == nil && question[at+2] == 1
	m := append([]byte{}, question[:end]...)
	copy(m[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if found {
		m[7] = 1
		m = append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		m = append(m, to.AsSlice()...)
	}
	return m
}

// TestRebinding: an origin's name is resolved and dialled for real. Once it has led to a public address it leads to no private one.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var n names
	c, base := serve(t, Options{Resolver: n.resolver(t), HeaderTimeout: 2 * time.Second, ConnectTimeout: 200 * time.Millisecond},
		func(w http.ResponseWriter, r *http.Request) {
			if to := r.URL.Query().Get("to"); to != "" {
				http.Redirect(w, r, to, http.StatusFound)
			}
		})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(host string) error {
		c.fetcher.transports[0].CloseIdleConnections()
		src := Source{URLs: []string{strings.Replace(host, "PORT", u.Port(), 1)}, Follow: anywhere}
		resp, cancel, err := c.do(t.Context(), http.MethodGet, src, nil)
		if err == nil {
			resp.Body.Close()
			cancel()
		}
		return err
	}
	n.set("radio.test", "127.0.0.1")
	if err := fetch("http://radio.test:PORT/"); err != nil {
		t.Errorf("an origin at a private address: %v", err)
	}
	n.set("radio.test", "0.0.0.0")
	if err := fetch("http://radio.test:PORT/"); !errors.Is(err, errAddress) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("at no address: %v", err)
	}
	n.set("radio.test", "192.0.2.1") // nobody is there
	if err := fetch("http://radio.test:PORT/"); err == nil || errors.Is(err, errAddress) {
		t.Errorf("at a public address: %v", err)
	}
	n.set("radio.test", "127.0.0.1")
	if err := fetch("http://radio.test:PORT/"); !errors.Is(err, errAddress) {
		t.Errorf("rebound: %v", err)
	}
	n.set("cdn.test", "127.0.0.1")
	to := url.QueryEscape(fmt.Sprintf("http://cdn.test:%s/", u.Port()))
	if err := fetch(base + "/?to=" + to); !errors.Is(err, errAddress) {
		t.Errorf("redirected to a private address by name: %v", err)
	}
	if err := fetch(base + "/?to=" + url.QueryEscape(base+"/")); err != nil {
		t.Errorf("redirected to an address: %v", err)
	}
}
