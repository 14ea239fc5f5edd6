package origin

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestFor(t *testing.T) {
	t.Parallel()
	hosts := NewHosts([]Host{{Name: "cdn.example", Username: "plain"}, {Name: "CDN.example:443", Username: "exact"}, {Name: "packager:8000", Username: "port"},
		{Name: "[2001:db8::1]", Username: "six"}})
	for text, want := range map[string]string{
		"http://cdn.example/": "plain", "http://cdn.example:80/": "plain", "https://CDN.example/": "exact", "https://cdn.example:443/": "exact",
		"http://cdn.example:8080/": "", "http://packager:8000/": "port", "http://packager/": "", "https://[2001:DB8::1]/": "six", "http://cdn.example.evil/": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := hosts.For(u).Username; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestSecrets: what is configured for a host goes to that host alone, on the first request and on every hop.
func TestSecrets(t *testing.T) {
	t.Parallel()
	said := make(chan string, 10)
	report := func(name, to string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			said <- fmt.Sprintf("%s: %s:%s %s %s%s%s", name, user, password, r.Header.Get("X-Token"), r.Header.Get("Range"), r.Header.Get("Referer"), r.Header.Get("Cookie"))
			w.Header().Set("Set-Cookie", "a=b")
			if to != "" {
				http.Redirect(w, r, to, http.StatusFound)
			}
		}))
		t.Cleanup(s.Close)
		return s
	}
	last := report("last", "")
	middle := report("middle", last.URL)
	first := report("first", middle.URL+"/?secret=1")
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	c := New(Options{Hosts: []Host{
		{Name: host(first), Username: "a", Password: "b", Header: http.Header{"X-Token": {"one"}}},
		{Name: host(last), Header: http.Header{"X-Token": {"three"}}},
	}})
	t.Cleanup(c.Close)
	for range 2 {
		resp, cancel, err := c.do(t.Context(), http.MethodGet, Source{URLs: []string{first.URL + "/"}, Follow: anywhere}, http.Header{"Range": {"r"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		cancel()
		if resp.Request.Header.Get("X-Token") != "" {
			t.Error("the answer holds the secret")
		}
		for _, want := range []string{"first: a:b one r", "middle: :  r", "last: : three r"} {
			if got := <-said; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

// secure is an origin on TLS with a certificate of its own.
func secure(t *testing.T, f http.HandlerFunc) (s *httptest.Server, roots []byte) {
	t.Helper()
	s = httptest.NewUnstartedServer(f)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// TestTLS: certificates are verified, with the roots of that host; HTTP/2 is spoken where it is offered; no redirect leads out of TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "plain") }))
	t.Cleanup(plain.Close)
	s, cert := secure(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/out" {
			http.Redirect(w, r, plain.URL, http.StatusFound)
			return
		}
		fmt.Fprint(w, r.Proto)
	})
	roots, err := Roots(cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Roots([]byte("none")); err == nil {
		t.Error("roots of nothing")
	}
	name := strings.TrimPrefix(s.URL, "https://")
	c := New(Options{Hosts: []Host{{Name: name, Roots: roots, ConnectTimeout: time.Second}}})
	t.Cleanup(c.Close)
	resp, cancel, err := c.do(t.Context(), http.MethodGet, one(s.URL+"/x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "HTTP/2.0" {
		t.Errorf("%q, %v", body, err)
	}
	resp.Body.Close()
	cancel()
	if _, _, err := c.do(t.Context(), http.MethodGet, Source{URLs: []string{s.URL + "/out"}, Follow: anywhere}, nil); !errors.Is(err, ErrRedirect) {
		t.Errorf("out of TLS: %v", err)
	}
	stranger := New(Options{})
	t.Cleanup(stranger.Close)
	for range 2 {
		if _, _, err := stranger.do(t.Context(), http.MethodGet, one(s.URL+"/x"), nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("an unknown certificate: %v", err)
		}
	}
	if _, _, err := stranger.do(t.Context(), http.MethodGet, one(strings.Replace(plain.URL, "http:", "https:", 1)+"/x"), nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no TLS at all: %v", err)
	}
}

// TestTransports: hosts share connections' settings where they agree.
func TestTransports(t *testing.T) {
	t.Parallel()
	_, cert := secure(t, nil)
	a, err := Roots(cert)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Roots(cert)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Hosts: []Host{{Name: "a", Roots: a}, {Name: "b", Roots: b}, {Name: "c", Username: "x"}, {Name: "d", ConnectTimeout: time.Second}}})
	t.Cleanup(c.Close)
	if n := len(c.fetcher.transports); n != 3 {
		t.Errorf("%d transports", n)
	}
}
