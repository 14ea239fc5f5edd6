package gate

import (
	"context"
	"slices"
	"time"

	"earshot/session"
)

// zapWait is how long one who opens a connection waits for his former one to be closed. A receiver that changes its station opens the next
// before it closes the last.
const (
	zapWait  = 2 * time.Second
	zapLeast = 1200 * time.Millisecond // who listens takes something every second
)

// afterZap looks at whom a new connection has taken its seat from. A connection tells what requests cannot, whether somebody still listens on it: if he does, the newcomer
// is a second listener, and there is room for him or not.
func (g *Gate) afterZap(ctx context.Context, c *session.Claim, answer session.Answer) (session.Answer, error) {
	if answer.Outcome != session.Held || len(answer.Taken) == 0 {
		return answer, nil
	}
	s, ok := g.table.Get(answer.Taken[0])
	if !ok || g.sittings.count(s) == 0 {
		return answer, nil
	}
	began := time.Now()
	g.heardLast(s, began)
	wait := time.NewTicker(100 * time.Millisecond)
	defer wait.Stop()
	for end := time.Now().Add(min(zapWait, max(g.opt.SeatTTL/4, zapLeast))); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return answer, nil
		case <-wait.C:
		}
		if g.sittings.count(s) == 0 {
			return answer, nil
		}
	}
	if !g.heardLast(s, time.Now()).After(began) {
		return answer, nil // he hears nothing any more
	}
	return g.standBack(ctx, c, s, answer)
}

// standBack gives a seat back to one who listens on, and asks for another one where there was not room for both. It passes in one step: no third can have it meanwhile.
func (g *Gate) standBack(ctx context.Context, c *session.Claim, s *session.Session, answer session.Answer) (session.Answer, error) {
	again := g.claimOf(s, g.uses(s.Listener(), s.Key.Group, s.Ceiling), asked{}, time.Now())
	again.Back, again.Policy = c.Seat.Key, session.Reject // and nobody's is ended for it
	theirs, err := g.claimOnce(ctx, again)
	if err != nil || theirs.Outcome != session.Held {
		return answer, nil // who listens on is told that he has lost it, as ever
	}
	theirs.Taken = slices.DeleteFunc(theirs.Taken, func(k session.Key) bool { return k == c.Seat.Key })
	g.others(theirs)
	late := *c
	late.Goes = true // nobody is taken over
	return g.claimOnce(ctx, &late)
}
