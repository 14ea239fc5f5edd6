package gate

import (
	"context"
	"slices"
	"time"

	"earshot/session"
)

// failed notes that the live table could not be reached.
func (g *Gate) failed(what string, err error) {
	g.metrics.liveFailed(what)
	g.log.Debug("the live table could not be reached", "for", what, "err", err)
}

// forgotten tells whether the live table has lost what it held since then.
func (g *Gate) forgotten(since time.Time) bool {
	at := g.forgot.Load()
	return at > 0 && since.UnixMilli() <= at
}

// degraded decides about a seat while the live table cannot be reached. The caller holds the lease's lock.
func (g *Gate) degraded(ctx context.Context, s *session.Session, c *session.Claim, now time.Time) Verdict {
	g.metrics.degraded(g.opt.OnLiveError)
	l := &s.Lease
	switch {
	case g.opt.OnLiveError == LiveDeny:
		l.Seated = false
		return Verdict{Code: EdgeFull, RetryAfter: 5 * time.Second, Detail: "whether there is room for another session cannot be found out at the moment"}
	case g.opt.OnLiveError == LiveLast && l.Kept.IsZero():
		answer, err := g.shadow.Claim(ctx, c)
		if err != nil {
			return Verdict{Code: EdgeFull, RetryAfter: fullRetry}
		}
		v := g.answered(s, c, answer, now)
		l.Owed = v.Action == Allow
		return v
	}
	l.Seated, l.Owed = true, true
	g.keep(s, now.Add(g.opt.SeatTTL))
	return Verdict{Action: Allow}
}

// shadowed notes a seat that the live table has given, and those that it has given up for it.
func (g *Gate) shadowed(c *session.Claim, answer session.Answer) {
	kept := *c
	kept.Restore = true
	_ = g.shadow.Release(context.Background(), "", slices.Concat(answer.Taken, answer.Ended)...) // memory does not fail
	_, _ = g.shadow.Claim(context.Background(), &kept)                                           // a full one knows enough
}
