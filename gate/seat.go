package gate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"earshot/session"
)

const (
	mostSilence = 10 * time.Second // unseen for so long, a listener has gone from what he last played
	grace       = 2 * time.Second  // for what was on its way when another session took the seat
	refusedFor  = time.Second      // a refusal stands for so long, whoever asks again
)

// seat sees to it that a session has a seat, if it needs one. The caller holds the lease's lock.
func (g *Gate) seat(ctx context.Context, s *session.Session, a asked, now time.Time) Verdict {
	uses := g.uses(s.Listener(), s.Key.Group, s.Ceiling)
	if !g.needsSeat(s, uses) {
		g.keep(s, never)
		return Verdict{Action: Allow}
	}
	if now.Before(s.Lease.RefusedUntil) && len(a.terminate) == 0 && !a.restore {
		return Verdict{Code: TooManySessions, Detail: s.Lease.Refused, RetryAfter: time.Second}
	}
	c := g.claimOf(s, uses, a, now)
	c.Seat.Service = g.service(ctx, s)
	answer, err := g.claim(ctx, c, s, a)
	if err != nil {
		return g.degraded(ctx, s, c, now)
	}
	return g.answered(s, c, answer, now)
}

// needsSeat tells whether anybody counts the session: a limit, its user's list of sessions, or other edges, which would not learn of its end otherwise.
func (g *Gate) needsSeat(s *session.Session, uses []session.Use) bool {
	return len(uses) > 0 || s.Listener().UserID != "" || s.App || g.opt.Many
}

func (g *Gate) claimOf(s *session.Session, uses []session.Use, a asked, now time.Time) *session.Claim {
	l := s.Listener()
	return &session.Claim{
		Seat: session.Seat{Key: s.Key, Kind: s.Kind, API: s.App, Edge: g.opt.Edge, UserID: l.UserID, DeviceID: l.DeviceID, DeviceType: l.DeviceType,
			Address: l.Address, Agent: l.Agent, Owner: owner(s), Slot: slot(s), Uses: uses},
		TTL: g.opt.SeatTTL, Policy: g.opt.OnLimit, Adopt: s.App, OfUser: a.ofUser, Goes: !a.starts, Age: max(0, now.Sub(s.Issued)), Restore: a.restore,
		Silence: min(mostSilence, g.opt.SeatTTL/2), Cooldown: g.opt.SeatTTL, Sentence: endedFor, Terminate: g.terminated(a.terminate, l.UserID),
	}
}

// claim asks the live table, within Options.LiveTime.
func (g *Gate) claim(ctx context.Context, c *session.Claim, s *session.Session, a asked) (session.Answer, error) {
	began := time.Now()
	answer, err := g.claimOnce(ctx, c)
	if err == nil && a.first && s.Kind == session.ICY && !c.Goes {
		answer, err = g.afterZap(ctx, c, answer)
	}
	if err == nil && answer.Outcome == session.Refused && c.Goes && g.comesBack(s, began) {
		again := *c
		again.Goes = false
		answer, err = g.claimOnce(ctx, &again)
	}
	g.metrics.claimed(time.Since(began))
	return answer, err
}

// mostBacks is how often a session may take the seat of its owner's latest within SeatTTL though nothing tells that it begins again.
const mostBacks = 3

// comesBack tells whether a session whose seat was taken over may be one that its listener has gone back to, over others: who polls media playlists, as VLC does, asks
// for the same as before. Players that go on side by side come back more often than anybody changes channels.
func (g *Gate) comesBack(s *session.Session, now time.Time) bool {
	l := &s.Lease
	if l.Lost.IsZero() || s.Kind != session.HLS {
		return false
	}
	if now.Sub(l.Back) >= g.opt.SeatTTL {
		l.Back, l.Backs = now, 0
	}
	l.Backs++
	return l.Backs <= mostBacks
}

func (g *Gate) claimOnce(ctx context.Context, c *session.Claim) (session.Answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opt.LiveTime) // what a listener who leaves has begun must be known to us
	defer cancel()
	g.leaving.back(ctx, c.Seat.Key)
	answer, err := g.asked(ctx, c)
	if err != nil {
		g.failed("claim", err)
		return answer, err
	}
	if g.shadow != nil && answer.Outcome == session.Held {
		g.shadowed(c, answer)
	}
	return answer, nil
}

// asked puts a claim to the live table. Where that is across a network nothing there is waited for when the time is over, not even the word that it is.
func (g *Gate) asked(ctx context.Context, c *session.Claim) (session.Answer, error) {
	if !g.opt.Many {
		return g.live.Claim(ctx, c)
	}
	type reply struct {
		session.Answer
		err error
	}
	come, given := make(chan reply), make(chan struct{})
	claim := *c
	g.background.Go(func() {
		answer, err := g.live.Claim(ctx, &claim)
		select {
		case come <- reply{answer, err}:
			if err == nil {
				return
			}
		case <-given:
		}
		g.late(&claim, answer)
	})
	select {
	case r := <-come:
		return r.Answer, r.err
	case <-ctx.Done():
		close(given)
		return session.Answer{}, fmt.Errorf("%w: %w", session.ErrLive, ctx.Err())
	}
}

