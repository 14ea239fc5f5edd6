package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// proxiedRoad is a road behind a proxy; trusted says whether it is one.
func proxiedRoad(t *testing.T, trusted string, within time.Duration) (r *road, rejected func() float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	r = newRoad(t, nil)
	r.opt.Trusted = TrustedProxies{Prefixes: []netip.Prefix{netip.MustParsePrefix(trusted)}, Header: "X-Forwarded-For"}
	r.opt.Metrics = NewMetrics(registry)
	r.wrap = func(l net.Listener, p *Proxy) net.Listener {
		return listener{l, limits{take: TakeWithin, header: within}, p}
	}
	r.cold()
	return r, func() (n float64) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "earshot_proxy_headers_rejected_total" {
					n += m.GetCounter().GetValue()
				}
			}
		}
		return n
	}
}

// send writes text to a new connection, in pieces with time between them, and asks for a segment. It returns what came, empty if nothing did.
func (r *road) send(header ...string) (answer string) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	for i, piece := range header {
		if i > 0 {
			time.Sleep(50 * time.Millisecond)
		}
		io.WriteString(c, piece)
	}
	io.WriteString(c, "GET /news/0.ts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != segmentSize {
		r.t.Errorf("%d bytes, %v", n, err)
	}
	return resp.Status
}

const sigV2 = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2 with this command.
func v2(command byte, extra int) string {
	addresses := "\xcb\x00\x71\x09\xc0\x00\x02\x01\x9c\x40\x01\xbb" // 203.0.113.9:40000 to 192.0.2.1:443
	length := len(addresses) + extra
	return sigV2 + string([]byte{0x20 | command, 0x11, byte(length >> 8), byte(length)}) + addresses + strings.Repeat("\x00", extra)
}

const v1 = "PROXY TCP4 203.0.113.9 192.0.2.1 40000 443\r\n"

// TestHeaders: who a listener is, by what the proxy says of him and whether the proxy is believed.
func TestHeaders(t *testing.T) {
	const trusted, stranger, peer, said = "127.0.0.0/8", "10.0.0.0/8", "127.0.0.1", "203.0.113.9"
	for name, c := range map[string]struct {
		trusted string
		header  []string
		want    string // address; empty: the connection is closed
	}{
		"v1":                {trusted, []string{v1}, said},
		"v1, a stranger":    {stranger, []string{v1}, peer},
		"v1, IPv6":          {trusted, []string{"PROXY TCP6 2001:db8::9 2001:db8::1 40000 443\r\n"}, "2001:db8::9"},
		"v1, unknown":       {trusted, []string{"PROXY UNKNOWN\r\n"}, peer},
		"v2":                {trusted, []string{v2(1, 0)}, said},
		"v2, a stranger":    {stranger, []string{v2(1, 0)}, peer},
		"v2, local":         {trusted, []string{v2(0, 0)}, peer},
		"v2 in pieces":      {trusted, []string{v2(1, 0)[:7], v2(1, 0)[7:20], v2(1, 0)[20:]}, said},
		"v2, 3 KB of more":  {trusted, []string{v2(1, 3072)}, said},
		"v2, 60 KB of more": {trusted, []string{v2(1, 60000)}, ""},
		"none":              {trusted, nil, ""},
		"nonsense":          {trusted, []string{"PROXY TCP4 somewhere\r\n"}, ""},
		"without an end":    {trusted, []string{"PROXY TCP4 " + strings.Repeat("1", 200)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, rejected := proxiedRoad(t, c.trusted, headerWithin)
			answer := r.send(c.header...)
			if c.want == "" {
				if answer != "" || r.book.Len() != 0 {
					t.Errorf("answered: %s, %d sessions", answer, r.book.Len())
				}
				if rejected() != 1 {
					t.Error("it is not counted")
				}
				return
			}
			if answer != "200 OK" {
				t.Fatalf("answered: %q", answer)
			}
			if s := r.heard(); s.Who.IP != c.want || s.Bytes != segmentSize {
				t.Errorf("%s, %d bytes; want %s", s.Who.IP, s.Bytes, c.want)
			}
		})
	}
}

// TestSlowHeader: those who do not send their header are closed in time; meanwhile nobody waits for them.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	const within = 3 * time.Second // longer than a busy machine stands still
	r, rejected := proxiedRoad(t, "127.0.0.0/8", within)
	var slow []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "\r\n\r\n")
		slow = append(slow, c)
	}
	began := time.Now()
	if answer := r.send(v1); answer != "200 OK" {
		t.Errorf("another: %q", answer)
	}
	if took := time.Since(began); took > within {
		t.Errorf("another waited %v", took)
	}
	for _, c := range slow {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
			t.Errorf("it is still open: %v", err)
		}
	}
	if n := rejected(); n != 20 {
		t.Errorf("%v counted", n)
	}
}
