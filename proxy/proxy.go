// Package proxy is the data plane: what players ask passes through here, byte for byte, and is told to the meters.
//
// A request is routed to a stream, its session is identified, the gate asked, the origin's bytes fetched, and sent on. HLS playlists are
// spliced so that the listener's next requests carry his session (hls.go, playlist.go); segments are metered as they leave (segment.go); ICY
// connections are handed to the relay (icy.go). Handlers return an error; one table turns errors into answers (errors.go).
package proxy

import (
	"errors"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"earshot/gate"
	"earshot/listen"
	"earshot/origin"
	"earshot/relay"
	"earshot/session"
)

// Options of a Proxy.
type Options struct {
	Streams []*Stream
	Signer  *session.Signer
	Gate    *gate.Gate
	Origin  *origin.Client
	Relay   *relay.Relay
	Book    *listen.Book
	Trusted TrustedProxies
	IP      IPPolicy
	Server  string // value of the Server header and the name sent to ICY listeners
	Edge    string // this edge's name, as status-json.xsl tells where it is

	Apps        bool                                   // apps make sessions whose ids stand in URLs
	Credentials []string                               // query parameters that show who a listener is
	Challenge   string                                 // what he is asked for who shows nothing; empty: a bearer token
	CutPath     func(path string) (token, rest string) // takes a token out of an escaped path; nil: none stands there

	AccessLog *AccessLog // of ICY requests; nil: none. Close it once the relay is shut down
	Log       *slog.Logger
	Metrics   *Metrics
	Started   func(listen.Who) // counts a session that begins
}

// Proxy is the handler of the data plane.
type Proxy struct {
	opt       Options
	routes    *routes
	timelines *timelines
	metrics   *Metrics
	large     chan struct{} // a place for each large playlist being personalised
	server    []string      // value of the Server header; nobody writes to it
	status    status        // of the mounts
	seed      maphash.Seed  // of what stands for credentials
}

// New makes the data plane. Close it.
func New(opt Options) *Proxy {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{opt: opt, routes: newRoutes(opt.Streams), metrics: opt.Metrics, server: []string{opt.Server}, seed: maphash.MakeSeed(),
		timelines: newTimelines(opt.Origin, opt.Log), large: make(chan struct{}, maxLarge)}
	p.status.init(p)
	for _, s := range opt.Streams {
		if opt.Gate != nil && opt.Gate.Guarded() {
			s.ours = slices.Concat(ourParams, s.secrets(opt.Credentials))
		}
	}
	return p
}

// Connect connects the sources that are to be connected though nobody listens.
func (p *Proxy) Connect() {
	for _, s := range p.opt.Streams {
		if len(s.ICY) > 0 && s.Match == nil && s.Mount.AlwaysOn {
			p.opt.Relay.Hub(s.fixed().relayMount())
		}
	}
}

// Close waits for what goes on in the background.
func (p *Proxy) Close() { p.timelines.close() }

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	r = p.cutPath(r)
	c := connOf(r)
	out, done := responder(w, r, c)
	defer done()
	a := &answer{ResponseWriter: out}
	kind, err := p.serve(a, r, c)
	if err != nil {
		p.fail(a, r, kind, err)
	}
	if !a.handed {
		a.visit.over(a.code(), a.sent, time.Since(began))
	}
	p.metrics.served(kind, a.code(), time.Since(began)-a.listened)
	if a.cut {
		panic(http.ErrAbortHandler) // the listener must see that it broke
	}
}

