package gate

import (
	"context"
	"errors"
	"strings"
	"time"

	"earshot/auth"
	"earshot/session"
)

// Request is a listener whose session this edge does not know yet.
type Request struct {
	Key        session.Key
	Kind       session.Kind
	Listener   session.Listener
	Grant      *session.Grant // that he came with; nil: the session begins now
	Identity   auth.Identity  // that he has shown; not asked for where there is a grant
	Proof      uint64         // of what he showed it by
	Authorised bool           // he has shown that he may listen, whoever he is
	Asked      session.ID     // by which whoever answered for him was asked; empty: the key's
	App        *session.Seat  // an app made the session; nil: no
	Starts     bool           // he begins to play: he asks for a master, or opens a connection
	Parted     bool           // he was parted from a session whose id he used

	Path, Host string   // that he asked for
	Terminate  []string // codes of sessions that may be ended for him
}

// who fills in whom the session is charged to.
func (r *Request) who(g *Gate) {
	l := &r.Listener
	switch {
	case r.Grant != nil:
		l.UserID, l.DeviceID, l.DeviceType = r.Grant.UserID, r.Grant.DeviceID, r.Grant.DeviceType
	case r.App != nil:
		l.UserID, l.DeviceID, l.DeviceType = r.App.UserID, r.App.DeviceID, r.App.DeviceType
	case r.Identity != (auth.Identity{}):
		l.UserID, l.DeviceID, l.DeviceType = r.Identity.User, r.Identity.Device, r.Identity.DeviceType
	}
	l.Country = g.place(l.Address).Country
}

// Look tells whether the listener would be let in, limits aside, before the origin is asked for anything.
func (g *Gate) Look(r *Request) Verdict {
	r.who(g)
	now := time.Now()
	if reason, over := g.endings.get(r.Key, now); over {
		return g.refuse(Verdict{Code: Ended, Detail: overDetail(reason)})
	}
	if r.Grant != nil {
		if v, ok := g.stale(r.Grant, now); !ok {
			return g.refuse(v)
		}
	}
	if v := g.judge(subject{r.Key, &r.Listener, refused}, now); v.Action != Allow {
		return g.refuse(v)
	}
	return Verdict{Action: Allow}
}

// grantLife is how long the grants of a token are good after it has expired, for sessions that go on: one that this edge does not know may be one that
// another edge serves.
const grantLife = 24 * time.Hour

// stale tells of a grant whose time is over.
func (g *Gate) stale(grant *session.Grant, now time.Time) (Verdict, bool) {
	switch {
	case !grant.Ends.IsZero() && !now.Before(grant.Ends):
		return Verdict{Code: Ended, Detail: overDetail(expired)}, false
	case grant.Expires.IsZero() || now.Before(grant.Expires):
		return Verdict{}, true
	case g.opt.EnforceExpiry:
		return Verdict{Code: Ended, Detail: overDetail(expired)}, false
	case now.Sub(grant.Expires) > grantLife:
		return Verdict{Code: TokenInvalid, Detail: "the token that this session began with expired long ago; ask with a new one"}, false
	}
	return Verdict{}, true
}

// Admit lets a session begin or go on. Who begins one has knocked, or holds a grant that proves that it began elsewhere.
func (g *Gate) Admit(ctx context.Context, r *Request) Verdict {
	old, known := g.table.Get(r.Key)
	if known && !old.Revived {
		return g.goOn(ctx, old, r)
	}
	r.who(g)
	now := time.Now()
	begins := r.session(now)
	if known { // what is known of it was found in the store, which does not know all
		g.table.Drop(old)
		if r.Grant == nil {
			begins.Issued = old.Issued
		}
		begins.Start()
	}
	s, fresh, err := g.table.Admit(begins, now)
	if err != nil {
		return g.refuse(Verdict{Code: EdgeFull, RetryAfter: fullRetry})
	}
	if !fresh {
		return g.goOn(ctx, s, r)
	}
	if r.App != nil {
		ctx = context.WithValue(ctx, serviceKey{}, r.App.Service)
	}
	s.Lease.Mu.Lock()
	if reason, over := g.endings.get(s.Key, now); over && s.Lease.Over == "" { // since he was looked at
		s.Lease.Over = reason
	}
	v := g.settle(ctx, s, asked{starts: r.Grant == nil && !known, adopt: r.App != nil, first: true, ofUser: r.ofUser(), terminate: r.Terminate}, now)
	if v.Action == Allow {
		g.begun(s)
	}
	s.Lease.Mu.Unlock()
	if v.Code == anothers {
		g.table.Drop(s)
		return g.apart(ctx, r)
	}
	if v.Action != Allow {
		g.table.Drop(s)
		return v
	}
	v.Fresh = !known
	return v
}

// serviceKey is where what an app calls what it plays is kept on the way to its session's first seat.
type serviceKey struct{}

