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
	gauge *streamCounters

	who atomic.Pointer[Who] // what it points to stays as it is; replaced under mu. Key and Kind stay

	busy atomic.Int32 // transfers not settled to their end; the tick visits only accounts with some

	mu          sync.Mutex
	covered     coverage
	meters      []meter
	transfers   []*Transfer
	bytes       int64
	media       int64 // ns
	lastMS      int64 // Unix ms of the last byte; on a new account, of its making
	startMS     int64
	reason      Reason
	finalisedMS int64  // of lastMS when the session was finalised last; 0: it was not
	closed      bool   // the book has let go of it
	unwritten   bool   // changed since the journal last wrote it
	file, ref   uint64 // the journal file that knows it, and its number there
}

// meter is the open slice of one stream of the session.
type meter struct {
	stream string
	seq    uint64 // of the event that the open slice will become; 0: no slice is open
	id     string // of that event; made when it is first asked for, as the journal asks twice a second
	fromMS int64
	timeMS int64
	offset int64
	bytes  int64
	media  int64 // ns; less than a millisecond is carried into the next slice
}

// Who tells whose account it is.
func (a *Account) Who() Who { return *a.who.Load() }

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
	s := Snapshot{Who: a.Who(), Bytes: a.bytes, Media: time.Duration(a.media),
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
	defer a.mu.Unlock()
	a.reason = reason
	a.unwritten = true
	if a.closed {
		a.book.remember(a.who.Load().Key, reason)
	}
}

// settle moves what has left the edge since the last time into the open slices; for the last time if nothing more will be
// learned of what the bytes are. The caller holds mu.
func (a *Account) settle(now time.Time, last bool) {
	for i := 0; i < len(a.transfers); {
		t := a.transfers[i]
		credited, done := t.settle(now, last)
		a.unwritten = a.unwritten || credited
		if done {
			a.remove(t)
		} else {
			i++
		}
	}
}

// remove forgets a transfer that is over; the last one takes its place. The caller holds mu.
func (a *Account) remove(t *Transfer) {
	end := len(a.transfers) - 1
	moved := a.transfers[end]
	a.transfers[t.index], moved.index = moved, t.index
	a.transfers[end] = nil
	a.transfers = a.transfers[:end]
	t.index = -1
	t.over.Store(true)
	a.busy.Add(-1)
}

// credit adds bytes and spans of a transfer to the open slice of its stream. The caller holds mu.
func (a *Account) credit(t *Transfer, bytes int64, spans []Span, fromMS, timeMS int64) {
	var media int64
	for _, s := range spans {
		if s.To <= s.From {
			continue
		}
		if fresh := a.covered.add(interval{s.Axis, s.From, s.To, timeMS}); fresh > 0 {
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
func (a *Account) rewind(now time.Time, last bool, take func(Event) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(now, last)
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
	if m.id == "" {
		m.id = a.book.eventID(m.seq)
	}
	return Event{ID: m.id, FromMS: m.fromMS, TimeMS: m.timeMS, Who: a.Who(), Stream: m.stream,
		Bytes: m.bytes, MediaMS: m.media / int64(time.Millisecond), Offset: m.offset}
}

// closeIfIdle closes the account if it has nothing open and has heard nothing since t. The book is to remember why it
// ended until the session is finalised, if it has not been yet.
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
	if a.reason != "" && a.finalisedMS < a.lastMS {
		a.book.remember(a.who.Load().Key, a.reason)
	}
	return true
}

// closeUnheard closes the account if it has heard nothing, ever.
func (a *Account) closeUnheard() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.transfers) > 0 || len(a.meters) > 0 || a.bytes > 0 {
		return false
	}
	a.closed = true
	return true
}

// lock returns the session's account, locked: this one, or its successor if this one was closed meanwhile.
func (a *Account) lock() *Account {
	a.mu.Lock()
	for a.closed {
		a.mu.Unlock()
		a = a.book.Account(a.Who())
		a.mu.Lock()
	}
	return a
}
