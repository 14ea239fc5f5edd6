package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"earshot/gate"
	"earshot/session"
)

// torn is a live table that fails.
type torn struct {
	session.Live
	err error
}

func (b *torn) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	if b.err != nil {
		return session.Answer{}, b.err
	}
	return b.Live.Claim(ctx, c)
}

func (b *torn) Seats(ctx context.Context, user string, id session.ID, limit int) ([]session.Seat, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.Live.Seats(ctx, user, id, limit)
}

func (b *torn) Usage(ctx context.Context, after string, limit int) ([]session.Usage, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.Live.Usage(ctx, after, limit)
}

var errFire = errors.New("disk on fire")

// situation is one in which every operation that documents a status answers it.
type situation struct {
	status int
	h      http.Handler
	query  string // of requests without a body
	body   string
	kind   string // of the body
	bearer string
	host   string
	name   string // of everything in paths; empty: x
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// arises asks for each operation that documents the situation's status.
func (d *description) arises(t *testing.T, s situation) {
	t.Helper()
	asked := 0
	for form, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Responses.Status(s.status) == nil {
				continue
			}
			asked++
			if rec := d.in(s, method, form, op); rec.Code != s.status {
				t.Errorf("%s %s: %d, want %d: %s", method, form, rec.Code, s.status, rec.Body)
			}
		}
	}
	if asked == 0 {
		t.Errorf("nothing documents %d", s.status)
	}
}

func (d *description) in(s situation, method, form string, op *openapi3.Operation) *httptest.ResponseRecorder {
	name, body, query := s.name, s.body, s.query
	if name == "" {
		name = "x"
	}
	if op.RequestBody == nil {
		body = ""
	} else if body == "" {
		body = map[string]string{"/admin/v1/bans": `{"user":"x","for":"1h"}`, "/admin/v1/blackouts": `{"id":"y","streams":["*"]}`}[form]
	}
	if body != "" {
		query = ""
	}
	path := d.prefix + placeholder.ReplaceAllString(form, name) + query
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:9", "127.0.0.1:8081"
	if s.host != "" {
		r.Host = s.host
	}
	if s.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		if s.kind != "" {
			r.Header.Set("Content-Type", s.kind)
		}
	}
	rec := httptest.NewRecorder()
	d.watched(s.h).ServeHTTP(rec, r)
	return rec
}

// Each status that the operators' document names for an operation comes when it says so.
func TestOperatorStatuses(t *testing.T) {
	live := &torn{Live: session.NewMemory(100)}
	d := newDesk(t, gate.Options{Live: live})
	h := d.Handler
	closed := newEdge(Options{Gate: d.gate, Token: "the-operators-own-token"}).Handler
	busy := newEdge(Options{Gate: d.gate}).Handler
	busy.guard.flood = newLimiters[netip.Addr](0.001, 1)
	busy.ServeHTTP(httptest.NewRecorder(), local("GET", "/"))
	operators.arises(t, situation{status: 401, h: closed})
	operators.arises(t, situation{status: 403, h: h, host: "evil.example"})
	operators.arises(t, situation{status: 429, h: busy})
	for _, s := range []situation{{status: 400, query: "?nothing=1", body: "{"}, {status: 413, body: `{"user":"` + long(maxBody) + `"}`}, {status: 415, body: "{}", kind: "text/plain"}, {status: 422, body: `{"nothing":1}`}} {
		s.h = h
		operators.arises(t, s)
	}
	if _, err := d.gate.Ban(t.Context(), gate.Ban{ID: "x", User: "u", Until: time.Now().Add(time.Hour)}, ""); err != nil {
		t.Fatal(err)
	}
	d.want(201, "POST", "/admin/v1/blackouts", `{"id":"x","streams":["*"]}`)
	h.Drain() // for /readyz
	for status, err := range map[int]error{500: errFire, 503: fmt.Errorf("%w: %w", session.ErrLive, errFire)} {
		live.err, d.kept.err = err, err
		operators.arises(t, situation{status: status, h: h})
	}
}

// So it does for apps.
func TestAppStatuses(t *testing.T) {
	live := &torn{Live: session.NewMemory(100)}
	h := newHouse(t, gate.Options{Live: live, OnLiveError: gate.LiveDeny})
	apps.arises(t, situation{status: 401, h: h.app})
	apps.arises(t, situation{status: 403, h: h.app, bearer: userToken(t, "another"), body: "{}", name: "one"}) // also of what is too many: TestAppTooMany
	apps.arises(t, situation{status: 400, h: h.app, bearer: appToken, query: "?page[size]=0", body: "{"})
	apps.arises(t, situation{status: 413, h: h.app, bearer: appToken, body: `{"service":"` + long(maxBody) + `"}`})
	apps.arises(t, situation{status: 415, h: h.app, bearer: appToken, body: "<x/>", kind: "application/xml"})
	apps.arises(t, situation{status: 422, h: h.app, bearer: appToken, body: "{}", name: "%ff"})
	live.err = errFire
	apps.arises(t, situation{status: 500, h: h.app, bearer: appToken, body: `{"id":"x"}`})
	live.err = errGone
	apps.arises(t, situation{status: 503, h: h.app, bearer: appToken, body: `{"id":"x"}`})
	h.app.readers, h.app.apps = newLimiters[netip.Addr](0.001, 1), newLimiters[string](0.001, 1)
	for range 2 {
		h.ask("GET", "/api/v1/openapi.json", "", "from", "127.0.0.1:9")
		h.ask("GET", annsPath, "")
	}
	apps.arises(t, situation{status: 429, h: h.app, bearer: appToken, body: "{}"})
}

// What the documents promise of an operation beyond what the situations above bring about.
func TestAppStatusesOfOne(t *testing.T) {
	h := newHouse(t, gate.Options{})
	h.want(201, "PUT", annsPath+"/x", `{"device_type":"stb"}`)
	h.refused(404, "not-found", "POST", "/api/v1/users/bob/media_play_sessions", `{"id":"x"}`)
	h.refused(409, "device-type-conflict", "POST", annsPath, `{"id":"x","device_type":"phone"}`)
	if n, err := h.gate.End(t.Context(), "x"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	h.refused(410, "ended", "POST", annsPath, `{"id":"x"}`)
	for range 2 {
		h.refused(410, "ended", "DELETE", annsPath+"/x", "")
	}
	h.want(201, "PUT", annsPath+"/y", "")
	h.want(204, "DELETE", annsPath+"/y", "")
	h.refused(404, "not-found", "DELETE", annsPath+"/y", "")
	h.want(201, "PUT", annsPath+"/y", "") // it was released, and may begin again
}
