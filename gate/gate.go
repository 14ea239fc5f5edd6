// Package gate is the one door: every play passes it, whether a player asks or an app's API. It answers with a [Verdict].
//
// Who begins a session shows who he is and knocks ([Gate.Authorise]; [Gate.Knock] where nobody need show anything), is looked at before the origin is asked ([Gate.Look]: bans, blackouts,
// endings), and is admitted when the origin has answered ([Gate.Admit]): he gets a seat under the limits. From then on each request of the session passes
// [Gate.Renew], which costs two comparisons until something has moved: a rule, the clock, the listener's address, his lease. What holds a connection open and asks for
// nothing is looked after by the ticker ([Gate.Sit]).
//
// The seats are in a [session.Live], which many edges may share. If it cannot be reached a policy decides, and audio does not wait.
package gate

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"earshot/auth"
	"earshot/blackout"
	"earshot/session"
)

// Gate admits and renews sessions. It is safe for concurrent use.
type Gate struct {
	// Set at construction.
	opt     Options
	table   *session.Table
	live    session.Live
	shadow  session.Live // what this edge's own sessions hold, for OnLiveError last; else nil
	rate    *rates
	metrics *Metrics
	log     *slog.Logger

	stamp  atomic.Uint64 // the state of rules and clock; never 0
	forgot atomic.Int64  // Unix ms: when it was last found that it had lost what it held; 0: never
	rules  atomic.Pointer[rules]
	moved  chan struct{} // the rules have
	news   chan struct{} // on the board

	board     board
	endings   endings
	sittings  sittings
	leaving   leaving
	evidence  evidence
	strangers strangers
	owed      chan *session.Session // is to be asked again who answers for its user

	background background
}

// Options of a Gate. Table is required.
type Options struct {
	Table         *session.Table
	NewPerAddress int          // new sessions per second from one address (one /64 of IPv6); 0 is no limit
	Live          session.Live // nil: in memory
	Many          bool         // other edges share Live
	Edge          string       // name of this edge
	Signer        *session.Signer

	Auth          *auth.Auth // nil: nobody need show anything
	Tokens        map[string]string
	EnforceExpiry bool // of tokens: ends live sessions

	Limits      []Limit
	OnLimit     session.Policy // [Reject]
	SeatTTL     time.Duration  // [60s]
	APITTL      time.Duration  // of seats that an app made and nobody has played [2h]
	OnLiveError LiveError      // [LiveAllow]
	LiveTime    time.Duration  // how long an admission waits for Live (DESIGN, decision 10) [250ms]

	Rules  []blackout.Rule         // that the configuration names
	Geo    *blackout.Geo           // nil: nobody's place is known
	Keeper Keeper                  // nil: nothing outlives the process
	Retain time.Duration           // of evidence; 0: for ever
	IP     func(netip.Addr) string // an address as it may be stored; nil: as it is

	Active func(*session.Session) bool                                      // something is on its way to a session; nil: never
	Heard  func(*session.Session) (bytes int64, media, since time.Duration) // what a session has had, for who is told of its end; nil: nothing is known
	Moved  func(*session.Session)                                           // a session has another listener; nil: nobody need know
	Over   func(*session.Session, string)                                   // a session was ended, or is refused from now on, and why; nil: nobody need know

	Log     *slog.Logger
	Metrics *Metrics
}

// Keeper keeps what must outlive the process: the store.
type Keeper interface {
	Post(ctx context.Context, n session.Note) error
	Withdraw(ctx context.Context, kind, id string) (bool, error)
	Board(ctx context.Context) ([]session.Note, error)
	AppendEvidence(ctx context.Context, all []blackout.Evidence) error
	Evidence(ctx context.Context, q blackout.EvidenceQuery) ([]blackout.Evidence, error)
	PruneEvidence(ctx context.Context, before time.Time, limit int) (int, error)
}

// LiveError is what decides when the live table cannot be reached.
type LiveError string

// The policies.
const (
	LiveAllow LiveError = "allow"
	LiveDeny  LiveError = "deny"
	LiveLast  LiveError = "last" // who was let in stays; newcomers are counted with what this edge knows by itself
)

// New makes a Gate. It panics if Rules do not compile: check them before.
func New(opt Options) *Gate {
	opt = opt.withDefaults()
	g := &Gate{opt: opt, table: opt.Table, live: opt.Live, rate: newRates(opt.NewPerAddress, opt.NewPerAddress), metrics: opt.Metrics, log: opt.Log,
		moved: make(chan struct{}, 1), news: make(chan struct{}, 1), owed: make(chan *session.Session, 1024)}
	if opt.Many && opt.OnLiveError == LiveLast {
		g.shadow = session.NewMemory(opt.Table.Max())
	}
	g.stamp.Store(1)
	g.board.init()
	g.endings.init()
	g.sittings.init()
	g.leaving.init()
	g.strangers.init()
	g.background.init()
	compiled, err := blackout.Compile(opt.Rules)
	if err != nil {
		panic(err)
	}
	g.rules.Store(&rules{compiled: compiled})
	if opt.Geo != nil {
		opt.Geo.OnChange = g.move
	}
	return g
}

func (o Options) withDefaults() Options {
	if o.Live == nil {
		o.Live = session.NewMemory(o.Table.Max())
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnLimit == "" {
		o.OnLimit = session.Reject
	}
	if o.OnLiveError == "" {
		o.OnLiveError = LiveAllow
	}
	if o.LiveTime <= 0 {
		o.LiveTime = 250 * time.Millisecond
	}
	if o.SeatTTL <= 0 {
		o.SeatTTL = time.Minute
	}
	if o.APITTL <= 0 {
		o.APITTL = 2 * time.Hour
	}
	if o.IP == nil {
		o.IP = netip.Addr.String
	}
	if o.Heard == nil {
		o.Heard = func(s *session.Session) (int64, time.Duration, time.Duration) { return 0, 0, time.Since(s.Issued) }
	}
	if o.Active == nil {
		o.Active = func(*session.Session) bool { return false }
	}
	if o.Moved == nil {
		o.Moved = func(*session.Session) {}
	}
	if o.Over == nil {
		o.Over = func(*session.Session, string) {}
	}
	return o
}

// Knock asks whether a listener at that address may begin a new session now. It costs the origin nothing, and nothing is
// held for who is turned away.
func (g *Gate) Knock(address netip.Addr) Verdict {
	if g.table.Full() {
		return g.refuse(Verdict{Code: EdgeFull, RetryAfter: fullRetry})
	}
	if wait := g.rate.take(address, time.Now()); wait > 0 {
		return g.refuse(Verdict{Code: RateLimited, RetryAfter: wait})
	}
	return Verdict{Action: Allow}
}

// fullRetry is when a full edge may have room again.
const fullRetry = 10 * time.Second

// Refuse counts a refusal that is the caller's own.
func (g *Gate) Refuse(v Verdict) Verdict { return g.refuse(v) }

func (g *Gate) refuse(v Verdict) Verdict {
	v.Action = Deny
	g.metrics.refused(v.Code)
	return v
}

// Bare is the id of the live session that a listener without id or grant belongs to.
func (g *Gate) Bare(tag, group string) (session.ID, bool) { return g.table.Bare(tag, group) }

// Live finds a session of this edge.
func (g *Gate) Live(k session.Key) (*session.Session, bool) { return g.table.Get(k) }

// Address is the part of an address that one household has to itself: all of IPv4, a /64 of IPv6.
func Address(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}
