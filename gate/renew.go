package gate

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"time"

	"earshot/session"
)

// Visit is one request of a session.
type Visit struct {
	Address   netip.Addr
	Agent     string
	Piece     uint64 // of media, that it asks for; 0: it asks for something else
	Starts    bool   // it begins to play (again)
	Terminate []string
}

// Renew lets a session go on, or not. The verdict's session may be another one: that of a listener who was found to use this one's id.
// While nothing has moved it costs a microsecond at the most, and no memory.
func (g *Gate) Renew(ctx context.Context, s *session.Session, v Visit) Verdict {
	now := time.Now()
	before := s.Seen()
	l := &s.Lease
	if !v.Starts && now.UnixMilli() < l.Until.Load() && l.Judged.Load() == g.stamp.Load() && s.Crowd() == nil && s.Face() == session.FaceOf(v.Address, v.Agent) {
		s.Touch(now)
		return Verdict{Action: Allow, Session: s}
	}
	return g.renew(ctx, s, v, before, now)
}

func (g *Gate) renew(ctx context.Context, s *session.Session, v Visit, before, now time.Time) Verdict {
	if verdict, parted := g.meet(ctx, s, v, before, now); parted {
		return verdict
	}
	s.Touch(now) // not for one who only uses its id: that must not keep its seat
	s.Lease.Mu.Lock()
	verdict := g.settle(ctx, s, asked{starts: v.Starts, terminate: v.Terminate}, now)
	s.Lease.Mu.Unlock()
	if verdict.Action != Allow {
		return verdict
	}
	return g.remember(ctx, s, v, verdict, now)
}

// remember has a session that goes on be in the table: it may have been forgotten while it asked.
func (g *Gate) remember(ctx context.Context, s *session.Session, v Visit, verdict Verdict, now time.Time) Verdict {
	if known, ok := g.table.Get(s.Key); ok && known == s {
		return verdict
	}
	known, _, err := g.table.Admit(s, now)
	switch {
	case err != nil:
		g.free(s.Key)
		return g.refuse(Verdict{Code: EdgeFull, RetryAfter: fullRetry})
	case known != s:
		return g.Renew(ctx, known, v) // he came anew meanwhile
	}
	return verdict
}

// meet looks at whose request it is. It may be another listener's, who uses the session's id (DESIGN, decision 9).
func (g *Gate) meet(ctx context.Context, s *session.Session, v Visit, before, now time.Time) (Verdict, bool) {
	face := session.FaceOf(v.Address, v.Agent)
	if s.Crowd() == nil {
		if s.Face() == face {
			return Verdict{}, false
		}
		if g.sittings.count(s) > 0 {
			before = now // he listens, and asks for nothing meanwhile
		}
		s.Gather().Meet(s.Face(), s.Since(), before, g.opt.SeatTTL)
	}
	id, another := s.Gather().Note(face, v.Piece, now, g.opt.SeatTTL)
	if another {
		return g.part(ctx, s, v, face, id), true
	}
	if s.Face() == face {
		return Verdict{}, false
	}
	if verdict := g.joins(s, v, now); verdict.Action != Allow {
		return verdict, true
	}
	g.handOver(s, v)
	return Verdict{}, false
}

// joins tells whether one who asks for a session that holds connections open may have it. It may be another's, whose id he uses: what he may not
// hear must not cut those who listen.
func (g *Gate) joins(s *session.Session, v Visit, now time.Time) Verdict {
	if g.sittings.count(s) == 0 {
		return Verdict{Action: Allow}
	}
	l := *s.Listener()
	l.Address, l.Agent = v.Address, v.Agent
	if verdict := g.judge(subject{s.Key, &l, refused}, now); verdict.Action != Allow {
		return g.refuse(verdict)
	}
	return Verdict{Action: Allow}
}

// handOver charges a session to the address and agent that it is asked for from now.
func (g *Gate) handOver(s *session.Session, v Visit) {
	l := *s.Listener()
	l.Address, l.Agent = v.Address, strings.Clone(v.Agent)
	l.Country = g.place(v.Address).Country
	s.HandOver(&l)
	s.Lease.Judged.Store(0)
	g.opt.Moved(s)
}

