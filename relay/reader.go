package relay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// errReturned ends the run of a source that another takes over from.
var errReturned = errors.New("a preferred origin is back")

// reader brings the audio of one source into the ring.
type reader struct {
	up        *upstream
	source    *source
	home      *homing
	deframer  *deframer
	asm       *assembler
	began     time.Time
	paced     int64     // where the media axis was then, had it kept up with the clock
	heard     time.Time // when bytes last came
	few       int       // that have come since, too few to tell
	title     *title    // the last one announced
	published bool
}

func newReader(u *upstream, s *source, home *homing, base int64) *reader {
	now := time.Now()
	r := &reader{up: u, source: s, home: home, deframer: newDeframer(s.interval), began: now, heard: now, title: u.hub.title.Load()}
	r.paced = max(min(base, now.UnixNano()), base-int64(r.maxAhead())) // a clock that was set back does not hold it up
	publish := func(c *chunk) {
		r.published = true
		u.publish(c, r.asm.codec)
	}
	r.asm = newAssembler(base, familyOf(s.info.ContentType), s.bits, now, r.title, publish)
	if !u.fruitless && s.file == nil {
		r.asm.resume(u.hub.ring.past(maxPast))
	}
	return r
}

// leastHeard is what an origin must send within Stall: fewer bytes are no audio, at no bitrate.
const leastHeard = 128

// run reads until the source ends, fails, has sent nothing for Stall or a preferred one takes over. What is whole then
// is published.
func (r *reader) run() error {
	defer r.asm.flush()
	if r.source.file != nil {
		return r.play()
	}
	b := make([]byte, 16<<10)
	for {
		r.source.conn.SetReadDeadline(r.deadline())
		if r.home.isReady() { // after the deadline is set, lest it undoes the one that homing sets
			return errReturned
		}
		n, err := r.source.body.Read(b)
		now := time.Now()
		if n > 0 {
			if r.few += n; r.few >= leastHeard {
				r.heard, r.few = now, 0
			}
			r.received(n)
			r.feed(b[:n], now)
		}
		r.asm.flushDue(now)
		if err := r.pace(now); err != nil {
			return err
		}
		if err != nil && !r.home.isReady() && !(errors.Is(err, os.ErrDeadlineExceeded) && now.Sub(r.heard) < r.stall()) {
			return err
		}
	}
}

// pace waits where an origin sends faster than its audio plays, as a server of files does: listeners who read no faster
// than they play would fall out of the ring. An encoder may run fast by a hundredth, for ever. A claimed bitrate may be
// wrong, and paces nothing.
func (r *reader) pace(now time.Time) error {
	gone := now.Sub(r.began)
	ahead := time.Duration(r.asm.clock.pos()-r.paced) - gone - gone/100
	if ahead <= r.maxAhead() || r.asm.claimed {
		return nil
	}
	err := r.idle(ahead - r.maxAhead())
	r.heard = time.Now()
	return err
}

func (r *reader) received(n int) {
	r.up.hub.received.Add(int64(n))
	r.up.hub.metrics.received(n)
}

func (r *reader) maxAhead() time.Duration { return r.up.hub.relay.opt.MaxAhead }

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
		}
		if t := r.asm.latest(); t != r.title {
			r.title = t
			r.up.announce(t)
		}
	}
}

const (
	fileLead  = 1500 * time.Millisecond // that a file is ahead of the clock: listeners who have starved get going with it
	filePiece = 4 << 10
	maxMute   = 1 << 20 // bytes of a file in a row that carry no time
)

// play sends a file at the pace of its own media time, until a preferred origin takes over. If the process has slept,
// it does not make up for it.
func (r *reader) play() error {
	b := make([]byte, filePiece)
	start, began, mute := r.asm.clock.pos(), time.Now(), 0
	for {
		n, err := r.source.file.Read(b)
		if err != nil {
			return fmt.Errorf("%s: %w", r.source.file.Name(), err)
		}
		before := r.asm.clock.pos()
		r.received(n)
		r.feed(b[:n], time.Now())
		if mute += n; r.asm.clock.pos() > before {
			mute = 0
		}
		if mute > maxMute {
			return fmt.Errorf("%s: no frames in %d bytes", r.source.file.Name(), mute)
		}
		ahead := time.Duration(r.asm.clock.pos()-start) - time.Since(began)
		if ahead < 0 {
			began = began.Add(-ahead)
		}
		if err := r.idle(ahead - fileLead); err != nil {
			return err
		}
		r.asm.flushDue(time.Now())
	}
}

// idle waits, and tells why not to go on.
func (r *reader) idle(d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-r.up.ctx.Done():
		return context.Cause(r.up.ctx)
	case <-r.home.ready:
		return errReturned
	case <-timer.C:
		return nil
	}
}
