package relay

import (
	"bytes"
	"time"
)

const (
	chunkMedia = int64(300 * time.Millisecond) // of audio in a chunk
	chunkBytes = 16 << 10                      // and at most so much, whole frames and pages allowing
	chunkAge   = 250 * time.Millisecond        // and no older, so that audio is never held back

	// maxLead is how much may come before the first frame or page. Less is the tail of one that began before the source was
	// connected, and goes; more is a stream without, and passes.
	maxLead = 16 << 10
)

// assembler cuts the audio of one run into chunks. It belongs to the goroutine that reads the source.
type assembler struct {
	// Set at construction.
	emit   func(*chunk)
	family family // declared
	bits   int64  // per second, claimed; where nothing else tells the time, the clock
	known  *title // when the run began

	split   splitter // nil until the format is told
	clock   clock
	claimed bool   // some of the time is by bits
	codec   string // mp3, mpeg, aac, vorbis, opus, flac; told before the first of it is published

	raw     []byte // not yet told apart
	came    time.Time
	at      int64  // of raw[0] in the audio of the run
	lead    []byte // noise before the first frame
	open    bool   // a frame or a tag has been seen, or is no longer waited for
	astray  int    // bytes of noise in a row
	ticked  time.Time
	overlap *overlap // nil once it is decided

	on     *title // of what is placed next
	coming *title // takes over at from
	from   int64

	pending  []byte    // of the next chunk
	start    int64     // ns on the media axis, of pending
	since    time.Time // when the first of pending came
	entry    bool      // a decoder can begin at pending
	preamble []byte    // of pending
	title    *title    // of pending
}

// unit is a piece on its way into a chunk.
type unit struct {
	piece
	data  []byte
	title *title
}

func newAssembler(base int64, f family, bits int64, now time.Time, t *title, emit func(*chunk)) *assembler {
	return &assembler{emit: emit, family: f, bits: bits, known: t, ticked: now, clock: clock{base: base}, start: base, on: t}
}

// audio takes bytes of audio as they arrived at now.
func (a *assembler) audio(p []byte, now time.Time) {
	if len(a.raw) == 0 {
		a.came = now
	}
	a.raw = append(a.raw, p...)
	a.tellApart(now, false)
}

// tellApart takes the pieces off what has come. last: nothing else helps to tell the format.
func (a *assembler) tellApart(now time.Time, last bool) {
	if a.split == nil {
		if a.split = formatOf(a.raw, a.family, last); a.split == nil {
			return
		}
	}
	done := 0
	for {
		p, ok := a.split.next(a.raw[done:])
		if !ok {
			break
		}
		a.piece(a.raw[done:done+p.bytes], p, now)
		done += p.bytes
		a.at += int64(p.bytes)
	}
	if done > 0 {
		a.raw = append(a.raw[:0], a.raw[done:]...)
	}
}

// piece takes the piece at a.at.
func (a *assembler) piece(b []byte, p piece, now time.Time) {
	if p.whole || p.tag || p.pass {
		a.open, a.lead, a.astray = true, nil, 0
	} else if b, p = a.noise(b, p); b == nil {
		return
	}
	if a.coming != nil && a.at >= a.from {
		a.on, a.coming = a.coming, nil
	}
	if p.begins {
		a.on = a.same(p.link.title())
	}
	if p.header && !p.pass {
		if b = nil; p.headers == nil {
			return
		}
	}
	u := unit{p, b, a.on}
	switch {
	case a.overlap == nil:
		a.place(u, now)
	case a.overlap.take(u, now):
		a.settle(now)
	}
}

// noise is what passes of bytes that are neither frame nor page nor tag: nothing before the first frame; time with
// them only when there are so many that the stream has no frames, such as MP3 in the free format.
func (a *assembler) noise(b []byte, p piece) ([]byte, piece) {
	if !a.open {
		if a.lead = append(a.lead, b...); len(a.lead) <= maxLead {
			return nil, p
		}
		b, a.lead, a.open = a.lead, nil, true
	}
	if a.astray += len(b); a.astray > maxLead {
		p.pass, p.entry = true, true
	}
	return b, p
}

