package relay

import (
	"errors"
	"os"
	"time"
)

// reader brings the audio of one source into the ring.
type reader struct {
	up       *upstream
	source   *source
	deframer *deframer
	asm      *assembler
	heard    time.Time // when the last byte came
}

func newReader(u *upstream, s *source, base int64) *reader {
	now := time.Now()
	publish := func(c *chunk) { u.hub.ring.publish(u.id, c) }
	asm := newAssembler(base, familyOf(s.info.ContentType), s.bits, now, u.hub.title.Load(), publish)
	asm.resume(u.hub.ring.past(maxPast))
	return &reader{up: u, source: s, deframer: newDeframer(s.interval), heard: now, asm: asm}
}

// run reads until the source ends, fails or has sent nothing for StallTimeout. What is whole then is published.
func (r *reader) run() error {
	defer r.asm.flush()
	b := make([]byte, 16<<10)
	for {
		r.source.conn.SetReadDeadline(r.deadline())
		n, err := r.source.body.Read(b)
		now := time.Now()
		if n > 0 {
			r.heard = now
			r.up.hub.received.Add(int64(n))
			r.up.hub.metrics.received(n)
			r.feed(b[:n], now)
		}
		r.asm.flushDue(now)
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && now.Sub(r.heard) < r.stall()) {
			return err
		}
	}
}

func (r *reader) stall() time.Duration { return r.up.hub.mount.Stall }

// deadline is when the source has stalled, or before that, when what is pending must not wait for more. The decoder
// of chunks does not survive a deadline, so there it waits.
func (r *reader) deadline() time.Time {
	stalled := r.heard.Add(r.stall())
	if due := r.asm.due(); !r.source.chunked && !due.IsZero() && due.Before(stalled) {
		return due
	}
	return stalled
}

func (r *reader) feed(p []byte, now time.Time) {
	for len(p) > 0 {
		var audio, block []byte
		audio, block, p = r.deframer.next(p)
		if len(audio) > 0 {
			r.asm.audio(audio, now)
		}
		if block != nil {
			r.asm.metadata(block)
			latest := r.asm.latest()
			r.up.hub.title.Store(latest)
			r.up.hub.opening.CompareAndSwap(nil, latest)
		}
	}
	if h := r.up.hub; r.asm.codec != "" && h.codec.Load() == nil {
		codec := r.asm.codec
		h.codec.Store(&codec)
	}
}
