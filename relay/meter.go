package relay

import (
	"sync/atomic"

	"earshot/listen"
)

// meter tells a listener's account what was written to him. It belongs to the listener's goroutine.
type meter struct {
	// Set at construction.
	account *listen.Account
	stream  string
	axis    uint64
	unsent  func() int64 // of what was written to the connection

	written atomic.Int64 // body bytes handed to the connection
	pos     int64        // where the media stands
	now     *tally       // nil until the first audio
	before  []*tally     // not known to have left in whole yet
}

// tally is a transfer over media without a gap. When the source was away, the media goes on at another place: the
// time between was not heard, so that takes a transfer of its own.
type tally struct {
	meter    *meter
	transfer *listen.Transfer
	live     *listen.Live
	end      atomic.Int64 // written when it ended; −1 while it is the present one
}

// at makes sure that what is written next is metered from media position pos on.
func (m *meter) at(pos int64) {
	if m.now != nil {
		if m.pos == pos {
			return
		}
		m.now.end.Store(m.written.Load())
		m.now.transfer.Finish(false)
		m.before = append(stillHeld(m.before), m.now)
	}
	t := &tally{meter: m, live: listen.NewLive(m.axis, pos)}
	t.end.Store(-1)
	t.transfer = m.account.Open(listen.Body{Stream: m.stream, Length: -1, Placer: t.live, Unsent: t.unsent})
	m.now, m.pos = t, pos
}

// stillHeld leaves out what the kernel holds nothing of any more: the book has settled that.
func stillHeld(before []*tally) []*tally {
	held := before[:0]
	for _, t := range before {
		if t.unsent() > 0 {
			held = append(held, t)
		} else {
			t.transfer.Arrived()
		}
	}
	clear(before[len(held):])
	return held
}

// unsent is how much of this transfer the kernel holds: what was written after it is sent after it.
func (t *tally) unsent() int64 {
	written := t.meter.written.Load() // first: what is written meanwhile must not look sent
	unsent := t.meter.unsent()
	if end := t.end.Load(); end >= 0 {
		unsent -= written - end
	}
	return max(0, unsent)
}

// wrote counts n bytes, after which the media stands at pos.
func (m *meter) wrote(n, pos int64) {
	if m.now == nil || n == 0 {
		return
	}
	m.written.Add(n)
	m.pos = pos
	m.now.live.Wrote(n, pos)
	m.now.transfer.Wrote(n)
}

// left is how many bytes of the body the listener has had, once the meter is finished.
func (m *meter) left() int64 {
	return m.written.Load() // until the transfers say what was lost
}

// finish settles the meter. The connection must still be open: what the kernel holds then is not counted.
func (m *meter) finish() {
	for _, t := range m.before {
		t.transfer.Gone()
	}
	if m.now != nil {
		m.now.transfer.Finish(true)
	}
}