func (p *Proxy) serve(w *answer, r *http.Request, c *conn) (kind requestKind, err error) {
	cors(w.Header())
	w.Header()["Server"] = p.server
	path := plain(r.URL.EscapedPath())
	m := p.routes.find(path)
	var beside page
	if m == nil {
		beside = p.beside(path)
	}
	if m == nil && beside == nil || !safe(r.URL) {
		return otherKind, notFound("no stream here")
	}
	if beside != nil || len(m.stream.ICY) > 0 {
		w.visit = p.visit(r)
	}
	if r.ContentLength != 0 {
		return otherKind, refuseBody(w, r)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		preflight(w, r)
		return optionsKind, nil
	default:
		return otherKind, methodNotAllowed()
	}
	if beside != nil {
		return otherKind, p.servePage(w, r, beside)
	}
	if len(m.stream.ICY) > 0 {
		return icyKind, p.serveICY(w, r, m)
	}
	if origin.IsPlaylist(path) {
		return playlistKind, p.servePlaylist(w, r, m)
	}
	return p.serveMedia(w, r, m, c)
}

// refuseBody turns away a request with a body: it has no meaning for a stream, and to wait for it would hold what the stream needs.
func refuseBody(w *answer, r *http.Request) error {
	c := http.NewResponseController(w.ResponseWriter)
	if r.ProtoMajor < 2 { // HTTP/2 does so anyway, and the other streams of the connection go on
		_ = c.EnableFullDuplex()                                      // answer before the body is there
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // and wait no longer for it after
		w.Header().Set("Connection", "close")
	}
	return &Problem{Status: http.StatusBadRequest, Code: "body-not-allowed", Detail: "a stream takes no request body; send none"}
}

// fail answers with the problem that err is, if the head has not been sent yet.
func (p *Proxy) fail(w *answer, r *http.Request, kind requestKind, err error) {
	var problem *Problem
	if !errors.As(err, &problem) {
		problem = &Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "the edge failed", cause: err}
	}
	if problem.Status >= 500 && problem.cause != nil && r.Context().Err() == nil {
		p.opt.Log.Warn("request failed", "kind", kind, "path", r.URL.Path, "code", problem.Code, "err", problem.cause)
	}
	p.metrics.problem(problem.Code)
	if w.status == 0 {
		problem.challenge = p.opt.Challenge
		problem.write(w, r.Method == http.MethodHead)
	}
}

// answer notes what was answered.
type answer struct {
	http.ResponseWriter
	status int
	cut    bool // the body broke off: the connection must too
	failed bool // a write did: the server may still read what it was given

	listened time.Duration // spent while the relay answered
	sent     int64         // of the body, by Write
	visit    *visit        // of an ICY request; nil: no line is to be written
	handed   bool          // to the relay, which tells when the visit is over
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.sent += int64(n)
	a.failed = a.failed || err != nil
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// IPPolicy is what of an address is stored.
type IPPolicy string

// The policies.
const (
	FullIP     IPPolicy = "full"
	TruncateIP IPPolicy = "truncate" // to /24 and /48
	NoIP       IPPolicy = "none"
)

// Apply is an address as it is stored.
func (i IPPolicy) Apply(a netip.Addr) string {
	if !a.IsValid() || i == NoIP {
		return ""
	}
	if i == TruncateIP {
		bits := 48
		if a.Is4() {
			bits = 24
		}
		prefix, err := a.Prefix(bits)
		if err != nil {
			return ""
		}
		return prefix.Addr().String()
	}
	return a.String()
}

// account is where a session's meters are.
func (p *Proxy) account(s *session.Session) *listen.Account {
	if a, ok := p.opt.Book.Find(s.Key); ok {
		return a
	}
	return p.opt.Book.Account(p.who(s))
}

// who is a session as events name it.
func (p *Proxy) who(s *session.Session) listen.Who {
	l := s.Listener()
	return listen.Who{Key: s.Key, Kind: s.Kind, UserID: l.UserID, DeviceID: l.DeviceID, DeviceType: l.DeviceType,
		IP: p.opt.IP.Apply(l.Address), UserAgent: l.Agent, Country: l.Country}
}

// listener is who asks, as far as the request itself tells.
func (p *Proxy) listener(r *http.Request) session.Listener {
	agent := r.UserAgent()
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	return session.Listener{Address: p.opt.Trusted.address(r), Agent: strings.ToValidUTF8(agent, "")}
}

// maxAgent bounds what a session keeps of a User-Agent, in bytes.
const maxAgent = 256