// part has a listener who uses another's session have his own.
func (g *Gate) part(ctx context.Context, s *session.Session, v Visit, face uint64, id session.ID) Verdict {
	if id == "" {
		id = session.NewID()
		if g.opt.Signer != nil {
			id = g.opt.Signer.ApartID(s.Key.ID, face)
		}
		s.Gather().Part(face, id)
		g.metrics.parted()
	}
	l := *s.Listener()
	l.Address, l.Agent = v.Address, v.Agent
	r := &Request{Key: session.Key{ID: id, Group: s.Key.Group}, Kind: s.Kind, Listener: l, Proof: s.Proof, Starts: v.Starts, Parted: true,
		Grant: GrantOf(s), Path: s.Lease.Path, Host: s.Lease.Host, Terminate: v.Terminate}
	r.Grant.Issued, r.Grant.App = time.Now(), false
	if own, ok := g.table.Get(r.Key); ok && !own.Revived {
		return g.Renew(ctx, own, v)
	}
	if verdict := g.Knock(v.Address); verdict.Action != Allow {
		return verdict // faces are as cheap as ids
	}
	if verdict := g.Look(r); verdict.Action != Allow {
		return verdict
	}
	return g.Admit(ctx, r)
}

// GrantOf is what a grant says of a session, whatever URI it is for.
func GrantOf(s *session.Session) *session.Grant {
	l := s.Listener()
	return &session.Grant{Group: s.Key.Group, UserID: l.UserID, DeviceID: l.DeviceID, DeviceType: l.DeviceType, Issued: s.Issued, Expires: s.Expires,
		Ends: s.Ends, Proved: s.Proved, Shared: s.Shared, App: s.App, Ceiling: s.Ceiling}
}

// asked is how a session asks to go on.
type asked struct {
	starts    bool
	adopt     bool // an app may have made it
	first     bool // this edge has not known it
	ofUser    bool // he has shown whose it is, and nothing else of it
	restore   bool // its seat was lost through no doing of its own
	terminate []string
}

// settle finds out whether a session may go on now, and until when nobody need be asked again. The caller holds the lease's lock.
func (g *Gate) settle(ctx context.Context, s *session.Session, a asked, now time.Time) Verdict {
	l := &s.Lease
	if l.Over != "" {
		return g.refuse(Verdict{Code: Ended, Detail: overDetail(l.Over), Session: s})
	}
	stamp, whose := g.stamp.Load(), s.Listener()
	if due := g.due(s); !now.Before(due) {
		g.finish(s, expired)
		return g.refuse(Verdict{Code: Ended, Detail: overDetail(expired), Session: s})
	}
	if l.Judged.Load() != stamp {
		v := g.judge(subject{s.Key, whose, how(a.first || l.Hidden)}, now)
		if v.Action != Allow {
			l.Hidden = true
			g.unseat(s, v.Code)
			v.Session = s
			return g.refuse(v)
		}
		l.Hidden = false
	}
	if until := l.Until.Load(); now.UnixMilli() >= until || a.starts && !l.Seated && until != never.UnixMilli() { // who begins again needs it at once
		if v := g.seat(ctx, s, a, now); v.Action != Allow {
			v.Session = s
			if v.Code == anothers {
				return v
			}
			return g.refuse(v)
		}
	}
	l.Judged.Store(stamp)
	if s.Listener() != whose {
		l.Judged.Store(0) // he has roamed meanwhile, and where he is now was not looked at
	}
	return Verdict{Action: Allow, Session: s}
}

func how(first bool) string {
	if first {
		return refused
	}
	return cut
}

// due is when a session's time is over.
func (g *Gate) due(s *session.Session) time.Time {
	due := never
	if !s.Ends.IsZero() {
		due = s.Ends
	}
	if g.opt.EnforceExpiry && !s.Expires.IsZero() && s.Expires.Before(due) {
		due = s.Expires
	}
	return due
}

var never = time.UnixMilli(math.MaxInt64 / 1_000_000)

// keep has nobody be asked until then, or until the session's time is over.
func (g *Gate) keep(s *session.Session, until time.Time) {
	if due := g.due(s); due.Before(until) {
		until = due
	}
	s.Lease.Until.Store(until.UnixMilli())
}
