package relay

import (
	"sync/atomic"
	"time"

	"earshot/listen"
)

// meter tells a listener's account what was written to him. It belongs to whoever writes to him.
type meter struct {
	// Set at construction.
	stream string
	axis   uint64
	offset time.Duration // behind live, where he began
	unsent func() int64  // of what was written to the connection

	account *listen.Account // nil while it is not known whether he listens

	written atomic.Int64 // body bytes handed to the connection
	media   atomic.Int64 // ns, that they are worth
	pos     atomic.Int64 // where the media stands
	looked  []stretch    // all of that, while there is no account
	now     *tally       // nil until the first audio
	before  []*tally     // not known to have left in whole yet
	past    int64        // bytes of those that have
}

// tally is a transfer over media without a gap. When the source was away, the media goes on at another place: the
// time between was not heard, so that takes a transfer of its own.
type tally struct {
	meter    *meter
	transfer *listen.Transfer
	live     *listen.Live
	end      atomic.Int64 // written when it ended; −1 while it is the present one
}

// stretch is bytes that were written of media without a gap, ns on the axis.
type stretch struct{ bytes, from, to int64 }

// wrote counts n bytes, the first of which is at the media position from, and after which the media stands at to.
func (m *meter) wrote(n, from, to int64) {
	switch {
	case m.account == nil:
		if end := len(m.looked) - 1; end >= 0 && m.looked[end].to == from {
			m.looked[end].bytes += n
			m.looked[end].to = to
		} else {
			m.looked = append(m.looked, stretch{n, from, to})
		}
	case m.now == nil || m.pos.Load() != from:
		m.open(from, m.written.Load())
	}
	m.written.Add(n)
	m.media.Add(to - from)
	m.pos.Store(to)
	if m.now != nil {
		m.now.wrote(n, to)
	}
}

func (t *tally) wrote(n, to int64) {
	t.live.Wrote(n, to)
	t.transfer.Wrote(n)
}

// charge names the account, to which all that was written so far is charged too.
func (m *meter) charge(a *listen.Account) {
	m.account = a
	n := int64(0)
	for _, s := range m.looked {
		m.open(s.from, n)
		m.now.wrote(s.bytes, s.to)
		n += s.bytes
	}
	m.looked = nil
}

// turn has what is written from now on charged to another account, while the media goes on.
func (m *meter) turn(a *listen.Account) {
	if m.account == a {
		return
	}
	m.account = a
	if m.now != nil {
		m.open(m.pos.Load(), m.written.Load())
	}
}

// open makes sure that what is written after the first n bytes is metered from media position pos on.
func (m *meter) open(pos, n int64) {
	if m.now != nil {
		m.now.end.Store(n)
		m.now.transfer.Finish(false)
		m.before = append(m.settled(), m.now)
	}
	t := &tally{meter: m, live: listen.NewLive(m.axis, pos)}
	t.end.Store(-1)
	t.transfer = m.account.Open(listen.Body{Stream: m.stream, Length: -1, Offset: m.offset, Placer: t.live, Unsent: t.unsent})
	m.now = t
}

// settled leaves out of before what the kernel holds nothing of any more: the book has settled that.
func (m *meter) settled() []*tally {
	held := m.before[:0]
	for _, t := range m.before {
		if t.unsent() > 0 {
			held = append(held, t)
			continue
		}
		t.transfer.Arrived()
		m.past += t.transfer.Written()
	}
	clear(m.before[len(held):])
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

// finish settles the meter, and tells how many bytes of the body the listener has had. The connection must still be open, or its socket
// remember: what the kernel holds then is not counted.
func (m *meter) finish() int64 {
	if m.now == nil {
		return m.written.Load()
	}
	for _, t := range m.before {
		t.transfer.Gone()
		m.past += t.transfer.Written()
	}
	m.now.transfer.Finish(true)
	return m.past + m.now.transfer.Written()
}
