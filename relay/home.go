package relay

import (
	"bufio"
	"context"
	"math/rand/v2"
	"time"
)

// candidate is a source and which of the mount's origins it is of.
type candidate struct {
	source *source
	at     int
	goesOn bool // it takes over from one that was read until now
}

// homing looks, while a later origin serves, whether one that is preferred is back. The present one is read until the
// other has sent audio.
type homing struct {
	up      *upstream
	present candidate
	cancel  context.CancelFunc
	done    chan struct{}

	found *candidate    // set before ready is closed
	ready chan struct{} // closed when one is back
}

// seekHome begins to look for origins before the present one; stop ends it.
func (u *upstream) seekHome(present candidate) *homing {
	ctx, cancel := context.WithCancel(u.ctx)
	h := &homing{up: u, present: present, cancel: cancel, done: make(chan struct{}), ready: make(chan struct{})}
	if present.at == 0 {
		close(h.done)
	} else {
		u.hub.relay.running.Go(func() { h.run(ctx) })
	}
	return h
}

// stop ends the search, and returns what was found, which may come in time for a source that was lost.
func (h *homing) stop() *candidate {
	h.cancel()
	<-h.done
	return h.found
}

func (h *homing) isReady() bool {
	select {
	case <-h.ready:
		return true
	default:
		return false
	}
}

func (h *homing) run(ctx context.Context) {
	defer close(h.done)
	told := false
	for h.pause(ctx) {
		for at := range h.present.at {
			s := h.try(ctx, at)
			if s == nil {
				continue
			}
			if h.disturbs(s) {
				s.close()
				if !told {
					h.up.log(h.present.at).Warn("source is back with another format: not changed over to while there are listeners", "type", s.info.ContentType)
				}
				told = true
				continue
			}
			h.found = &candidate{s, at, true}
			close(h.ready)
			if h.present.source.file == nil {
				h.present.source.conn.SetReadDeadline(time.Unix(1, 0)) // out of its read, if it is in one
			}
			return
		}
	}
}

// pause waits for the next attempt: longer each time, a quarter more or less by chance. How often it has failed is kept
// across runs, so that an origin that comes and goes is not changed over to again and again.
func (h *homing) pause(ctx context.Context) bool {
	opt := &h.up.hub.relay.opt
	d := min(opt.ReturnFirst<<min(h.up.homeless, 10), opt.ReturnLast)
	h.up.homeless++
	return sleep(ctx, d*3/4+rand.N(d/2+1))
}

// try opens one of the preferred origins and waits until there is enough audio to tell its codec; nil if it does not
// serve.
func (h *homing) try(ctx context.Context, at int) *source {
	u := h.up
	origin := u.hub.mount.Origins[at]
	if isFile(origin) {
		return nil // nothing to return to
	}
	s, err := u.dialer.dial(ctx, origin)
	if err == nil && !s.fill(u.hub.relay.opt.HeaderTimeout) {
		s.close()
		err = failed(Timeout, context.DeadlineExceeded)
	}
	if ctx.Err() != nil || err != nil {
		if err == nil {
			s.close()
		}
		if ctx.Err() == nil {
			u.hub.metrics.connected(err.Outcome)
			h.up.log(h.present.at).Debug("source not back", "preferred", redacted(origin), "outcome", err.Outcome, "err", err.cause)
		}
		return nil
	}
	if !s.rewatch(u.ctx) {
		s.close()
		return nil
	}
	u.hub.metrics.connected(Connected)
	return s
}

// disturbs reports whether to change over to s would end listeners, for nothing: what they have now is no makeshift.
func (h *homing) disturbs(s *source) bool {
	hub := h.up.hub
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if len(hub.listeners) == 0 || h.present.source.file != nil {
		return false
	}
	if familyOf(s.info.ContentType) != familyOf(hub.info.ContentType) {
		return true
	}
	codec := s.codec()
	return codec != "" && hub.held != "" && codec != hub.held
}

// telling is how many bytes of audio tell a codec: two frames of the longest.
const telling = 4096

// fill waits until so many bytes are there to look at.
func (s *source) fill(limit time.Duration) bool {
	s.conn.SetReadDeadline(time.Now().Add(limit))
	defer s.conn.SetReadDeadline(time.Time{})
	_, err := s.body.Peek(s.sniffable())
	return err == nil || err == bufio.ErrBufferFull
}

func (s *source) sniffable() int {
	if s.interval > 0 {
		return min(s.interval, telling)
	}
	return telling
}

// codec is what the first audio is, in the words of assembler.codec; "" where it cannot be told.
func (s *source) codec() string {
	if s.file != nil {
		return ""
	}
	b, _ := s.body.Peek(min(s.sniffable(), s.body.Buffered()))
	split := formatOf(b, familyOf(s.info.ContentType), true)
	for {
		p, ok := split.next(b)
		switch {
		case !ok:
			return ""
		case p.codec != "":
			return p.codec
		case p.link != nil && p.link.codec != nil:
			return p.link.codec.name()
		}
		b = b[p.bytes:]
	}
}

// rewatch has the source closed when ctx ends, and no longer with the context that it was opened in.
func (s *source) rewatch(ctx context.Context) bool {
	if !s.unwatch() {
		return false
	}
	s.unwatch = context.AfterFunc(ctx, func() { s.raw.Close() })
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
