package gate

import (
	"context"
	"sync"
	"time"

	"earshot/session"
)

// Run does what goes on in the background, until ctx is done: it renews seats, looks after open connections, follows rules and clock, and keeps evidence.
func (g *Gate) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { g.watchClock(ctx.Done()) })
	all.Go(func() { g.every(ctx, g.opt.SeatTTL/3, g.renewAll) })
	all.Go(func() { g.every(ctx, min(time.Second, g.opt.SeatTTL/6), g.lookAtClock) })
	all.Go(func() { g.every(ctx, g.opt.SeatTTL/6, g.tellApart) })
	all.Go(func() { g.every(ctx, g.opt.SeatTTL/3, g.synchronise) })
	all.Go(func() { g.watch(ctx) })
	all.Go(func() { g.read(ctx) })
	all.Go(func() { g.keepEvidence(ctx) })
	all.Go(func() { g.askAgain(ctx) })
	all.Wait()
	g.table.Each(func(s *session.Session) bool {
		if !g.goesOnLater(s) {
			g.removed(s)
		}
		return true
	})
	g.background.Wait()
}

func (g *Gate) every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	tick := time.NewTicker(max(pause, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// lookAtClock ends the connections whose time is over.
func (g *Gate) lookAtClock(context.Context) {
	if g.opt.Auth == nil && !g.opt.EnforceExpiry {
		return // nobody's time is ever over
	}
	now := time.Now()
	for _, s := range g.sittings.sessions() {
		if !now.Before(g.due(s)) {
			g.look(s, now)
		}
	}
}

func (g *Gate) tellApart(context.Context) {
	now := time.Now()
	for _, s := range g.sittings.sessions() {
		g.tell(s, now)
	}
}

// renewal is what is asked for a session; none for one that has no seat, or has been silent for so long that it loses it.
func (g *Gate) renewal(s *session.Session, now time.Time) (session.Renewal, bool) {
	ago := now.Sub(s.Seen())
	sits := g.sittings.count(s) > 0
	if sits || g.opt.Active(s) {
		ago = 0 // he may be waiting for a source that is silent
	}
	if !s.Lease.Mu.TryLock() {
		return session.Renewal{}, false // it is asked about just now, which may take long; all others would wait for it
	}
	if ago >= g.opt.SeatTTL && s.Lease.Seated {
		s.Lease.Seated, s.Lease.Owed = false, false // it has expired, or another edge keeps it
		s.Lease.Lapse()
	}
	seated, counted := s.Lease.Seated, s.Lease.Counted
	s.Lease.Mu.Unlock()
	if sits && !seated && g.goesOn(s, now) {
		g.background.Go(func() { g.look(s, now) }) // his seat passed to another, and he listens on
	}
	if !seated {
		return session.Renewal{}, false
	}
	r := session.Renewal{Key: s.Key, Ago: max(0, ago), TTL: g.opt.SeatTTL}
	if s.Face() != counted && (counted == 0 || now.Sub(s.Since()) >= g.opt.SeatTTL/6) {
		r.Place = g.whereabouts(s) // not while he moves to and fro: it may be two who do, and the one would be counted in the other's place
	}
	switch {
	case !g.opt.Many:
	case !sits:
		r.Sighting = g.sighting(s, now)
	case now.Sub(g.heardLast(s, now)) < g.opt.SeatTTL/4: // else he has gone, perhaps to another edge
		r.Sighting = g.sighting(s, now)
		r.Sighting.Pieces = []uint64{uint64(now.UnixNano()) | 1} // any that was not said before
	}
	return r, true
}

// whereabouts are where a session's listener is counted who has roamed, or has come back from another edge. That is told with the renewals, however often he has moved meanwhile.
func (g *Gate) whereabouts(s *session.Session) *session.Place {
	l := s.Listener()
	return &session.Place{Address: l.Address, Agent: l.Agent, Owner: owner(s), Uses: g.uses(l, s.Key.Group, s.Ceiling)}
}

func (g *Gate) sighting(s *session.Session, now time.Time) session.Sighting {
	if c := s.Crowd(); c != nil {
		return c.Sighting(s.Face(), now)
	}
	return session.Sighting{Face: s.Face(), Since: now.Sub(s.Since())} // not since it began: that may have been elsewhere
}

// prolong keeps sessions going while the live table cannot be reached.
func (g *Gate) prolong(held []*session.Session, all []session.Renewal, now time.Time) {
	if g.opt.OnLiveError == LiveDeny {
		return
	}
	for i, s := range held {
		g.metrics.degraded(g.opt.OnLiveError)
		s.Lease.Mu.Lock()
		if s.Lease.Seated {
			s.Lease.Owed = true
			g.keep(s, now.Add(all[i].TTL-all[i].Ago))
		}
		s.Lease.Mu.Unlock()
	}
}

// stands acts on what a renewal found.
func (g *Gate) stands(ctx context.Context, s *session.Session, r *session.Renewal, found *session.Standing, now time.Time) {
	l := &s.Lease
	switch found.State {
	case session.Kept:
		l.Mu.Lock()
		if l.Seated {
			l.Kept, l.Owed = now, false
			if r.Place != nil {
				l.Counted = session.FaceOf(r.Place.Address, r.Place.Agent)
			}
			if found.Stray {
				l.Counted = 0
			}
			g.keep(s, now.Add(r.TTL-r.Ago))
		}
		l.Mu.Unlock()
		for _, other := range found.Others {
			g.elsewhere(s, other, now)
		}
	case session.Over:
		g.ended(s.Key, found.Reason, endedFor)
	default:
		g.lost(ctx, s, now)
	}
}

// lost is for a session whose seat is gone. One that was let in while the table could not be reached, or whose seat the table has lost, gets it back without being asked for room;
// so nobody is cut for the table's failing, and newcomers wait until there is room again.
func (g *Gate) lost(ctx context.Context, s *session.Session, now time.Time) {
	l := &s.Lease
	l.Mu.Lock()
	defer l.Mu.Unlock()
	if !l.Seated {
		return
	}
	l.Seated = false
	l.Lapse()
	restore := l.Owed || g.forgotten(l.Kept)
	if restore || g.sittings.count(s) > 0 {
		v := g.settle(ctx, s, asked{restore: restore}, now)
		if v.Action != Allow {
			g.sittings.cut(s, v.Code)
		}
	}
}

// elsewhere takes what another edge has seen of a session.
func (g *Gate) elsewhere(s *session.Session, other session.Sighting, now time.Time) {
	if other.Face == 0 || other.Face == s.Face() {
		return
	}
	c := s.Crowd()
	if c == nil {
		c = s.Gather()
		seen := s.Seen()
		if g.sittings.count(s) > 0 {
			seen = now
		}
		c.Meet(s.Face(), s.Since(), seen, g.opt.SeatTTL)
	}
	if c.Heard(other, now, g.opt.SeatTTL) && g.sittings.count(s) > 0 {
		g.background.Go(func() { g.tellFrom(s, other.Face, now) })
	}
}

// Sweep forgets the sessions that have gone, and tells who answers for their users.
func (g *Gate) Sweep(idle func(*session.Session) bool) {
	for _, s := range g.table.Sweep(idle) {
		s.Lease.Mu.Lock()
		if s.Lease.Seated && !g.opt.Many {
			g.free(s.Key) // where there are others he may have gone to one of them; else it expires
		}
		s.Lease.Seated = false
		s.Lease.Lapse()
		s.Lease.Mu.Unlock()
		g.removed(s)
	}
}
