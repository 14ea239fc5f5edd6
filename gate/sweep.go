package gate

import (
	"context"
	"slices"
	"sync"
	"time"

	"earshot/session"
)

// renewBatch is how many seats are renewed in one call. Where the table is across a network, some calls are under way at once, so that the way to it is no matter.
const (
	renewBatch   = 500
	renewsAtOnce = 4
)

// sweep is a batch of sessions, and what their renewal needs; it serves again when that is done.
type sweep struct {
	batch, held []*session.Session
	all         []session.Renewal
}

func newSweep() *sweep {
	return &sweep{batch: make([]*session.Session, 0, renewBatch), held: make([]*session.Session, 0, renewBatch), all: make([]session.Renewal, 0, renewBatch)}
}

// renewAll renews the seats of all sessions that are active.
func (g *Gate) renewAll(ctx context.Context) {
	began := time.Now()
	g.freeAgain(ctx)
	var all sync.WaitGroup
	free := make(chan *sweep, renewsAtOnce)
	if g.opt.Many {
		for range renewsAtOnce - 1 {
			free <- newSweep()
		}
	}
	renew := func(w *sweep) (next *sweep) {
		if !g.opt.Many {
			g.renewBatch(ctx, w, began)
			return w
		}
		all.Go(func() {
			g.renewBatch(ctx, w, began)
			free <- w
		})
		return <-free
	}
	w := newSweep()
	g.table.Each(func(s *session.Session) bool {
		s.Disperse(began, g.opt.SeatTTL)
		g.dueAgain(s, began)
		if l := &s.Lease; l.Until.Load() == never.UnixMilli() {
			return true // it needs none
		}
		if w.batch = append(w.batch, s); len(w.batch) == renewBatch {
			w = renew(w)
		}
		return ctx.Err() == nil
	})
	renew(w)
	all.Wait()
	g.metrics.swept(time.Since(began))
}

// renewBatch renews those of a batch that have a seat and are active. began is when the first batch's turn was.
func (g *Gate) renewBatch(ctx context.Context, w *sweep, began time.Time) {
	now := time.Now()
	held, all := w.held[:0], w.all[:0]
	for _, s := range w.batch {
		if r, ok := g.renewal(s, now); ok {
			held, all = append(held, s), append(all, r)
		}
	}
	w.batch = w.batch[:0]
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	standings, err := g.live.Renew(ctx, g.opt.Edge, all)
	if g.shadow != nil {
		_, _ = g.shadow.Renew(ctx, g.opt.Edge, all) // memory does not fail
	}
	if err != nil || len(standings) != len(all) {
		g.failed("renew", err)
		g.prolong(held, all, now)
		return
	}
	if g.opt.Many && g.forgot.Load() < began.UnixMilli() && slices.ContainsFunc(standings, func(st session.Standing) bool { return st.State == session.Gone }) {
		g.synchronise(ctx) // their seats have been taken, or the table has lost them all
	}
	for i, s := range held {
		g.stands(ctx, s, &all[i], &standings[i], now)
	}
}
