// Package admin is the control plane: what operators and their monitoring ask of an edge. It answers on an address of
// its own, never on the one that players use.
//
// All but one thing here only reads: DELETE of a listener ends his connections. What changes something is never done for
// another site's page (guard.go). Nothing holds a lock while it walks the sessions, and a list costs the memory of one
// page, however many sessions there are, so that whoever watches an edge does not disturb who listens to it.
//
// Times are RFC 3339 in UTC, durations seconds, bytes exact. Errors are problem+json (RFC 9457) with a stable "code".
package admin

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// Options of a Handler. Book, Table, Gatherer and Registerer are required.
type Options struct {
	Book       *listen.Book
	Table      *session.Table
	Relay      *relay.Relay          // nil: the lists say nothing of the sources of mounts
	Mounts     []Mount               // are listed whether anybody has asked for them or not
	Gatherer   prometheus.Gatherer   // what /metrics shows
	Registerer prometheus.Registerer // takes the collectors of build, Go runtime and process; should feed Gatherer
	Checks     []Check               // what /readyz asks
	Token      string                // bearer token; empty: none is asked for. /metrics, /healthz and /readyz never ask
	Version    string
	Log        *slog.Logger
}

// Handler answers operators. It is safe for concurrent use.
type Handler struct {
	book    *listen.Book
	table   *session.Table
	relay   *relay.Relay
	mounts  map[string]string // paths by key
	version string
	log     *slog.Logger
	guard   guard
	ready   *readiness
	routes  map[string]route
	named   []parametric // tried in order, after routes
	index   []route      // in the order shown
}

// route is one path, answered to GET and HEAD, or to the one method that it has.
type route struct {
	Method string `json:"method,omitempty"` // that changes something; empty: the path is only read
	Path   string `json:"path"`
	About  string `json:"about"`
	open   bool   // no token is asked for
	serve  func(http.ResponseWriter, *http.Request) *problem
}

// New makes a Handler. It panics if the Registerer has the collectors already: there is one Handler per registry.
func New(opt Options) *Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	register(opt.Registerer, opt.Version)
	h := &Handler{book: opt.Book, table: opt.Table, relay: opt.Relay, version: opt.Version, guard: newGuard(opt.Token), log: opt.Log,
		ready: newReadiness(opt.Checks, opt.Log), routes: make(map[string]route), mounts: make(map[string]string)}
	for _, m := range opt.Mounts {
		h.mounts[m.Key] = m.Path
	}
	h.index = []route{
		{Path: "/", About: "this list", serve: h.serveIndex},
		{Path: "/metrics", About: "Prometheus metrics", open: true, serve: plain(metricsHandler(opt.Gatherer, opt.Log))},
		{Path: "/healthz", About: "200 while the process lives", open: true, serve: serveHealth},
		{Path: "/readyz", About: "200 when the edge can serve, else 503, and what is not ready", open: true, serve: h.ready.serve},
		{Path: "/admin/v1/listeners", About: "listeners now, by stream and kind, and the sources of mounts; ?limit= ?after=", serve: h.serveListeners},
		{Path: "/admin/v1/sessions", About: "sessions; ?stream= ?kind= ?user= ?ip= ?limit= ?after=", serve: h.serveSessions},
		{Path: "/admin/v1/streams", About: "ICY streams; ?limit= ?after=", serve: h.serveStreams},
		{Path: profiles, About: "profiles of the running process, for go tool pprof", serve: serveProfile},
	}
	for _, rt := range h.index {
		h.routes[rt.Path] = rt
	}
	h.named = []parametric{
		{route{Path: "/admin/v1/streams/{stream}", About: "one of them: titles, what its source says of itself, what is held"}, h.serveStream},
		{route{Path: "/admin/v1/streams/{stream}/listeners", About: "who hears it; ?limit= ?after="}, h.serveStreamListeners},
		{route{Path: "/admin/v1/streams/{stream}/listeners/{session}", About: "ends the connections of that session", Method: http.MethodDelete}, h.kick},
	}
	for _, rt := range h.named {
		h.index = append(h.index, rt.route)
	}
	return h
}

// Drain makes /readyz answer 503 from now on, so that balancers send no more listeners.
func (h *Handler) Drain() { h.ready.draining.Store(true) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if p := h.serve(w, r); p != nil {
		p.write(w)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) *problem {
	rt, ok := h.find(r.URL)
	if !rt.open {
		if p := h.guard.check(r); p != nil {
			return p
		}
	}
	if !ok {
		return notFound()
	}
	if p := rt.allows(r); p != nil {
		return p
	}
	if rt.Method != "" {
		if p := h.guard.checkChange(r); p != nil {
			return p
		}
	}
	return rt.serve(w, r)
}

// allows refuses the methods that a path does not have.
func (rt *route) allows(r *http.Request) *problem {
	switch {
	case rt.Method == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead), rt.Method != "" && r.Method == rt.Method:
		return nil
	case rt.Method != "":
		return &problem{Status: http.StatusMethodNotAllowed, Code: "method-not-allowed",
			Detail: "this path is not read: ask with " + rt.Method, header: "Allow", value: rt.Method}
	}
	return &problem{Status: http.StatusMethodNotAllowed, Code: "method-not-allowed",
		Detail: "this path is only read: ask with GET or HEAD", header: "Allow", value: "GET, HEAD"}
}

func (h *Handler) find(u *url.URL) (rt route, ok bool) {
	path := u.Path
	if strings.HasPrefix(path, profiles) {
		path = profiles
	}
	if rt, ok = h.routes[path]; ok {
		return rt, true
	}
	for i := range h.named {
		named := &h.named[i]
		if names, ok := named.match(u.EscapedPath()); ok {
			rt := named.route
			rt.serve = func(w http.ResponseWriter, r *http.Request) *problem { return named.serveNamed(w, r, names) }
			return rt, true
		}
	}
	return route{}, false
}

func (h *Handler) serveIndex(w http.ResponseWriter, _ *http.Request) *problem {
	writeJSON(w, http.StatusOK, struct {
		Service string  `json:"service"`
		Version string  `json:"version"`
		Routes  []route `json:"routes"`
	}{"earshot", h.version, h.index})
	return nil
}

func serveHealth(w http.ResponseWriter, _ *http.Request) *problem {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // fails when the client has gone: nobody is left to tell
	return nil
}

// plain makes a route of a handler that writes its own errors.
func plain(h http.Handler) func(http.ResponseWriter, *http.Request) *problem {
	return func(w http.ResponseWriter, r *http.Request) *problem {
		h.ServeHTTP(w, r)
		return nil
	}
}