// service is what an app calls what it plays, where the seat that a session asks for would not have it: its id has moved on from another group's, or back. The caller
// holds the lease's lock.
func (g *Gate) service(ctx context.Context, s *session.Session) string {
	if name, ok := ctx.Value(serviceKey{}).(string); ok {
		return name
	}
	if !s.App || s.Lease.Seated || s.Lease.Lost.IsZero() {
		return ""
	}
	seat, _ := g.AppSeat(ctx, s.Key.ID)
	return seat.Service
}

// goOn is for one whose session has begun since he was looked at. If it is another user's, who has chosen the same id, he has his own.
func (g *Gate) goOn(ctx context.Context, s *session.Session, r *Request) Verdict {
	if r.ofUser() && r.Identity.User != s.Listener().UserID {
		return g.apart(ctx, r)
	}
	v := g.Renew(ctx, s, r.visit())
	if v.Action == Allow {
		g.also(v.Session, r)
	}
	return v
}

// ofUser tells whether he has shown who he is, and nothing that proves that the session is his: an id that he chose is no authority.
func (r *Request) ofUser() bool {
	return r.Identity != (auth.Identity{}) && r.Grant == nil && r.App == nil
}

// apart lets him begin a session that is surely his own.
func (g *Gate) apart(ctx context.Context, r *Request) Verdict {
	r.Key.ID = session.NewID()
	return g.Admit(ctx, r)
}

func (r *Request) visit() Visit {
	return Visit{Address: r.Listener.Address, Agent: r.Listener.Agent, Starts: r.Starts, Terminate: r.Terminate}
}

// session is the session that begins. What the table keeps must not keep the request's head alive, which may be a thousand times larger.
func (r *Request) session(now time.Time) *session.Session {
	l := r.Listener
	l.Agent, l.UserID, l.DeviceID, l.DeviceType = strings.Clone(l.Agent), strings.Clone(l.UserID), strings.Clone(l.DeviceID), strings.Clone(l.DeviceType)
	s := session.New(session.Key{ID: session.ID(strings.Clone(string(r.Key.ID))), Group: r.Key.Group}, r.Kind, l)
	s.Issued, s.Proof, s.Apart = now, r.Proof, r.Parted
	s.Lease.Path, s.Lease.Host = strings.Clone(r.Path), strings.Clone(r.Host)
	switch {
	case r.Grant != nil:
		s.Issued, s.Expires, s.Ends = r.Grant.Issued, r.Grant.Expires, r.Grant.Ends
		s.Proved, s.Shared, s.App, s.Ceiling = r.Grant.Proved, r.Grant.Shared, r.Grant.App, r.Grant.Ceiling
	default:
		id := &r.Identity
		s.Expires, s.Ends, s.Shared, s.Ceiling = id.Expires, id.Ends, id.Shared, id.MaxSessions
		s.Proved, s.Showed = r.Authorised || *id != (auth.Identity{}), true
		s.Lease.Again, s.Lease.Ticket, s.Lease.Number = id.Again, id.Ticket, 1
		s.Lease.Asked = session.ID(strings.Clone(string(r.Asked)))
	}
	if r.App != nil {
		s.App = true
		s.Shared = s.Shared || r.App.Slot != ""
	}
	return s
}

// Guarded tells whether listeners must show who they are.
func (g *Gate) Guarded() bool { return g.opt.Auth != nil && g.opt.Auth.Required() }

// Caller is a listener who asks to begin a session, with what he shows of himself.
type Caller = auth.Request

// Authorise asks who a listener is. One who begins a session knocks, when what he shows has been found good: what others show at his address, and is not, does
// not use up his share. The refusal says why he may not listen.
func (g *Gate) Authorise(ctx context.Context, r *Caller, begins bool) (id auth.Identity, v Verdict) {
	if g.Guarded() {
		if id, v = g.prove(ctx, r); v.Action != Allow {
			return id, v
		}
		if g.opt.Auth.Asked() {
			return g.askBackend(ctx, r, id, begins)
		}
	}
	if begins {
		return id, g.Knock(r.Address)
	}
	return id, Verdict{Action: Allow}
}

func (g *Gate) unauthorised(err error) Verdict {
	var no *auth.Refusal
	if !errors.As(err, &no) {
		g.log.Error("who a listener is could not be found out", "err", err)
		return Verdict{Code: NotAllowed}
	}
	if no.Cause != nil {
		g.log.Debug("a listener was not let in", "code", no.Code, "err", no.Cause)
	}
	return Verdict{Code: Code(no.Code), Detail: no.Detail}
}

// AppSeat is the seat of an app's session of that id, played or not.
func (g *Gate) AppSeat(ctx context.Context, id session.ID) (session.Seat, bool) {
	ctx, cancel := context.WithTimeout(ctx, g.opt.LiveTime)
	defer cancel()
	seats, err := g.live.Seats(ctx, "", id, maxOfOne)
	if err != nil {
		g.failed("find", err)
		return session.Seat{}, false
	}
	for _, seat := range seats {
		if seat.API {
			return seat, true
		}
	}
	return session.Seat{}, false
}

// maxOfOne bounds the seats that one id has: one for each group that was played with it.
const maxOfOne = 32
