package listen

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Placer tells what a body's bytes are on the session's media timeline. It is called with the account locked, from
// the settling loop or at the body's end: it must not block.
type Placer interface {
	// Metered tells whether the body counts: media does, keys and playlists do not. ok is false while that
	// cannot be told; the bytes wait, and count if it never can.
	Metered() (yes, ok bool)

	// Place appends to dst the spans that a piece of the body holds. ok is false while that cannot be told; the
	// same bytes are asked for again, with what was sent meanwhile.
	Place(dst []Span, p Piece) (spans []Span, ok bool)
}

// Piece is the bytes [From, To) of a body.
type Piece struct {
	From, To int64
	Total    int64 // length of the body; −1 while it is unknown
	Over     bool  // nothing follows: what Total is now it stays
	Whole    bool  // nothing follows, and nothing was cut off
	Last     bool  // it is asked for the last time: say what can be said
}

// Transfer meters one body on its way to one listener. Wrote is called by the one goroutine that sends it, and
// costs an atomic add; the rest happens when the account is settled.
type Transfer struct {
	// Set at construction.
	account *Account
	stream  string
	offset  int64 // ms behind live
	placer  Placer
	unsent  func() int64

	written atomic.Int64
	over    atomic.Bool // it is settled to its end

	// Guarded by account.mu.
	index  int   // in account.transfers; −1 when it is over
	length int64 // of the body; −1 unknown
	ended  bool  // it was written to its end
	bytes  int64 // counted so far
	placed int64 // placed on the timeline so far
	seenMS int64 // when it was settled last
	end    ending
}

type ending uint8

const (
	running ending = iota
	sending        // all handed to the kernel; some of it may be unsent
	whole          // all has left
	broken         // the connection broke: what the kernel held is lost
)

// Body says what a Transfer sends.
type Body struct {
	Stream string        // stream key
	Length int64         // bytes the body is to have; −1 unknown
	Offset time.Duration // behind live
	Placer Placer

	// Unsent tells how many of the bytes written the kernel still holds unsent; nil where that cannot be known.
	// It is called at any time until the transfer is over, and must not block.
	Unsent func() int64
}

// Open begins to meter a body. The caller must Finish it.
func (a *Account) Open(b Body) *Transfer {
	a = a.lock()
	defer a.mu.Unlock()
	t := &Transfer{account: a, stream: b.Stream, offset: b.Offset.Milliseconds(), placer: b.Placer,
		unsent: b.Unsent, length: b.Length, seenMS: a.book.now().UnixMilli()}
	t.index = len(a.transfers)
	a.transfers = append(a.transfers, t)
	a.busy.Add(1)
	return t
}

// Wrote notes that n more bytes of the body were handed to the kernel.
func (t *Transfer) Wrote(n int64) { t.written.Add(n) }

// Written is how many bytes of the body were handed to the kernel.
func (t *Transfer) Written() int64 { return t.written.Load() }

// Over reports whether all of the body is accounted for: what is said of it from now on changes nothing.
func (t *Transfer) Over() bool { return t.over.Load() }

// Running reports whether more of the body may be written: nobody has said that it is at its end.
func (t *Transfer) Running() bool {
	t.account.mu.Lock()
	defer t.account.mu.Unlock()
	return t.end == running
}

// Finish says that no more will be written: the body was sent to its end, or failed says that the listener's connection broke.
// What the kernel holds is settled as it leaves, until [Transfer.Gone].
func (t *Transfer) Finish(failed bool) {
	if failed {
		t.finish(broken, false)
		return
	}
	t.finish(sending, true)
}

// Broke says that no more will be written, for want of more: the body ends before its end, and what was written of it leaves.
func (t *Transfer) Broke() { t.finish(sending, false) }

// Gone says that the connection is no more: what the kernel holds unsent now will never arrive. It does nothing to a
// transfer that is over.
func (t *Transfer) Gone() { t.finish(broken, false) }

// Arrived says that the listener has all that was written.
func (t *Transfer) Arrived() { t.finish(whole, false) }

func (t *Transfer) finish(end ending, ended bool) {
	t.conclude(end, ended)
	t.account.book.kick(t.account)
}

func (t *Transfer) conclude(end ending, ended bool) {
	a := t.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.end < whole {
		t.end = end
		if t.ended = t.ended || ended; t.ended && t.length < 0 {
			t.length = t.written.Load()
		}
		if end == whole {
			t.unsent = nil
		}
	}
	if t.index >= 0 {
		credited, done := t.settle(a.book.now(), false)
		a.unwritten = a.unwritten || credited
		if done {
			a.remove(t)
		}
	}
}

