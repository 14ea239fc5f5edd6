package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"earshot/listen"
)

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 15 * time.Second
	goodRun    = 10 * time.Second // a run that lasts so long was no failed attempt
)

// upstream is what keeps a hub supplied, from the first listener until its linger is over. The hub forgets it when it
// cancels it; what it still does then changes nothing.
type upstream struct {
	hub    *Hub
	ctx    context.Context
	cancel context.CancelFunc
	dialer dialer
	id     uint64 // the ring takes its chunks only
	done   chan struct{}

	// Owned by run.
	last     *upstream
	failures int  // in a row
	quiet    bool // the failure has been logged
}

func newUpstream(h *Hub, last *upstream) *upstream {
	ctx, cancel := context.WithCancel(h.relay.ctx)
	u := &upstream{hub: h, ctx: ctx, cancel: cancel, id: rand.Uint64() | 1,
		done: make(chan struct{}), last: last, dialer: dialer{&h.relay.opt, h.relay.tls, h.mount.Origins}}
	h.ring.begin(u.id)
	return u
}

// run connects and reads until nobody needs the source. After a run that was cut short the next origin has its turn,
// so that one that accepts and then stalls does not keep the stream from the others.
func (u *upstream) run() {
	defer close(u.done)
	defer u.cancel()
	if u.last != nil {
		<-u.last.done // it notes where its media ended
		u.last = nil
	}
	first := 0
	for u.ctx.Err() == nil {
		s, at, err := u.connect(first)
		if err != nil {
			first = 0
			if !u.roundFailed(err) || !u.pause() {
				return
			}
			continue
		}
		good := u.stream(s, at)
		if !u.lost() {
			return
		}
		if first = 0; good {
			u.failures = 0
		} else {
			first = (at + 1) % len(u.hub.mount.Origins)
		}
		if !u.pause() {
			return
		}
	}
}

// connect tries every origin once, from the first-th on.
func (u *upstream) connect(first int) (s *source, at int, err *UpstreamError) {
	origins := u.hub.mount.Origins
	if len(origins) == 0 {
		return nil, 0, failed(BadOrigin, errors.New("the mount has no origin"))
	}
	for i := range origins {
		at = (first + i) % len(origins)
		s, err = u.dialer.dial(u.ctx, origins[at])
		if u.ctx.Err() != nil {
			if s != nil {
				s.close()
			}
			return nil, 0, failed(Refused, u.ctx.Err())
		}
		if err == nil {
			u.hub.metrics.connected(Connected)
			return s, at, nil
		}
		u.hub.metrics.connected(err.Outcome)
		u.logFailure(origins[at], err)
	}
	return nil, 0, err
}

// logFailure warns once, until the source is up again.
func (u *upstream) logFailure(origin string, err *UpstreamError) {
	log := u.hub.relay.opt.Log.Warn
	if u.quiet {
		log = u.hub.relay.opt.Log.Debug
	}
	log("source not connected", "stream", u.hub.mount.Key, "origin", redacted(origin), "outcome", err.Outcome, "err", err.cause)
}

func redacted(origin string) string {
	u, err := parseOrigin(origin)
	if err != nil {
		return "(invalid)"
	}
	return named(u)
}

// named is a URL as it may stand in a log: its query may hold a token.
func named(u *url.URL) string {
	name, _, _ := strings.Cut(u.Redacted(), "?")
	return name
}

// pause waits before the next attempt: longer each time, by chance half as long or not. false: not to go on.
func (u *upstream) pause() bool {
	d := min(firstRetry<<min(u.failures, 10), lastRetry)
	u.failures++
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-u.ctx.Done():
		return false
	}
}

// roundFailed notes that no origin serves the stream. It reports whether to try again.
func (u *upstream) roundFailed(err *UpstreamError) bool {
	h := u.hub
	u.quiet = true
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u {
		return false
	}
	h.err, h.failed = err, time.Now()
	h.rounds++
	if len(h.listeners) == 0 {
		h.stop(Failed)
		return false
	}
	h.setState(Reconnecting)
	return true
}

// lost notes that the source is gone. It reports whether anybody needs it back.
func (u *upstream) lost() bool {
	h := u.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u {
		return false
	}
	if !h.wanted() {
		h.stop(Idle)
		return false
	}
	h.setState(Reconnecting)
	return true
}

// stream reads a source to its end. It reports whether it was worth connecting.
func (u *upstream) stream(s *source, at int) (good bool) {
	defer s.close()
	base, ok := u.adopt(s)
	if !ok {
		return false
	}
	began := time.Now()
	log := u.hub.relay.opt.Log.With("stream", u.hub.mount.Key, "origin", redacted(u.hub.mount.Origins[at]))
	log.Info("source connected", "type", s.info.ContentType)
	u.quiet = false
	r := newReader(u, s, base)
	err := r.run()
	u.finish(r.asm.clock.pos())
	if u.ctx.Err() == nil {
		log.Warn("source lost", "err", err, "after", time.Since(began).Round(time.Millisecond))
	}
	return time.Since(began) >= goodRun && !errors.Is(err, os.ErrDeadlineExceeded)
}

// adopt makes the source the hub's, and says where its media begins. Those who listen to another format cannot hear
// on.
func (u *upstream) adopt(s *source) (base int64, ok bool) {
	h := u.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u {
		return 0, false
	}
	if h.known && familyOf(h.info.ContentType) != familyOf(s.info.ContentType) {
		h.endAll(listen.SourceGone)
		h.ring.reset()
		h.ring.begin(u.id)
		h.title.Store(nil)
		h.opening.Store(nil)
	}
	h.codec.Store(nil)
	h.info, h.known, h.err = s.info, true, nil
	h.setState(Up)
	return max(time.Now().UnixNano(), h.end), true
}

// finish notes where the media of a run ended, so that the next one does not overlap it.
func (u *upstream) finish(pos int64) {
	u.hub.mu.Lock()
	u.hub.end = max(u.hub.end, pos)
	u.hub.mu.Unlock()
}
