package listen

import (
	"sync"
	"sync/atomic"
	"time"
)

// Account is one session's running meters. Everything heard in the session, over whatever connections and streams,
// goes through one Account, so that what was heard twice is known.
type Account struct {
	// Set at construction.
	book  *Book
	who   Who
	gauge *streamCounters

	busy atomic.Int32 // transfers not settled to their end; the tick visits only accounts with some

	mu        sync.Mutex
	covered   coverage
	meters    []meter
	transfers []*Transfer
	bytes     int64
	media     int64 // ns
	lastMS    int64 // Unix ms of the last byte; on a new account, of its making
	startMS   int64
	reason    Reason
	closed    bool   // the book has let go of it
	unwritten bool   // changed since the journal last wrote it
	file, ref uint64 // the journal file that knows it, and its number there
}

// meter is the open slice of one stream of the session.
type meter struct {
	stream string
	seq    uint64 // of the event that the open slice will become; 0: no slice is open
	fromMS int64
	timeMS int64
	offset int64
	bytes  int64
	media  int64 // ns; less than a millisecond is carried into the next slice
}

// Who tells whose account it is.
func (a *Account) Who() Who { return a.who }

// Snapshot is what an account has counted so far.
type Snapshot struct {
	Who       Who
	Stream    string // the stream heard last
	Bytes     int64
	Media     time.Duration
	Started   time.Time
	Last      time.Time
	Transfers int // bodies on their way now
}

// Snapshot reads the account.
func (a *Account) Snapshot() Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Snapshot{Who: a.who, Bytes: a.bytes, Media: time.Duration(a.media),
		Started: time.UnixMilli(a.startMS), Last: time.UnixMilli(a.lastMS), Transfers: len(a.transfers)}
	var latest int64
	for i := range a.meters {
		if m := &a.meters[i]; m.timeMS >= latest {
			latest, s.Stream = m.timeMS, m.stream
		}
	}
	return s
}

// Close notes why the session ended. It does not end it: a session is over when it has been idle.
func (a *Account) Close(reason Reason) {
	a.mu.Lock()
	a.reason = reason
	a.unwritten = true
	a.mu.Unlock()
}

// settle moves what has left the edge since the last time into the open slices. It reports whether anything
// changed.
func (a *Account) settle(now time.Time) (changed bool) {
	kept := a.transfers[:0]
	for _, t := range a.transfers {
		credited, done := t.settle(now)
		changed = changed || credited
		if !done {
			kept = append(kept, t)
		}
	}
	if gone := len(a.transfers) - len(kept); gone > 0 {
		clear(a.transfers[len(kept):])
		a.transfers = kept
		a.busy.Add(int32(-gone))
	}
	a.unwritten = a.unwritten || changed
	return changed
}

// credit adds bytes and spans of a transfer to the open slice of its stream. The caller holds mu.
func (a *Account) credit(t *Transfer, bytes int64, spans []Span, fromMS, timeMS int64) {
	var media int64
	for _, s := range spans {
		if s.To <= s.From {
			continue
		}
		if fresh := a.covered.add(s.Axis, s.From, s.To); fresh > 0 {
			media += worth(s, fresh)
		}
	}
	m := a.meter(t.stream)
	if m.seq == 0 {
		m.seq = a.book.seq.Add(1)
		m.fromMS, m.timeMS, m.offset = fromMS, timeMS, t.offset
	}
	m.fromMS = min(m.fromMS, fromMS)
	m.timeMS = max(m.timeMS, timeMS)
	m.bytes += bytes
	m.media += media
	a.bytes += bytes
	a.media += media
	a.lastMS = max(a.lastMS, timeMS)
	a.gauge.add(bytes, media)
}

// worth is what fresh units of a span are worth, in ns.
func worth(s Span, fresh int64) int64 {
	if whole := s.To - s.From; fresh < whole {
		return int64(float64(s.Worth) * (float64(fresh) / float64(whole)))
	}
	return s.Worth
}

func (a *Account) meter(stream string) *meter {
	for i := range a.meters {
		if a.meters[i].stream == stream {
			return &a.meters[i]
		}
	}
	if len(a.meters) < maxMeters {
		a.meters = append(a.meters, meter{stream: stream})
		return &a.meters[len(a.meters)-1]
	}
	for i := range a.meters {
		if a.meters[i].seq == 0 {
			a.meters[i] = meter{stream: stream}
			return &a.meters[i]
		}
	}
	return &a.meters[0] // maxMeters streams in one slice: charged to the first
}

// maxMeters bounds the streams a session is metered on in one slice.
const maxMeters = 32

// rewind closes the open slices into events and hands them to take, which must not block. What take refuses stays
// open and grows on. Nothing is heard: no event.
func (a *Account) rewind(now time.Time, take func(Event) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(now)
	for i := range a.meters {
		m := &a.meters[i]
		if m.seq == 0 || !take(a.event(m)) {
			continue
		}
		*m = meter{stream: m.stream, media: m.media % int64(time.Millisecond), timeMS: m.timeMS}
		a.unwritten = true
	}
}

// event is the open slice as it stands. The caller holds mu.
func (a *Account) event(m *meter) Event {
	return Event{ID: a.book.eventID(m.seq), FromMS: m.fromMS, TimeMS: m.timeMS, Who: a.who, Stream: m.stream,
		Bytes: m.bytes, MediaMS: m.media / int64(time.Millisecond), Offset: m.offset}
}

// closeIfIdle closes the account if it has nothing open and has heard nothing since t.
func (a *Account) closeIfIdle(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.transfers) > 0 || a.lastMS >= t.UnixMilli() {
		return false
	}
	for i := range a.meters {
		if a.meters[i].seq != 0 {
			return false
		}
	}
	a.closed = true
	return true
}

// lock returns the session's account, locked: this one, or its successor if this one was closed meanwhile.
func (a *Account) lock() *Account {
	a.mu.Lock()
	for a.closed {
		a.mu.Unlock()
		a = a.book.Account(a.who)
		a.mu.Lock()
	}
	return a
}
