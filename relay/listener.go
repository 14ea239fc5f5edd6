package relay

import (
	"errors"
	"net"
	"os"
	"sync"
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
	account *listen.Account
	onLeave func(Left)
	joined  time.Time
	metaInt int
	turn    int

	// Owned by its goroutine.
	pending  []byte // goes before the body
	cursor   *chunk // the last one sent
	metaLeft int    // audio bytes until the next block
	title    *title // the last one sent
	meter    meter
	armed    time.Time // until when the deadline of the connection needs no change
	looked   time.Time // when it was last checked that he is there

	reason atomic.Pointer[listen.Reason] // he is to leave
	cut    atomic.Bool                   // and at once
}

// lookEvery is how often it is checked that a listener has not left.
const lookEvery = 450 * time.Millisecond

// end makes the listener leave, even out of a write; but if only the source is gone he still gets what there is of it.
// The first reason stands. He notices at his next turn at the latest.
func (l *listener) end(reason listen.Reason) {
	l.reason.CompareAndSwap(nil, &reason)
	if reason != listen.SourceGone {
		l.cut.Store(true)
		l.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

func (l *listener) run() {
	var watch sync.WaitGroup
	if l.sock == nil {
		watch.Go(l.watch)
	}
	reason := l.serve()
	l.leave(reason)
	watch.Wait()
	l.hub.left(l, reason)
	l.account.Close(reason)
	if l.onLeave != nil {
		l.onLeave(Left{reason, l.meter.left(), time.Since(l.joined)})
	}
}

// watch notices that the listener leaves where the kernel cannot be asked. A listener has nothing to say; one who
// says much is no longer listened to.
func (l *listener) watch() {
	var b [512]byte
	for range 128 {
		if _, err := l.conn.Read(b[:]); err != nil {
			l.end(listen.Left)
			return
		}
	}
}

// serve sends until there is a reason to stop.
func (l *listener) serve() listen.Reason {
	for {
		bell := l.bell()
		now := time.Now()
		for {
			b, reason := l.next(now)
			if reason != "" {
				return reason
			}
			if b == nil {
				break
			}
			if reason := l.send(b); reason != "" {
				return reason
			}
			now = time.Now()
		}
		if l.gone(now) {
			return listen.Left
		}
		<-bell
	}
}

// bell is what wakes him next: who has not had his burst yet is woken more often.
func (l *listener) bell() <-chan struct{} {
	if burst := l.hub.mount.Burst; burst < smallBurst || l.meter.written.Load() < burst {
		return l.hub.beat.eager.wait()
	}
	return l.hub.beat.turn[l.turn].wait()
}

// next is what is to be written; nil if there is nothing yet.
func (l *listener) next(now time.Time) (*batch, listen.Reason) {
	l.arm(now)
	ended := l.reason.Load()
	if l.cut.Load() {
		return nil, *ended
	}
	c := l.cursor.next.Load()
	switch {
	case c == nil && ended != nil:
		return nil, *ended
	case c == nil && l.pending == nil:
		return nil, ""
	case c != nil && ended == nil && c.seq < l.hub.ring.oldest.Load():
		return nil, listen.Slow
	}
	return l.gather(c), ""
}

// arm sets the deadline of writes, well ahead, so that it is seldom set: a write that begins now has WriteStall at the
// least. It comes before the look at cut, so that it cannot undo what
// end has set.
func (l *listener) arm(now time.Time) {
	if stall := l.hub.relay.opt.WriteStall; now.After(l.armed) {
		l.armed = now.Add(stall / 2)
		l.conn.SetWriteDeadline(l.armed.Add(stall))
	}
}

// gather takes chunks from c on, as far as the media goes on without a gap, and puts the metadata between.
func (l *listener) gather(c *chunk) *batch {
	b := batches.Get().(*batch)
	if l.pending != nil {
		b.add(l.pending)
		b.head, b.bytes, l.pending = b.bytes, 0, nil
	}
	if c != nil {
		l.meter.at(c.start)
	}
	for last := (*chunk)(nil); c != nil && !b.full() && (last == nil || last.end == c.start); c = c.next.Load() {
		l.interleave(b, c)
		b.marks = append(b.marks, mark{b.bytes, c.end})
		l.cursor, last = c, c
	}
	return b
}

// interleave adds a chunk with the metadata that is due in it. A block stands before the byte that follows it, so
// that it carries that byte's title.
func (l *listener) interleave(b *batch, c *chunk) {
	if l.metaInt == 0 {
		b.add(c.data)
		return
	}
	for p := c.data; len(p) > 0; {
		if l.metaLeft == 0 {
			b.add(l.block(c.title))
			l.metaLeft = l.metaInt
		}
		n := min(l.metaLeft, len(p))
		b.add(p[:n])
		l.metaLeft -= n
		p = p[n:]
	}
}

func (l *listener) block(t *title) []byte {
	if t == nil || t == l.title || t.block == nil {
		return unchanged
	}
	l.title = t
	return t.block
}

// send writes a batch and meters what went.
func (l *listener) send(b *batch) listen.Reason {
	defer b.release()
	from := l.meter.pos
	n, err := b.write(l.conn)
	body := max(0, n-int64(b.head))
	l.meter.wrote(body, b.at(body, from))
	if err == nil {
		return ""
	}
	if r := l.reason.Load(); r != nil {
		return *r
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return listen.Stalled
	}
	return listen.Left
}

func (l *listener) gone(now time.Time) bool {
	if l.sock == nil || now.Sub(l.looked) < lookEvery {
		return false
	}
	l.looked = now
	return l.sock.hungUp()
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
	l.meter.finish()
	l.conn.Close()
}
