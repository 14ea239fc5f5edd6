package gate

import (
	"context"
	"sync"

	"earshot/session"
)

// leaving are the seats that are being given back. A release must not overtake the claim of one who is back already; nor is it forgotten because the live
// table cannot be reached: an app's seat would stand for hours, and nobody have it.
type leaving struct {
	mu  sync.Mutex
	all map[session.Key]chan struct{} // closed when it has been tried; nil: it failed, and is to be tried again
}

// maxLeaving bounds what is remembered. What is beyond expires by itself.
const maxLeaving = 50_000

func (l *leaving) init() { l.all = make(map[session.Key]chan struct{}) }

// begin notes that these are released now, but for those that somebody is at already.
func (l *leaving) begin(keys []session.Key, tried chan struct{}) (ours []session.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if l.all[k] == nil {
			l.all[k] = tried
			ours = append(ours, k)
		}
	}
	return ours
}

// end notes how it went.
func (l *leaving) end(keys []session.Key, tried chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if err == nil || len(l.all) > maxLeaving {
			delete(l.all, k)
		} else {
			l.all[k] = nil
		}
	}
	close(tried)
}

// back is called before a seat is claimed: no release of it comes after.
func (l *leaving) back(ctx context.Context, k session.Key) {
	for {
		l.mu.Lock()
		tried, ok := l.all[k]
		if ok && tried == nil {
			delete(l.all, k)
		}
		l.mu.Unlock()
		if tried == nil {
			return
		}
		select {
		case <-tried:
		case <-ctx.Done():
			return
		}
	}
}

// failed are those that are to be tried again.
func (l *leaving) failed() (keys []session.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, tried := range l.all {
		if tried == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// free releases seats of sessions that nobody waits for.
func (g *Gate) free(keys ...session.Key) {
	tried := make(chan struct{})
	if keys = g.leaving.begin(keys, tried); len(keys) > 0 {
		g.background.Go(func() { g.release(context.Background(), keys, tried) })
	}
}

// freeAgain releases those that could not be released before.
func (g *Gate) freeAgain(ctx context.Context) {
	tried := make(chan struct{})
	if keys := g.leaving.begin(g.leaving.failed(), tried); len(keys) > 0 {
		g.release(ctx, keys, tried)
	}
}

func (g *Gate) release(ctx context.Context, keys []session.Key, tried chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	if g.shadow != nil {
		_ = g.shadow.Release(ctx, "", keys...) // memory does not fail
	}
	err := g.live.Release(ctx, g.opt.Edge, keys...)
	if err != nil {
		g.failed("release", err)
	}
	g.leaving.end(keys, tried, err)
}