// late is for a claim whose answer nobody waited for, or that came to nobody knows what. The seat that it may have given to one who was not let in is given back.
// Who goes on may have had it before.
func (g *Gate) late(c *session.Claim, answer session.Answer) {
	g.others(answer)
	keeps := c.Goes
	if s, ok := g.table.Get(c.Seat.Key); ok {
		s.Lease.Mu.Lock() // whoever asks holds it until he has decided; and he asks again behind what is given back here
		defer s.Lease.Mu.Unlock()
		keeps = s.Lease.Seated || !s.Lease.Kept.IsZero()
	} else if c.Seat.API && c.Seat.Key.Group == "" {
		keeps = g.opt.OnLiveError != LiveDeny // the app was told that it has one
	}
	if !keeps {
		g.free(c.Seat.Key)
	}
}

// answered acts on the live table's answer. The caller holds the lease's lock.
func (g *Gate) answered(s *session.Session, c *session.Claim, answer session.Answer, now time.Time) Verdict {
	g.others(answer)
	l := &s.Lease
	switch answer.Outcome {
	case session.Held:
		l.Seated, l.Owed, l.Kept, l.Counted = true, false, now, session.FaceOf(c.Seat.Address, c.Seat.Agent)
		g.keep(s, now.Add(g.opt.SeatTTL))
		return Verdict{Action: Allow}
	case session.Another:
		return Verdict{Code: anothers}
	case session.Ended:
		g.over(s, answer.Reason, now.Add(endedFor))
		return Verdict{Code: Ended, Detail: overDetail(answer.Reason)}
	}
	l.Seated, l.Kept = false, time.Time{}
	v := g.tooMany(c, answer)
	if v.Code == TooManySessions {
		l.Refused, l.RefusedUntil = v.Detail, now.Add(min(refusedFor, g.opt.SeatTTL/4))
	}
	g.sittings.cut(s, v.Code)
	return v
}

// others tells sessions of this edge what another's claim did to them. It waits for none: they may be doing the same to each other.
func (g *Gate) others(answer session.Answer) {
	if len(answer.Taken)+len(answer.Ended) == 0 {
		return
	}
	g.background.Go(func() {
		for _, k := range answer.Taken {
			g.taken(k)
		}
		for _, k := range answer.Ended {
			g.ended(k, session.Evicted, endedFor)
		}
	})
}

// taken notes that a session's seat has passed to a successor. It is asked again when it goes on all the same: not for what was on its way already.
func (g *Gate) taken(k session.Key) {
	s, ok := g.table.Get(k)
	if !ok {
		return
	}
	g.metrics.tookOver()
	wait := min(grace, g.opt.SeatTTL/4)
	g.heardLast(s, time.Now())
	s.Lease.Mu.Lock()
	if g.shadow != nil {
		_ = g.shadow.Release(context.Background(), "", k) // memory does not fail
	}
	if s.Lease.Seated {
		s.Lease.Seated, s.Lease.Lost = false, time.Now()
		s.Lease.Until.Store(min(s.Lease.Until.Load(), time.Now().Add(wait).UnixMilli()))
	}
	s.Lease.Mu.Unlock()
	g.sittings.later(g, s, wait)
}

// tooMany is the refusal of one for whom there is no room.
func (g *Gate) tooMany(c *session.Claim, answer session.Answer) Verdict {
	v := Verdict{Code: TooManySessions, RetryAfter: max(time.Second, min(g.opt.SeatTTL, 10*time.Second))}
	var names []string
	own := c.Seat.UserID != ""
	for _, u := range answer.Full {
		names = append(names, limitText(u))
		own = own && strings.HasPrefix(u.Name, "user=") || own && c.Seat.DeviceID != "" && strings.HasPrefix(u.Name, "device=")
	}
	v.Detail = "as many sessions play as may (" + strings.Join(names, ", ") + "); stop one of them"
	if answer.Outcome == session.Cooling {
		v.Detail = "another session took this one's place a moment ago; wait before taking it back"
		return v
	}
	if c.Policy == session.Choose && own {
		if v.Conflicts = g.conflicts(c.Seat.UserID, answer.Conflicts); len(v.Conflicts) > 0 {
			v.Code = ChooseSession
			v.Detail += ", and name its code to end it (X-Terminate)"
		}
	}
	return v
}

// limitText names a limit without what is counted: that may be somebody's name or address.
func limitText(u session.Use) string {
	per, rest, _ := strings.Cut(u.Name, "=")
	if _, more, ok := strings.Cut(rest, " "); ok {
		return per + ", " + more
	}
	return per
}

// unseat gives the seat of a session back that may not go on at present. The caller holds the lease's lock.
func (g *Gate) unseat(s *session.Session, why Code) {
	had := s.Lease.Seated
	s.Lease.Seated, s.Lease.Owed = false, false
	s.Lease.Lapse()
	g.sittings.cut(s, why)
	if had {
		g.free(s.Key)
	}
}

// Release frees the seat of a session and forgets it. Nothing is denied to it: it may begin again.
func (g *Gate) Release(k session.Key) {
	s, ok := g.table.Get(k)
	if !ok || g.sittings.count(s) > 0 {
		return // he has another connection
	}
	g.table.Drop(s)
	s.Lease.Mu.Lock()
	if s.Lease.Seated {
		s.Lease.Seated = false
		g.free(k)
	}
	s.Lease.Lapse()
	s.Lease.Mu.Unlock()
	g.removed(s)
}
