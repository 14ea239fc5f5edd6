// Package admin is the control plane: what operators and their monitoring ask of an edge. It answers on an address of
// its own, never on the one that players use.
//
// Everything here only reads. Nothing holds a lock while it walks the sessions, and a list costs the memory of one
// page, however many sessions there are, so that whoever watches an edge does not disturb who listens to it.
//
// Times are RFC 3339 in UTC, durations seconds, bytes exact. Errors are problem+json (RFC 9457) with a stable "code".
package admin

import (
	"log/slog"
	"net/http"
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
	version string
	guard   guard
	ready   *readiness
	routes  map[string]route
	index   []route // in the order shown
}

// route is one path, answered to GET and HEAD.
type route struct {
	Path  string `json:"path"`
	About string `json:"about"`
	open  bool   // no token is asked for
	serve func(http.ResponseWriter, *http.Request) *problem
}

// New makes a Handler. It panics if the Registerer has the collectors already: there is one Handler per registry.
func New(opt Options) *Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	register(opt.Registerer, opt.Version)
	h := &Handler{book: opt.Book, table: opt.Table, relay: opt.Relay, version: opt.Version, guard: newGuard(opt.Token),
		ready: newReadiness(opt.Checks, opt.Log), routes: make(map[string]route)}
	h.index = []route{
		{"/", "this list", false, h.serveIndex},
		{"/metrics", "Prometheus metrics", true, plain(metricsHandler(opt.Gatherer, opt.Log))},
		{"/healthz", "200 while the process lives", true, serveHealth},
		{"/readyz", "200 when the edge can serve, else 503, and what is not ready", true, h.ready.serve},
		{"/admin/v1/listeners", "listeners now, by stream and kind, and the sources of mounts; ?limit= ?after=", false, h.serveListeners},
		{"/admin/v1/sessions", "sessions; ?stream= ?kind= ?user= ?ip= ?limit= ?after=", false, h.serveSessions},
		{profiles, "profiles of the running process, for go tool pprof", false, serveProfile},
	}
	for _, rt := range h.index {
		h.routes[rt.Path] = rt
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
	rt, ok := h.find(r.URL.Path)
	if !rt.open {
		if p := h.guard.check(r); p != nil {
			return p
		}
	}
	if !ok {
		return notFound()
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &problem{Status: http.StatusMethodNotAllowed, Code: "method-not-allowed",
			Detail: "this path is only read: ask with GET or HEAD", header: "Allow", value: "GET, HEAD"}
	}
	return rt.serve(w, r)
}

func (h *Handler) find(path string) (rt route, ok bool) {
	if strings.HasPrefix(path, profiles) {
		path = profiles
	}
	rt, ok = h.routes[path]
	return rt, ok
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
