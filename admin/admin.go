// Package admin is the control plane: what operators, their monitoring, and apps ask of an edge.
//
// [Handler] answers operators, on an address of its own, never on the one that players use. What it changes is never done for
// another site's page, nor shown to one (guard.go). Nothing holds a lock while it walks the sessions, and a list costs the memory of one
// page, however many sessions there are, so that whoever watches an edge does not disturb who listens to it. Times are RFC 3339 in UTC,
// durations seconds, bytes exact. Errors are problem+json (RFC 9457) with a stable "code".
//
// [App] answers apps, under /api/v1/ on the players' addresses.
//
// Both are described by OpenAPI documents in openapi/, which are served; a test holds them against the code, both ways.
package admin

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/gate"
	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// Options of a Handler. Book, Table, Gatherer and Registerer are required.
type Options struct {
	Book       *listen.Book
	Table      *session.Table
	Gate       *gate.Gate            // nil: what needs it is not there
	Relay      *relay.Relay          // nil: the lists say nothing of the sources of mounts
	Mounts     []Mount               // are listed whether anybody has asked for them or not
	Gatherer   prometheus.Gatherer   // what /metrics shows
	Registerer prometheus.Registerer // takes the collectors of build, Go runtime and process; should feed Gatherer
	Checks     []Check               // what /readyz asks
	Token      string                // bearer token; empty: this host alone is answered. /metrics, /healthz and /readyz answer everybody
	Version    string
	Log        *slog.Logger
}

// Handler answers operators. It is safe for concurrent use.
type Handler struct {
	book    *listen.Book
	table   *session.Table
	gate    *gate.Gate
	relay   *relay.Relay
	mounts  map[string]string // paths by key
	version string
	log     *slog.Logger
	guard   guard
	ready   *readiness
	routes  []route // in the order shown
}

// route is one method of one path.
type route struct {
	Method string `json:"method,omitempty"` // empty: GET, and HEAD
	Path   string `json:"path"`
	About  string `json:"about"`
	open   bool   // everybody is answered
	serve  func(w http.ResponseWriter, r *http.Request, names []string) *problem
}

func (rt *route) method() string { return cmp.Or(rt.Method, http.MethodGet) }

// changes tells whether it does more than to show something.
func (rt *route) changes() bool { return rt.Method != "" }

// New makes a Handler. It panics if the Registerer has the collectors already: there is one Handler per registry.
func New(opt Options) *Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	register(opt.Registerer, opt.Version)
	h := &Handler{book: opt.Book, table: opt.Table, gate: opt.Gate, relay: opt.Relay, version: opt.Version, guard: newGuard(opt.Token), log: opt.Log,
		ready: newReadiness(opt.Checks, opt.Log), mounts: make(map[string]string)}
	for _, m := range opt.Mounts {
		h.mounts[m.Key] = m.Path
	}
	h.routes = []route{
		{Path: "/", About: "this list", serve: plain(h.serveIndex)},
		{Path: "/metrics", About: "Prometheus metrics", open: true, serve: handler(metricsHandler(opt.Gatherer, opt.Log))},
		{Path: "/healthz", About: "200 while the process lives", open: true, serve: plain(serveHealth)},
		{Path: "/readyz", About: "200 when the edge can serve, else 503, and what is not ready", open: true, serve: plain(h.ready.serve)},
		{Path: "/admin/v1/openapi.json", About: "this API, as an OpenAPI 3.1 document", serve: plain(serveOpenAPI)},
		{Path: "/admin/v1/listeners", About: "listeners now, by stream and kind, and the sources of mounts; ?limit= ?after=", serve: plain(h.serveListeners)},
		{Path: "/admin/v1/sessions", About: "sessions heard here; ?id= ?stream= ?kind= ?user= ?ip= ?address= ?limit= ?after=", serve: plain(h.serveSessions)},
		{Path: "/admin/v1/streams", About: "ICY streams; ?limit= ?after=", serve: plain(h.serveStreams)},
		{Path: "/admin/v1/streams/{stream}", About: "one of them: titles, what its source says of itself, what is held", serve: h.serveStream},
		{Path: "/admin/v1/streams/{stream}/listeners", About: "who hears it; ?limit= ?after=", serve: h.serveStreamListeners},
		{Path: "/admin/v1/streams/{stream}/listeners/{session}", About: "ends the connections of that session", Method: http.MethodDelete, serve: h.kick},
	}
	if h.gate != nil {
		h.routes = append(h.routes, h.gateRoutes()...)
	}
	h.routes = append(h.routes, route{Path: profiles, About: "profiles of the running process, for go tool pprof", serve: plain(serveProfile)})
	return h
}

