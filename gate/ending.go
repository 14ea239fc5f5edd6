package gate

import (
	"context"
	"sync"
	"time"

	"earshot/session"
)

// Why sessions are ended.
const (
	byOperator = "ended"
	expired    = "expired"
	notAllowed = "not-allowed"
)

// endedFor is how long an ended session stays ended.
const endedFor = 24 * time.Hour

func overDetail(reason string) string {
	switch reason {
	case expired:
		return "its time is over"
	case session.Evicted:
		return "another session of the same listener took its place"
	case notAllowed:
		return "it is not allowed any longer"
	}
	return "this session was ended"
}

// endings are the sessions that were ended, so that they do not come back.
type endings struct {
	mu  sync.Mutex
	all map[session.Key]ending
}

type ending struct {
	reason string
	until  time.Time
}

// maxEndings bounds what is remembered. Beyond it some go.
const maxEndings = 100_000

func (e *endings) init() { e.all = make(map[session.Key]ending) }

func (e *endings) get(k session.Key, now time.Time) (reason string, over bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, ok := e.all[k]
	return was.reason, ok && now.Before(was.until)
}

// any tells whether a session of that id was ended.
func (e *endings) any(id session.ID, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, was := range e.all {
		if k.ID == id && now.Before(was.until) {
			return true
		}
	}
	return false
}

func (e *endings) add(k session.Key, reason string, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, again := e.all[k]; !again && len(e.all) >= maxEndings {
		e.forget(time.Now())
	}
	e.all[k] = ending{reason, until}
}

// forget lets go of what is over, and of any until there is room for many: it looks at all, and must not be called for each that comes.
func (e *endings) forget(now time.Time) {
	for k, was := range e.all {
		if !now.Before(was.until) || len(e.all) > maxEndings-maxEndings/16 {
			delete(e.all, k) // the map's order is as good as none
		}
	}
}

// finish ends a session of this edge, and tells the others. The caller holds the lease's lock.
func (g *Gate) finish(s *session.Session, reason string) {
	g.over(s, reason, time.Now().Add(endedFor))
	g.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), backgroundTime)
		defer cancel()
		if err := g.live.End(ctx, session.Ending{Key: s.Key, Reason: reason, For: endedFor}); err != nil {
			g.failed("end", err)
		}
	})
}

// backgroundTime is what the live table has for what nobody waits for.
const backgroundTime = 5 * time.Second

// over notes that a session is over, and closes its connections. The caller holds the lease's lock.
func (g *Gate) over(s *session.Session, reason string, until time.Time) {
	if s.Lease.Over != "" {
		return
	}
	s.Lease.Over, s.Lease.Seated = reason, false
	s.Lease.Lapse()
	if g.shadow != nil {
		_ = g.shadow.Release(context.Background(), "", s.Key) // memory does not fail
	}
	g.endings.add(s.Key, reason, until)
	g.metrics.ended(reason)
	g.sittings.cut(s, Ended)
	g.opt.Over(s, reason)
}

// ended notes what was ended elsewhere, or for another's sake.
func (g *Gate) ended(k session.Key, reason string, stands time.Duration) {
	until := time.Now().Add(min(stands, endedFor))
	g.endings.add(k, reason, until) // first: one that is just being admitted finds it, or is found
	s, ok := g.table.Get(k)
	if !ok {
		return
	}
	s.Lease.Mu.Lock()
	defer s.Lease.Mu.Unlock()
	g.over(s, reason, until)
}
