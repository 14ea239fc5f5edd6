package relay

import (
	"bytes"
	"time"
)

const (
	chunkMedia = int64(300 * time.Millisecond) // of audio in a chunk
	chunkBytes = 16 << 10                      // and at most so much, whole frames allowing
	chunkAge   = 250 * time.Millisecond        // and no older, so that audio is never held back

	// maxLead is how much may come before the first frame. Less is the tail of a frame that began before the source was
	// connected, and goes; more is a stream without frames, and passes.
	maxLead = 16 << 10
)

// assembler cuts the audio of one run into chunks. It belongs to the goroutine that reads the source.
type assembler struct {
	// Set at construction.
	emit   func(*chunk)
	framed bool  // MPEG audio or ADTS is expected
	bits   int64 // per second, claimed; where there are no frames, the clock
	began  time.Time

	clock  clock
	framer framer
	codec  string

	raw  []byte // not yet told apart
	at   int64  // of raw[0] in the audio of the run
	lead []byte // noise before the first frame
	open bool   // a frame or a tag has been seen, or is no longer waited for

	pending []byte    // of the next chunk
	start   int64     // ns on the media axis, of pending
	since   time.Time // when the first of pending came

	title  *title // of pending
	coming *title // takes over at comingAt
	from   int64
}

func newAssembler(base int64, framed bool, bits int64, now time.Time, t *title, emit func(*chunk)) *assembler {
	return &assembler{emit: emit, framed: framed, bits: bits, began: now, clock: clock{base: base}, start: base, title: t, open: !framed}
}

// audio takes bytes of audio as they arrived at now.
func (a *assembler) audio(p []byte, now time.Time) {
	if !a.framed {
		a.at += int64(len(p))
		a.unframed(p, now)
		return
	}
	a.raw = append(a.raw, p...)
	done := 0
	for {
		piece, ok := a.framer.next(a.raw[done:])
		if !ok {
			break
		}
		a.place(a.raw[done:done+piece.bytes], piece, now)
		done += piece.bytes
		a.at += int64(piece.bytes)
	}
	a.raw = append(a.raw[:0], a.raw[done:]...)
}

// place takes one piece, at a.at.
func (a *assembler) place(b []byte, p piece, now time.Time) {
	if p.frame.bytes > 0 {
		a.codec = p.frame.codec()
	}
	if p.frame.bytes > 0 || p.tag {
		a.open, a.lead = true, nil
	}
	if !a.open {
		if a.lead = append(a.lead, b...); len(a.lead) <= maxLead {
			return
		}
		b, a.lead, a.open = a.lead, nil, true
	}
	if a.coming != nil && a.at >= a.from {
		a.flush()
		a.title, a.coming = a.coming, nil
	}
	for len(b) > 0 {
		if len(a.pending) > 0 && len(a.pending)+len(b) > chunkBytes {
			a.flush()
		}
		n := len(b)
		if p.frame.bytes == 0 {
			n = min(n, chunkBytes)
		}
		a.take(b[:n], now)
		b = b[n:]
	}
	if p.frame.bytes > 0 {
		a.clock.add(p.frame.samples, p.frame.rate)
	}
	a.flushFull()
}

// unframed takes bytes of a format whose frames are not known: by the bitrate, or as time goes by.
func (a *assembler) unframed(p []byte, now time.Time) {
	for len(p) > 0 {
		n := min(len(p), chunkBytes-len(a.pending))
		a.take(p[:n], now)
		p = p[n:]
		if a.bits > 0 {
			a.clock.add(8*int64(n), a.bits)
		} else {
			a.clock.base += max(0, int64(now.Sub(a.began)))
			a.began = now
		}
		if len(a.pending) == chunkBytes {
			a.flush()
		}
	}
	a.flushFull()
}

func (a *assembler) take(b []byte, now time.Time) {
	if len(a.pending) == 0 {
		a.since = now
	}
	a.pending = append(a.pending, b...)
}

func (a *assembler) flushFull() {
	if a.clock.pos()-a.start >= chunkMedia {
		a.flush()
	}
}

// metadata pins a block to the audio that follows it: to the next frame that begins.
func (a *assembler) metadata(block []byte) {
	current := a.title
	if a.coming != nil {
		current = a.coming
	}
	if current != nil && bytes.Equal(current.block, block) {
		return
	}
	a.coming, a.from = &title{block: block}, a.at+int64(len(a.raw))
	if !a.framed {
		a.flush()
		a.title, a.coming = a.coming, nil
	}
}

// latest is the title of what arrives at present.
func (a *assembler) latest() *title {
	if a.coming != nil {
		return a.coming
	}
	return a.title
}

// due is when what is pending must go; zero if nothing is.
func (a *assembler) due() time.Time {
	if len(a.pending) == 0 {
		return time.Time{}
	}
	return a.since.Add(chunkAge)
}

func (a *assembler) flushDue(now time.Time) {
	if len(a.pending) > 0 && !now.Before(a.due()) {
		a.flush()
	}
}

// flush makes a chunk of what is pending. What is left of a frame stays behind: at the end of a run it is dropped, so
// that listeners hear on at a frame.
func (a *assembler) flush() {
	if len(a.pending) == 0 {
		return
	}
	end := a.clock.pos()
	a.emit(&chunk{data: bytes.Clone(a.pending), start: a.start, end: end, title: a.title, entry: true})
	a.pending, a.start = a.pending[:0], end
}