// gateRoutes are about who may listen.
func (h *Handler) gateRoutes() []route {
	return []route{
		{Path: "/admin/v1/sessions/{id}", About: "ends the session on every edge", Method: http.MethodDelete, serve: h.endSession},
		{Path: "/admin/v1/seats", About: "seats on all edges, those of sessions that apps made too; ?user= ?id= ?limit=", serve: plain(h.serveSeats)},
		{Path: "/admin/v1/limits", About: "limits in use; ?limit= ?after=", serve: plain(h.serveLimits)},
		{Path: "/admin/v1/bans", About: "bans", serve: plain(h.serveBans)},
		{Path: "/admin/v1/bans", About: "bans a user, or a session's, or an address with an agent", Method: http.MethodPost, serve: plain(h.addBan)},
		{Path: "/admin/v1/bans/{id}", About: "one of them", serve: h.showBan},
		{Path: "/admin/v1/bans/{id}", About: "ends a ban", Method: http.MethodDelete, serve: h.endBan},
		{Path: "/admin/v1/blackouts", About: "blackouts, in the order in which they are tried", serve: plain(h.serveBlackouts)},
		{Path: "/admin/v1/blackouts", About: "adds a blackout; ?first=true", Method: http.MethodPost, serve: plain(h.addBlackout)},
		{Path: "/admin/v1/blackouts/{id}", About: "one of them", serve: h.showBlackout},
		{Path: "/admin/v1/blackouts/{id}", About: "ends a blackout that was added here", Method: http.MethodDelete, serve: h.endBlackout},
		{Path: "/admin/v1/evidence", serve: plain(h.serveEvidence),
			About: "who was refused or cut by which blackout; ?rule= ?stream= ?user= ?session= ?from= ?to= ?limit= ?after="},
	}
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
	ways, names := h.find(r.URL)
	if len(ways) == 0 || !ways[0].open {
		if p := h.guard.check(r); p != nil {
			return p
		}
	}
	if len(ways) == 0 {
		return notFound()
	}
	i := slices.IndexFunc(ways, func(rt *route) bool { return answers(rt.method(), r.Method) })
	if i < 0 {
		return notAllowed(ways)
	}
	if ways[i].changes() {
		if p := h.guard.checkChange(r); p != nil {
			return p
		}
	}
	return ways[i].serve(w, r, names)
}

// notAllowed says which methods a path has.
func notAllowed(ways []*route) *problem {
	var methods []string
	for _, rt := range ways {
		methods = append(methods, rt.method())
	}
	return &problem{Status: http.StatusMethodNotAllowed, Code: "method-not-allowed", Detail: "this path answers " + allow(methods),
		header: "Allow", value: allow(methods)}
}

// find finds what answers at a path, and the names in it.
func (h *Handler) find(u *url.URL) (ways []*route, names []string) {
	path := u.EscapedPath()
	if strings.HasPrefix(path, profiles) {
		path = profiles
	}
	for i := range h.routes {
		if found, ok := match(h.routes[i].Path, path); ok {
			ways, names = append(ways, &h.routes[i]), found
		}
	}
	return ways, names
}

func (h *Handler) serveIndex(w http.ResponseWriter, _ *http.Request) *problem {
	writeJSON(w, http.StatusOK, struct {
		Service string  `json:"service"`
		Version string  `json:"version"`
		Routes  []route `json:"routes"`
	}{"earshot", h.version, h.routes})
	return nil
}

func serveHealth(w http.ResponseWriter, _ *http.Request) *problem {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // fails when the client has gone: nobody is left to tell
	return nil
}

// plain is a route without names in its path.
func plain(serve func(http.ResponseWriter, *http.Request) *problem) func(http.ResponseWriter, *http.Request, []string) *problem {
	return func(w http.ResponseWriter, r *http.Request, _ []string) *problem { return serve(w, r) }
}

// handler is a route of a handler that writes its own errors.
func handler(h http.Handler) func(http.ResponseWriter, *http.Request, []string) *problem {
	return func(w http.ResponseWriter, r *http.Request, _ []string) *problem {
		h.ServeHTTP(w, r)
		return nil
	}
}
