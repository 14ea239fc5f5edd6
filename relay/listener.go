package relay

import (
	"net"
	"sync/atomic"
	"time"

	"earshot/listen"
)

// listener is a cursor into the ring and a connection to write to.
type listener struct {
	// Set at construction.
	hub     *Hub
	conn    net.Conn
	sock    *socket // nil where the kernel cannot be asked
	direct  bool    // the writer writes to the socket itself; else a goroutine of the listener's own does
	writer  *writer
	onLeave func(Left)
	ticket  *Ticket // may be nil
	joined  time.Time
	lag     int64         // ns that he stays behind live; 0: as far as there is
	wake    chan struct{} // of the goroutine, told when it is his turn; nil if direct
	let     chan struct{} // closed when the writer has let go of him; nil if direct

	account atomic.Pointer[listen.Account] // the first one; nil while he is on trial
	charged atomic.Pointer[listen.Account] // to be charged instead, if not nil, once there is a first one
	taken   atomic.Int64                   // the most that the ticket has told
	looks   bool                           // he has no place yet; guarded by the hub's mu
	served  atomic.Bool                    // the goroutine is done

	// Owned by the writer.
	place seat
	gone  bool // the writer has let go of him

	// Owned by the writer if direct, else by the goroutine.
	pending []byte // goes before the body
	cursor  cursor
	intro   bool // the cursor is in the mount's intro
	meter   meter
	since   time.Time // he has taken nothing since then; zero: he takes what there is
	trial   *trial    // nil: he is a listener from the first byte, or has become one

	until  atomic.Int64                  // where what he still gets ends, if only the source is gone; ns on the media axis. Set before reason
	reason atomic.Pointer[listen.Reason] // he is to leave
	cut    atomic.Bool                   // and at once. Set after reason
}

// end makes the listener leave, even out of a write; but if only the source is gone he still gets what there is of it.
// The first reason stands.
func (l *listener) end(reason listen.Reason) {
	if reason == listen.SourceGone {
		l.until.CompareAndSwap(0, l.hub.ring.end())
	}
	l.reason.CompareAndSwap(nil, &reason)
	if reason != listen.SourceGone {
		l.cut.Store(true)
		if !l.direct {
			l.conn.SetWriteDeadline(time.Unix(1, 0))
		}
	}
	l.writer.call(l)
}

// over is why nothing more is to be sent to him; "" if he listens on.
func (l *listener) over() listen.Reason {
	// The reason comes last: it stands before he is cut, and before the ring is emptied under him.
	oldest, cut := l.hub.ring.oldest.Load(), l.cut.Load()
	ended := l.reason.Load()
	if cut {
		return *ended
	}
	next := l.cursor.chunk.next.Load()
	switch {
	case ended == nil && !l.intro && next != nil && next.seq < oldest:
		return listen.Slow
	case ended != nil && l.pending == nil && !l.cursor.waits(l.until.Load()) && l.sock.unsent() == 0:
		return *ended
	case !l.since.IsZero() && time.Since(l.since) > l.hub.relay.opt.WriteStall:
		return listen.Stalled
	}
	return ""
}

// horizon is how far he may be sent now, ns on the media axis.
func (l *listener) horizon(now time.Time) int64 {
	if l.intro {
		return always
	}
	far := int64(always)
	if l.lag > 0 {
		far = l.hub.ring.liveAt(now) - l.lag
	}
	if l.reason.Load() != nil {
		far = min(far, l.until.Load())
	}
	return far
}

// idle notes that there is nothing to send. Who only waits until the kernel has sent the last of it has no longer for that than for a write.
func (l *listener) idle(now time.Time) {
	switch {
	case l.reason.Load() == nil || l.cursor.waits(l.until.Load()):
		l.since = time.Time{}
	case l.since.IsZero():
		l.since = now
	}
}

// look is what is to be written next, after pending, and where the cursor will be then.
func (l *listener) look(dst [][]byte, now time.Time) (pieces [][]byte, n int, from int64, then cursor) {
	if l.intro && !l.cursor.waits(always) {
		// Who is ended meanwhile has no place in the ring: it may hold another stream by now.
		if at := l.hub.ring.join(); l.reason.Load() == nil {
			l.intro = false
			l.begin(at)
		}
	}
	if l.cursor.untold = l.hub.opening.Load(); l.intro {
		l.cursor.untold = l.hub.title.Load()
	}
	then = l.cursor
	pieces, n, from = then.walk(dst, batchBytes, l.horizon(now))
	return pieces, n, from, then
}

// begin goes to a place in the ring.
func (l *listener) begin(at *chunk) {
	l.cursor.chunk, l.cursor.off, l.cursor.fresh = at, len(at.data), true
}

// sent meters n bytes that were written, the first of them of pending, and moves the cursor. then is where it is after all of what was looked
// at, which was size bytes of the body that begin at from.
func (l *listener) sent(n, size int, from int64, then cursor) {
	head := min(n, len(l.pending))
	if l.pending = l.pending[head:]; len(l.pending) == 0 {
		l.pending = nil
	}
	if n -= head; n == 0 {
		return
	}
	if n == size {
		l.cursor = then
	} else {
		var space [batchPieces][]byte
		l.cursor.walk(space[:0], n, always)
	}
	l.meter.wrote(int64(n), from, l.cursor.pos())
}

// leave settles the meter while the kernel can still be asked, then closes the connection. What is not counted because
// it was not sent must not be sent after all, so the connection is reset then. (TLS would also wait for one who does
// not read to take its goodbye.)
func (l *listener) leave(reason listen.Reason) {
	if l.sock.unsent() > 0 || reason == listen.Slow || reason == listen.Stalled {
		discard(l.conn, l.sock)
	}
	if l.sock == nil {
		l.conn.Close() // a stream of a connection that goes on: what was written of it leaves
	}
	l.await()
	had := l.meter.finish()
	l.conn.Close()
	l.ticket.void(had)
	l.hub.left(l, reason)
	if a := l.whose(); a != nil {
		a.Close(reason)
	} else {
		l.hub.relay.opt.Metrics.looked(had)
	}
	if l.onLeave != nil {
		l.onLeave(Left{reason, had, time.Since(l.joined)})
	}
}

// ahead is how much more media he was sent than time has gone by.
func (l *listener) ahead(now time.Time) time.Duration {
	return time.Duration(l.meter.media.Load()) - now.Sub(l.joined)
}
