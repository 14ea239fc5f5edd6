package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/gate"
	"earshot/listen"
)

// AppOptions are the options of an App. Gate, Book, Trusted and Outward are required.
type AppOptions struct {
	Gate       *gate.Gate
	Book       *listen.Book
	Trusted    func(*http.Request) netip.Addr // the client's address
	Outward    func(*http.Request) string     // the edge as the client reaches it: scheme://host
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: nothing is counted
}

// App answers apps, under /api/v1/ on the players' addresses: who plays what, for how many devices at once a user may, and an end to it.
// Documents are JSON:API's, errors too. It is safe for concurrent use.
//
// A client has a bearer token: an app's own, which is for all users, or the JWT of one user, which is for his own sessions. No cookies are looked
// at, so that any page's script may ask, if it has a token.
type App struct {
	opt     AppOptions
	metrics *appMetrics
	ways    []way

	readers *limiters[netip.Addr] // what addresses send where no token is needed
	apps    *limiters[string]
	users   *limiters[string]
}

// How often the API may be asked (docs/api.md).
const (
	appRate, appBurst       = 1000, 2000 // per second, of an app's token: its backend speaks for all its users
	userRate, userBurst     = 200. / 60, 50
	readerRate, readerBurst = 5, 50 // per address
)

const api = "/api/v1"

// way is one method of one path.
type way struct {
	method, path string
	name         string // of what it does, in metrics
	open         bool   // no token is asked for
	serve        func(a *App, c *call) *fault
}

// call is a request on its way.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	names []string // of its path
	app   gate.App
}

func (c *call) ctx() context.Context { return c.r.Context() }

// NewApp makes an App. It panics if the Registerer has its collectors already.
func NewApp(opt AppOptions) *App {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	const all, one = api + "/users/{user_id}/media_play_sessions", api + "/users/{user_id}/media_play_sessions/{id}"
	return &App{opt: opt, metrics: newAppMetrics(opt.Registerer), ways: []way{
		{method: http.MethodGet, path: all, name: "list", serve: (*App).list},
		{method: http.MethodPost, path: all, name: "make", serve: (*App).post},
		{method: http.MethodGet, path: one, name: "show", serve: (*App).show},
		{method: http.MethodPatch, path: one, name: "keep", serve: (*App).patch},
		{method: http.MethodPut, path: one, name: "put", serve: (*App).put},
		{method: http.MethodDelete, path: one, name: "stop", serve: (*App).stopOfUser},
		{method: http.MethodDelete, path: api + "/media_play_sessions/{id}", name: "stop", serve: (*App).stop},
		{method: http.MethodGet, path: api + "/openapi.json", name: "openapi", open: true, serve: (*App).openAPI},
	}, readers: newLimiters[netip.Addr](readerRate, readerBurst), apps: newLimiters[string](appRate, appBurst), users: newLimiters[string](userRate, userBurst)}
}

// ServeHTTP answers one request.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	name, f := a.serve(status, r)
	if f != nil {
		a.fail(status, r, f)
	}
	a.metrics.answered(name, status.status, time.Since(began))
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (a *App) serve(w http.ResponseWriter, r *http.Request) (name string, f *fault) {
	var methods []string
	c := &call{w: w, r: r}
	var found *way
	for i := range a.ways {
		wy := &a.ways[i]
		names, ok := match(wy.path, r.URL.EscapedPath())
		if !ok {
			continue
		}
		methods = append(methods, wy.method)
		if answers(wy.method, r.Method) {
			found, c.names = wy, names
		}
	}
	switch {
	case methods == nil:
		return "other", &fault{status: http.StatusNotFound, code: "not-found", detail: "no such path; " + api + "/openapi.json describes those there are"}
	case r.Method == http.MethodOptions:
		preflight(w, r, allow(methods)+", OPTIONS")
		return "options", nil
	case found == nil:
		return "other", &fault{status: http.StatusMethodNotAllowed, code: "method-not-allowed", allow: allow(methods) + ", OPTIONS",
			detail: "this path answers " + allow(methods)}
	case found.open:
		if wait := a.readers.take(gate.Address(a.opt.Trusted(r))); wait > 0 {
			return found.name, tooFast("too many requests from this address", wait)
		}
	default:
		if c.app, f = a.caller(r); f != nil {
			return found.name, f
		}
	}
	return found.name, found.serve(a, c)
}

// preflight answers a browser that asks whether a page's script may ask.
func preflight(w http.ResponseWriter, r *http.Request, methods string) {
	h := w.Header()
	h.Set("Allow", methods)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Terminate")
		h.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}

// caller is who asks. What he sends too much is limited by the token; what is sent without one that holds the gate limits by address.
func (a *App) caller(r *http.Request) (gate.App, *fault) {
	app, err := a.opt.Gate.App(r.Context(), r.Header.Get("Authorization"), a.opt.Trusted(r))
	if err != nil {
		return gate.App{}, faultOf(err)
	}
	wait := time.Duration(0)
	if app.User == "" {
		wait = a.apps.take(app.Name)
	} else {
		wait = a.users.take(app.User)
	}
	if wait > 0 {
		return gate.App{}, tooFast("too many requests with this token", wait)
	}
	return app, nil
}
