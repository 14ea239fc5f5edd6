package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/gate"
	"earshot/session"
)

// Who may see and change what.
func TestAppTokens(t *testing.T) {
	h := newHouse(t, gate.Options{})
	ann, bob := "Bearer "+userToken(t, "ann"), "bearer  "+userToken(t, "bob")
	const bobs = "/api/v1/users/bob/media_play_sessions"
	mine := h.want(201, "POST", annsPath, "", "Authorization", ann)
	his := h.want(201, "POST", bobs, "", "Authorization", bob)
	for _, one := range []struct{ method, path string }{{"GET", bobs}, {"POST", bobs}, {"GET", bobs + "/" + his.id()}, {"PATCH", bobs + "/" + his.id()},
		{"PUT", bobs + "/" + his.id()}, {"DELETE", bobs + "/" + his.id()}, {"PUT", bobs + "/new"}} {
		h.refused(403, "not-allowed", one.method, one.path, "", "Authorization", ann)
	}
	h.refused(404, "not-found", "DELETE", "/api/v1/media_play_sessions/"+his.id(), "", "Authorization", ann)
	h.refused(404, "not-found", "GET", annsPath+"/"+his.id(), "", "Authorization", ann)
	h.refused(404, "not-found", "PUT", annsPath+"/"+his.id(), "", "Authorization", ann)
	h.want(200, "GET", bobs+"/"+his.id(), "")
	h.want(204, "DELETE", "/api/v1/media_play_sessions/"+mine.id(), "", "Authorization", ann)
	h.want(204, "DELETE", "/api/v1/media_play_sessions/"+his.id(), "")
	altered := userToken(t, "ann")
	altered = altered[:len(altered)-10] + "AAAAAAAAAA"
	for _, c := range []struct{ field, code string }{
		{"", "token-required"}, {appToken, "token-required"}, {"Basic " + appToken, "token-required"},
		{"Bearer", "token-invalid"}, {"Bearer " + appToken + "x", "token-invalid"}, {"Bearer " + altered, "token-invalid"},
		{"Bearer " + strings.Repeat("a", 9000), "token-invalid"},
	} {
		a := h.refused(401, c.code, "GET", annsPath, "", "Authorization", c.field)
		if got := a.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="earshot"`) || strings.Contains(got, "invalid_token") != (c.code == "token-invalid") {
			t.Errorf("%q: %q", c.field, got)
		}
	}
}

// Where a device is, it shows; only a server is believed where its users are.
func TestAppAddresses(t *testing.T) {
	h := newHouse(t, gate.Options{})
	const forged = `{"ip4_address":"198.51.100.9"}`
	ann := "Bearer " + userToken(t, "ann")
	own := h.want(201, "POST", annsPath, forged, "Authorization", ann, "User-Agent", "Phone/1", "from", "[2001:db8::5]:9")
	if own.attribute("ip6_address") != "2001:db8::5" || own.attribute("ip4_address") != nil || own.attribute("user_agent") != "Phone/1" {
		t.Errorf("%s", own.Body)
	}
	if a := h.want(200, "PATCH", annsPath+"/"+own.id(), forged, "Authorization", ann); a.attribute("ip4_address") != nil {
		t.Errorf("%s", a.Body)
	}
	apps := h.want(201, "POST", annsPath, forged, "User-Agent", "backend/1")
	if apps.attribute("ip4_address") != "198.51.100.9" || apps.attribute("user_agent") != "" {
		t.Errorf("%s", apps.Body)
	}
	if a := h.want(201, "POST", annsPath, ""); a.attribute("ip4_address") != nil || a.attribute("ip6_address") != nil {
		t.Errorf("a server's address is taken for a listener's: %s", a.Body)
	}
}

// A page's script may ask, and read what it is answered.
func TestAppInBrowsers(t *testing.T) {
	h := newHouse(t, gate.Options{})
	all := map[string]string{
		annsPath:                        "GET, HEAD, POST, OPTIONS",
		annsPath + "/x":                 "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
		"/api/v1/media_play_sessions/x": "DELETE, OPTIONS",
		"/api/v1/openapi.json":          "GET, HEAD, OPTIONS",
	}
	for path, methods := range all {
		a := h.want(204, "OPTIONS", path, "", "Authorization", "", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT")
		for field, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": methods,
			"Access-Control-Allow-Headers": "Authorization, Content-Type, X-Terminate", "Access-Control-Allow-Credentials": "", "Allow": methods} {
			if got := a.Header().Get(field); got != want {
				t.Errorf("%s: %s %q, want %q", path, field, got, want)
			}
		}
		a = h.refused(405, "method-not-allowed", "BREW", path, "")
		if a.Header().Get("Allow") != methods || a.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v", path, a.Header())
		}
	}
	for _, a := range []answer{h.ask("GET", annsPath, ""), h.ask("GET", annsPath, "", "Authorization", ""), h.ask("POST", annsPath, "")} {
		if a.Header().Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header().Get("Access-Control-Expose-Headers"), "Location") ||
			a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d: %v", a.Code, a.Header())
		}
	}
	a := h.want(200, "HEAD", annsPath, "")
	if a.Body.Len() != 0 {
		t.Errorf("%s", a.Body)
	}
}

// One of a household guesses, or has a token that is over and asks again and again: right ones are never refused for it.
func TestAppSharedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Options{})
		wrong := userToken(t, "ann")
		wrong = wrong[:len(wrong)-9] + "AAAAAAAAA"
		ask := func(user, bearer string) int {
			r := httptest.NewRequest("GET", "/api/v1/users/"+user+"/media_play_sessions", nil)
			r.Header.Set("Authorization", "Bearer "+bearer)
			rec := httptest.NewRecorder()
			h.app.ServeHTTP(rec, r)
			return rec.Code
		}
		for range 60 {
			ask("ann", wrong)
		}
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for range 500 {
					if status := ask("ann", wrong); status != 429 {
						t.Errorf("a wrong one: %d", status)
					}
				}
			})
		}
		for i := range 40 {
			user := fmt.Sprint("user-", i)
			if mine, apps := ask(user, userToken(t, user)), ask(user, appToken); mine != 200 || apps != 200 {
				t.Errorf("right ones: %d, %d", mine, apps)
			}
		}
		all.Wait()
	})
}

// One token's flood is nobody else's.
func TestAppRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Options{})
		ann, bob := "Bearer "+userToken(t, "ann"), "Bearer "+userToken(t, "bob")
		flood := func(n int, fields ...string) (answered int) {
			for range n {
				a := h.ask("GET", annsPath, "", fields...)
				if a.Code != 429 {
					answered++
				} else if a.Header().Get("Retry-After") == "" || a.Header().Get("Retry-After") == "0" {
					t.Errorf("Retry-After %q", a.Header().Get("Retry-After"))
				}
			}
			return answered
		}
		if n := flood(80, "Authorization", ann); n != 50 {
			t.Errorf("%d of a user's", n)
		}
		h.refused(429, "rate-limited", "GET", annsPath, "", "Authorization", ann)
		h.want(200, "GET", "/api/v1/users/bob/media_play_sessions", "", "Authorization", bob)
		for range 2000 - 10 { // a backend's PATCHes for its users
			if wait := h.app.apps.take("app"); wait > 0 {
				t.Fatal("an app's token is limited", wait)
			}
		}
		if n := flood(20); n != 10 {
			t.Errorf("%d of an app's", n)
		}
		time.Sleep(10 * time.Millisecond)
		if n := flood(20); n != 10 {
			t.Errorf("%d of an app's in 10 ms", n)
		}
		time.Sleep(time.Minute)
		if n := flood(80, "Authorization", ann); n != 50 {
			t.Errorf("%d of a user's a minute later", n)
		}
		time.Sleep(3 * time.Second)
		if n := flood(80, "Authorization", ann); n != 10 {
			t.Errorf("%d of a user's three seconds later", n)
		}
		if n := flood(80, "Authorization", "Bearer guess", "from", "[2001:db8::1]:9"); n != 50 {
			t.Errorf("%d guesses", n)
		}
		reads := 0
		for range 80 {
			if h.ask("GET", "/api/v1/openapi.json", "", "Authorization", "").Code == 200 {
				reads++
			}
		}
		if reads != 50 {
			t.Errorf("%d reads of the document", reads)
		}
		for _, token := range []string{"Bearer guess", "", "Basic x", "Bearer", ann[:len(ann)-9] + "AAAAAAAAA"} {
			if n := flood(1, "Authorization", token, "from", "[2001:db8::2]:9"); n != 0 {
				t.Errorf("%q from the same /64 is answered", token)
			}
		}
		h.want(401, "GET", annsPath, "", "Authorization", "Bearer guess", "from", "[2001:db8:1::2]:9")
		time.Sleep(time.Minute)
	})
}

var errGone = fmt.Errorf("%w: dial tcp 10.1.2.3:6379: connection refused", session.ErrLive)

// outage is a live table that cannot be reached.
type outage struct{ session.Live }

func (outage) Claim(_ context.Context, _ *session.Claim) (session.Answer, error) {
	return session.Answer{}, errGone
}
func (outage) Seats(_ context.Context, _ string, _ session.ID, _ int) ([]session.Seat, error) {
	return nil, errGone
}

func TestAppWithoutTable(t *testing.T) {
	for policy, status := range map[gate.LiveError]int{gate.LiveAllow: 201, gate.LiveDeny: 503} {
		h := newHouse(t, gate.Options{Live: outage{session.NewMemory(10)}, OnLiveError: policy})
		if a := h.want(status, "POST", annsPath, ""); status == 503 && a.Header().Get("Retry-After") == "" {
			t.Errorf("%v", a.Header())
		}
		a := h.refused(503, "unavailable", "GET", annsPath, "")
		if strings.Contains(a.Body.String(), "10.1.2.3") || a.Header().Get("Retry-After") == "" {
			t.Errorf("%v %s", a.Header(), a.Body)
		}
	}
}

// What may be asked for without an id may be asked for with one: a session that cannot be looked up is as the app says it is.
func TestAppKeepsWithoutTable(t *testing.T) {
	for _, policy := range []gate.LiveError{gate.LiveAllow, gate.LiveLast, gate.LiveDeny} {
		h := newHouse(t, gate.Options{Live: outage{session.NewMemory(10)}, OnLiveError: policy, Many: true})
		const body = `{"service":"live","device_type":"stb"}`
		for _, ask := range [][2]string{{"PUT", annsPath + "/mine"}, {"POST", annsPath}} {
			said := body
			if ask[0] == "POST" {
				said = `{"id":"mine","service":"live","device_type":"stb"}`
			}
			if policy == gate.LiveDeny {
				h.refused(503, "edge-full", ask[0], ask[1], said)
				continue
			}
			a := h.want(201, ask[0], ask[1], said)
			if a.id() != "mine" || a.attribute("service") != "live" || a.attribute("device_type") != "stb" || !strings.HasSuffix(a.Header().Get("Location"), "/ann/media_play_sessions/mine") {
				t.Errorf("%s: %v %s", policy, a.Header(), a.Body)
			}
		}
		if a := h.want(200, "PATCH", annsPath+"/mine", body); a.id() != "mine" || a.attribute("service") != "live" {
			t.Errorf("%s: %s", policy, a.Body)
		}
		h.want(204, "OPTIONS", annsPath+"/mine", "")
	}
}

// A table that hangs is not waited for.
func TestAppWithHangingTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Options{Live: hanging{session.NewMemory(10)}, Many: true})
		for _, ask := range [][2]string{{"PUT", "201"}, {"PATCH", "200"}} {
			began := time.Now()
			if a := h.ask(ask[0], annsPath+"/mine", `{}`); fmt.Sprint(a.Code) != ask[1] {
				t.Errorf("%s: %d %s", ask[0], a.Code, a.Body)
			}
			if took := time.Since(began); took > time.Second/2 {
				t.Errorf("%s: after %v", ask[0], took)
			}
		}
	})
}

// hanging is a live table that does not answer.
type hanging struct{ session.Live }

func (hanging) Claim(ctx context.Context, _ *session.Claim) (session.Answer, error) {
	<-ctx.Done()
	return session.Answer{}, ctx.Err()
}
func (hanging) Seats(ctx context.Context, _ string, _ session.ID, _ int) ([]session.Seat, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAppMetrics(t *testing.T) {
	h := newHouse(t, gate.Options{})
	h.ask("POST", annsPath, "")
	h.ask("GET", annsPath+"/none", "")
	h.ask("GET", "/api/v1/../x", "")
	rec := httptest.NewRecorder()
	metricsHandler(h.reg, slog.New(slog.DiscardHandler)).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	for _, want := range []string{`earshot_api_requests_total{operation="make",status="201"} 1`, `earshot_api_requests_total{operation="other",status="404"} 1`,
		`earshot_api_requests_total{operation="show",status="404"} 1`, `earshot_api_request_duration_seconds_count{operation="make"} 1`} {
		if !strings.Contains(rec.Body.String(), "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, rec.Body)
		}
	}
}

// A client that holds a body back is not waited for, and one that was slow and came in time keeps his connection.
func TestAppSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Options{})
		near, far := net.Pipe()
		conns := make(pipe, 1)
		conns <- near
		srv := &http.Server{Handler: NewApp(AppOptions{Gate: h.gate, Book: h.book, Trusted: func(*http.Request) netip.Addr { return netip.Addr{} },
			Outward: func(*http.Request) string { return "http://edge.example" }})}
		go srv.Serve(conns)
		defer srv.Close()
		defer close(conns)
		head := "POST " + annsPath + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + appToken + "\r\nContent-Length: 18\r\n\r\n"
		ask := func(pause time.Duration) (int, time.Duration) {
			began := time.Now()
			go func() {
				io.WriteString(far, head+`{"service"`)
				time.Sleep(pause)
				io.WriteString(far, `:"live"}`)
			}()
			resp, err := http.ReadResponse(bufio.NewReader(far), nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			return resp.StatusCode, time.Since(began)
		}
		for range 2 {
			if status, took := ask(bodyTime - time.Second); status != 201 || took != bodyTime-time.Second {
				t.Errorf("%d after %v", status, took)
			}
			time.Sleep(2 * bodyTime)
		}
		if status, took := ask(time.Hour); status != 400 || took != bodyTime {
			t.Errorf("%d after %v", status, took)
		}
		far.Close()
		time.Sleep(time.Hour) // the one that held it back goes, too
	})
}

// pipe is a listener of connections that there are.
type pipe chan net.Conn

func (p pipe) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipe) Close() error { return nil }

func (p pipe) Addr() net.Addr { return &net.TCPAddr{} }