// place puts a unit into the chunk that is pending.
func (a *assembler) place(u unit, now time.Time) {
	a.name(u.piece)
	if u.begins || u.title != a.title || u.entry && !a.entry {
		a.cut()
	}
	if u.headers != nil {
		a.cut()
		pos := a.clock.pos()
		a.emit(&chunk{data: u.headers, start: pos, end: pos, title: u.title, entry: true})
	}
	b := u.data
	if u.whole && len(a.pending)+len(b) > chunkBytes {
		a.cut()
	}
	for len(b) > 0 {
		n := len(b)
		if !u.whole {
			n = min(n, chunkBytes-len(a.pending))
		}
		a.put(b[:n], u, now)
		a.tick(n, u.piece, now)
		b = b[n:]
		if len(a.pending) >= chunkBytes || a.clock.pos()-a.start >= chunkMedia {
			a.cut()
		}
	}
}

// name notes the codec of a piece.
func (a *assembler) name(p piece) {
	if p.codec != "" || p.link != nil {
		a.codec = p.codec
	}
}

func (a *assembler) put(b []byte, u unit, now time.Time) {
	if len(a.pending) == 0 {
		a.since, a.entry, a.title, a.preamble = now, u.entry, u.title, nil
		if u.link != nil {
			a.preamble = u.link.preamble
		}
	}
	a.pending = append(a.pending, b...)
}

// tick lets the clock run on for n bytes of a piece.
func (a *assembler) tick(n int, p piece, now time.Time) {
	switch {
	case p.pass && a.bits > 0:
		a.clock.add(8*int64(n), a.bits)
		a.claimed = true
	case p.pass:
		a.clock.base += max(0, int64(now.Sub(a.ticked)))
	case p.rate > 0:
		a.clock.add(p.samples, p.rate)
	}
	a.ticked = now
}

// metadata pins a block to the audio that follows it: to the next frame that begins.
func (a *assembler) metadata(block []byte) {
	if t := a.latest(); t != nil && bytes.Equal(t.block, block) {
		return
	}
	a.coming, a.from = a.same(&title{block: block}), a.at+int64(len(a.raw))
}

// same is the title that was on when the run began, if t says the same: listeners have had it.
func (a *assembler) same(t *title) *title {
	if t != nil && a.known != nil && t.said == a.known.said && bytes.Equal(t.block, a.known.block) {
		return a.known
	}
	return t
}

// latest is the title of what arrives at present.
func (a *assembler) latest() *title {
	if a.coming != nil {
		return a.coming
	}
	return a.on
}

// due is when what is kept back must go; zero if nothing is.
func (a *assembler) due() time.Time {
	switch {
	case a.split == nil && len(a.raw) > 0:
		return a.came.Add(chunkAge)
	case a.overlap != nil:
		return a.overlap.until
	case len(a.pending) == 0:
		return time.Time{}
	}
	return a.since.Add(chunkAge)
}

func (a *assembler) flushDue(now time.Time) {
	if due := a.due(); due.IsZero() || now.Before(due) {
		return
	}
	switch {
	case a.split == nil:
		a.tellApart(now, true)
	case a.overlap != nil:
		a.settle(now)
	default:
		a.cut()
	}
}

// flush makes chunks of what is kept back, at the end of a run. What is left of a frame is dropped, so that listeners
// hear on at a frame.
func (a *assembler) flush() {
	now := time.Now()
	if a.split == nil && len(a.raw) > 0 {
		a.tellApart(now, true)
	}
	if a.overlap != nil {
		a.overlap.end()
		a.settle(now)
	}
	a.cut()
}

// cut makes a chunk of what is pending.
func (a *assembler) cut() {
	if len(a.pending) == 0 {
		return
	}
	end := a.clock.pos()
	a.emit(&chunk{data: bytes.Clone(a.pending), start: a.start, end: end, title: a.title, entry: a.entry, preamble: a.preamble})
	a.pending, a.start = a.pending[:0], end
}