// settle credits what has left since the last time; done when nothing can follow. What cannot be told by the last time counts as
// bytes, and as no time. The caller holds account.mu.
func (t *Transfer) settle(now time.Time, last bool) (credited, done bool) {
	if t.end == running && t.bytes == t.placed && t.bytes == t.written.Load() { // as every other time, of a live stream
		t.seenMS = now.UnixMilli()
		return false, false
	}
	left := t.left()
	count, known := t.metered()
	if known && !count {
		return false, t.end > sending
	}
	known = known || last
	bytes, spans := int64(0), []Span(nil)
	if known && left > t.bytes {
		bytes, t.bytes = left-t.bytes, left
	}
	if left > t.placed {
		space := spanSpace.Get().(*[8]Span)
		defer spanSpace.Put(space)
		over := t.end == whole
		placed, ok := t.place(space[:0], Piece{t.placed, left, t.length, over, over && t.ended, last})
		if ok || last {
			spans, t.placed = placed, left
		}
	}
	nowMS := now.UnixMilli()
	if bytes > 0 || len(spans) > 0 {
		t.account.credit(t, bytes, spans, t.seenMS, nowMS)
		credited = true
	}
	t.seenMS = nowMS
	return credited, t.end > sending && t.bytes >= left && t.placed >= left
}

// spanSpace is for what most pieces hold: few spans.
var spanSpace = sync.Pool{New: func() any { return new([8]Span) }}

func (t *Transfer) metered() (yes, ok bool) {
	defer func() {
		if t.gaveUp(recover()) {
			yes, ok = true, true
		}
	}()
	return t.placer.Metered()
}

func (t *Transfer) place(dst []Span, p Piece) (spans []Span, ok bool) {
	defer func() {
		if t.gaveUp(recover()) {
			spans, ok = nil, true
		}
	}()
	return t.placer.Place(dst, p)
}

// gaveUp takes the placer away that panicked: what is left of the body counts as bytes without time. Placing is asked for by the
// settling loop too, with the account locked, where a panic would end the process and all that is heard through it.
func (t *Transfer) gaveUp(panicked any) bool {
	if panicked == nil {
		return false
	}
	t.placer = unplaced{}
	t.account.book.opt.Log.Error("placing a body panicked: the rest of it counts as bytes without time", "stream", t.stream,
		"panic", panicked, "stack", string(debug.Stack()))
	return true
}

// unplaced is on no timeline.
type unplaced struct{}

func (unplaced) Metered() (yes, ok bool)                  { return true, true }
func (unplaced) Place(dst []Span, _ Piece) ([]Span, bool) { return dst, true }

// left is how many bytes of the body have left the edge for certain. Once a transfer is over it stays what it was.
func (t *Transfer) left() int64 {
	left := t.written.Load()
	if t.end == whole {
		return left
	}
	if t.unsent != nil && left > min(t.bytes, t.placed) { // else nothing is new, and the kernel need not be asked
		left = max(left-t.unsent(), t.bytes, t.placed)
	}
	switch {
	case t.end == broken:
		t.written.Store(left)
		t.end, t.unsent = whole, nil
	case t.end == sending && left == t.written.Load():
		t.end, t.unsent = whole, nil
	}
	return left
}

// Live places a body without an end on the clock of its own stream: the writer says with each write how far
// the media has come. It is safe for one writer and the settling loop.
type Live struct {
	axis uint64

	mu    sync.Mutex
	bytes int64 // written up to pos
	pos   int64 // ns on the axis

	atBytes, atPos int64 // settled up to
}

// NewLive makes a Placer for a body that begins at media position pos (ns) of the axis.
func NewLive(axis uint64, pos int64) *Live { return &Live{axis: axis, pos: pos, atPos: pos} }

// Wrote notes that n more bytes were written, after which the media stands at pos (ns).
func (l *Live) Wrote(n, pos int64) {
	l.mu.Lock()
	l.bytes += n
	l.pos = pos
	l.mu.Unlock()
}

// Metered says yes: all of it is media.
func (l *Live) Metered() (yes, ok bool) { return true, true }

// Place interpolates between the last settled point and the last write.
func (l *Live) Place(dst []Span, p Piece) ([]Span, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos := l.pos
	if ahead := l.bytes - l.atBytes; p.To < l.bytes && ahead > 0 {
		pos = l.atPos + int64(float64(l.pos-l.atPos)*(float64(p.To-l.atBytes)/float64(ahead)))
	}
	if pos > l.atPos {
		dst = append(dst, Span{Axis: l.axis, From: l.atPos, To: pos, Worth: pos - l.atPos})
		l.atBytes, l.atPos = p.To, pos
	}
	return dst, true
}
