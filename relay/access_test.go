package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestAccess: what an origin needs goes to it, and not to another that it redirects to.
func TestAccess(t *testing.T) {
	second := newOrigin(t, answer("ICY 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", mp3(10)))
	first := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, "HTTP/1.0 302 Found\r\nLocation: %s\r\n\r\n", second.url("/new"))
	})
	r := newRelay(t, Options{UserAgent: "edge", Access: func(u *url.URL) Access {
		if strings.Contains(first.url("/"), u.Host) {
			return Access{Username: "me", Password: "pass", Header: http.Header{"X-Token": {"secret"}, "User-Agent": {"other"}}}
		}
		return Access{}
	}})
	open(t, r.Hub(Mount{Key: "k", Origins: []string{first.url("/old"), second.url("/new")}}))
	if got := first.requests[0]; !strings.Contains(got, "\r\nAuthorization: Basic bWU6cGFzcw==\r\n") || !strings.Contains(got, "\r\nX-Token: secret\r\n") ||
		strings.Count(got, "User-Agent: ") != 1 || !strings.Contains(got, "\r\nUser-Agent: other\r\n") || !strings.Contains(got, "\r\nIcy-MetaData: 1\r\n") {
		t.Errorf("the first was asked %q", got)
	}
	if got := second.requests[0]; strings.Contains(got, "Authorization") || strings.Contains(got, "X-Token") || !strings.Contains(got, "\r\nUser-Agent: edge\r\n") {
		t.Errorf("the second was asked %q", got)
	}
}

// TestAccessRoots: an origin's certificate may come from roots of its own.
func TestAccessRoots(t *testing.T) {
	cert, roots := selfSigned(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	o := serveOn(t, ln, answer(fmt.Sprintf(icecastHead, 0), mp3(10)))
	r := newRelay(t, Options{Access: func(*url.URL) Access { return Access{Roots: roots} }})
	open(t, r.Hub(Mount{Key: "k", Origins: []string{"https://" + o.ln.Addr().String() + "/"}}))
}

func TestMayFollow(t *testing.T) {
	d := dialer{origins: []string{"http://icecast:8000/a.mp3", "http://spare/a.mp3", "https://secure/a.mp3"}}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"http://icecast:8000/", "http://icecast:8000/b", true}, {"http://icecast:8000/", "http://ICECAST/b", true}, {"http://icecast:8000/", "https://icecast/b", true},
		{"http://icecast:8000/", "http://icecast:22/b", false}, {"http://icecast:8000/", "http://spare:8000/b", false}, {"http://icecast:8000/", "http://spare:80/b", true},
		{"http://icecast:8000/", "https://secure/b", true}, {"https://secure/", "http://secure/b", false}, {"https://secure/", "http://spare/b", false},
		{"http://spare/", "http://other/", false}, {"http://spare/", "ftp://spare/", false},
	} {
		from, err := url.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.mayFollow(from, to); got != c.want {
			t.Errorf("from %s to %s: %v", from, to, got)
		}
	}
}

// TestMovedPort: an origin does not lead the edge to what else listens on its host.
func TestMovedPort(t *testing.T) {
	other := newOrigin(t, answer("ICY 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", mp3(10)))
	o := newOrigin(t, func(c net.Conn, _ int) { fmt.Fprintf(c, "HTTP/1.0 302 Found\r\nLocation: %s\r\n\r\n", other.url("/")) })
	_, err := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}}).Open(context.Background())
	var failure *UpstreamError
	if !errors.As(err, &failure) || failure.Outcome != BadMove {
		t.Errorf("%v", err)
	}
}
