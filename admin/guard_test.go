package admin

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Without a token this host alone is answered, by a name that is its own; but for monitoring.
func TestGuardWithoutToken(t *testing.T) {
	for _, c := range []struct {
		name, path, from, host string
		status                 int
		code                   string
	}{
		{"plain", "/admin/v1/sessions", "127.0.0.1:9", "127.0.0.1:8081", 200, ""},
		{"localhost", "/admin/v1/sessions", "[::1]:9", "LocalHost:8081", 200, ""},
		{"mapped", "/admin/v1/sessions", "[::ffff:127.0.0.1]:9", "[::1]:8081", 200, ""},
		{"name that leads here", "/admin/v1/sessions", "127.0.0.1:9", "evil.example:8081", 403, "cross-site"},
		{"name that leads here, the index", "/", "127.0.0.1:9", "evil.example:8081", 403, "cross-site"},
		{"name that leads here, a profile", "/debug/pprof/cmdline", "127.0.0.1:9", "evil.example:8081", 403, "cross-site"},
		{"name that leads here, nothing", "/nothing", "127.0.0.1:9", "localhost.evil.example", 403, "cross-site"},
		{"name that looks like an address", "/", "127.0.0.1:9", "127.0.0.1.evil.example:8081", 403, "cross-site"},
		{"no host", "/", "127.0.0.1:9", "", 403, "cross-site"},
		{"from elsewhere", "/admin/v1/sessions", "192.0.2.7:9", "10.0.0.1:8081", 401, "token-required"},
		{"from elsewhere, as localhost", "/", "192.0.2.7:9", "localhost", 401, "token-required"},
		{"from nowhere", "/", "@", "localhost", 401, "token-required"},
		{"metrics", "/metrics", "192.0.2.7:9", "edge.example", 200, ""},
		{"health", "/healthz", "192.0.2.7:9", "edge.example", 200, ""},
		{"readiness", "/readyz", "192.0.2.7:9", "edge.example", 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdge(Options{})
			r := httptest.NewRequest("GET", c.path, nil)
			r.RemoteAddr, r.Host = c.from, c.host
			rec := httptest.NewRecorder()
			e.ServeHTTP(rec, r)
			if c.status == 200 {
				if rec.Code != 200 {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
				return
			}
			wantProblem(t, rec.Result(), rec.Body.String(), c.status, c.code)
		})
	}
}

// A form of another page has no JSON, and a script of one is refused, whatever it sends.
func TestGuardOfBodies(t *testing.T) {
	h := newEdge(Options{}).Handler
	h.guard = newGuard("")
	for _, c := range []struct {
		kind, origin string
		status       int
	}{
		{"text/plain", "", 415}, {"application/x-www-form-urlencoded", "", 415}, {"multipart/form-data; boundary=x", "", 415}, {"", "", 415},
		{"application/json", "http://evil.example", 403}, {"application/json", "null", 403}, {"application/json", "http://127.0.0.1:8081", 0}, {"application/json; charset=utf-8", "", 0},
	} {
		r := local("POST", "/admin/v1/bans")
		r.Header.Set("Content-Type", c.kind)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		p := h.guard.checkChange(r)
		if got := status(p); got != c.status {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func status(p *problem) int {
	if p == nil {
		return 0
	}
	return p.Status
}

// Who guesses is told to slow down; a right token is never refused for it, at the same address either.
func TestGuardAgainstGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(Options{Token: "s3cret"})
		ask := func(from, token string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/admin/v1/sessions", nil)
			r.RemoteAddr = from
			r.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			e.Handler.ServeHTTP(rec, r)
			return rec
		}
		for i := range guessBurst {
			if rec := ask("192.0.2.7:9", fmt.Sprint(i)); rec.Code != 401 {
				t.Fatalf("guess %d: %d", i, rec.Code)
			}
		}
		for range 3 * floodBurst {
			rec := ask("192.0.2.7:10", "more")
			if rec.Header().Get("Retry-After") != "1" {
				t.Fatalf("%d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
			}
			wantProblem(t, rec.Result(), rec.Body.String(), 429, "rate-limited")
		}
		for _, from := range []string{"192.0.2.7:10", "192.0.2.8:9"} {
			if rec := ask(from, "s3cret"); rec.Code != 200 {
				t.Errorf("the right one, from %s: %d", from, rec.Code)
			}
		}
		if rec := ask("192.0.2.8:9", "more"); rec.Code != 401 {
			t.Errorf("a wrong one from elsewhere: %d", rec.Code)
		}
		time.Sleep(time.Second)
		if rec := ask("192.0.2.7:9", "more"); rec.Code != 401 {
			t.Errorf("a second later: %d", rec.Code)
		}
		answered := 0
		for range 2 * floodBurst { // who has it is not without bounds
			if ask("192.0.2.7:9", "s3cret").Code == 200 {
				answered++
			}
		}
		if answered != floodBurst {
			t.Errorf("%d answered", answered)
		}
	})
}

func TestGuardAgainstFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newEdge(Options{}).Handler
		answered := 0
		for range 3 * floodBurst {
			if p := h.guard.check(local("GET", "/")); p == nil {
				answered++
			} else if p.Status != 429 || p.header != "Retry-After" {
				t.Fatalf("%+v", p)
			}
		}
		if answered != floodBurst {
			t.Errorf("%d answered", answered)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, local("GET", "/metrics"))
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), "earshot_build_info") {
			t.Errorf("monitoring is shut out: %d", rec.Code)
		}
	})
}

func TestLimitersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiters[netip.Addr](1, 2)
		at := func(i int) netip.Addr {
			return netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		}
		for i := range 3 * maxLimiters {
			if l.take(at(i)) != 0 {
				t.Fatalf("the first of %d", i)
			}
		}
		if n := len(l.now) + len(l.old); n > 2*maxLimiters {
			t.Errorf("%d are held", n)
		}
		one := at(3*maxLimiters - 1)
		if l.take(one) != 0 || l.take(one) != time.Second || l.take(one) != time.Second {
			t.Error("what is refused costs something, or nothing is refused")
		}
		for range 10 { // over the turns of generations
			time.Sleep(time.Second)
			if l.take(one) != 0 || l.take(one) == 0 {
				t.Error("not one a second")
			}
		}
	})
}
