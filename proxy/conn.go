package proxy

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"

	"earshot/listen"
)

// conn is a connection that knows the bodies sent on it until the listener has them: when a handler is done, most of a short segment may
// still be in the kernel. It is a TCPConn in all else, sendfile included. Under TLS it carries records, which are a little longer than the
// bodies in them: what the kernel holds of a body is never told too small.
type conn struct {
	*net.TCPConn
	*listen.Socket
	raw    syscall.RawConn
	more   atomic.Bool // what is written is followed by more at once; set by the goroutine that writes
	left   atomic.Bool // something written waits in the kernel for more; as above
	sealed atomic.Bool // TLS is spoken on it
	limits limits
	header *header // what a proxy says of the peer; nil where none is expected

	out       sync.Mutex  // of TLS, on which others may write than who sends a body
	kept      *[]byte     // what is written goes here first; guarded by out
	releasing atomic.Bool // kept is being written

	wrote atomic.Int64 // bytes given to the kernel
	torn  atomic.Int64 // of them, those of a record that it did not take to its end: TLS does not say that they were written
	end   atomic.Int32 // open, and then how it was closed

	mu       sync.Mutex // the server may close a connection while it is served
	last     *held      // of the latest body; HTTP/1 only
	before   []*held    // of other bodies that the kernel has not let go of yet: their listener asks without waiting for answers
	streamed bool       // HTTP/2 is spoken on it
}

// The ends of a connection.
const (
	connOpen int32 = iota
	connLeft       // the listener was still there: what the kernel holds reaches him
	connLost       // it does not
)

// held is a body of which the kernel may hold something. In HTTP/1 one body follows another, so that it is enough to know where it ended;
// in HTTP/2 they are mixed, and each has marks.
type held struct {
	transfer *listen.Transfer
	conn     *conn
	end      atomic.Int64 // conn.wrote when all of it had been given to the kernel; −1 before
	marks    *marks       // nil in HTTP/1
}

// maxBefore bounds the answers that a listener who does not wait for them may have on their way.
const maxBefore = 256

// NetConn is the connection beneath: what a relay does with a socket, only a TCPConn can.
func (c *conn) NetConn() net.Conn { return c.TCPConn }

func (c *conn) Write(p []byte) (int, error) {
	if !c.sealed.Load() {
		return c.write(p)
	}
	c.out.Lock()
	defer c.out.Unlock()
	if c.kept != nil {
		*c.kept = append(*c.kept, p...)
		return len(p), nil
	}
	return c.write(p)
}

func (c *conn) write(p []byte) (int, error) {
	write := c.TCPConn.Write
	if c.more.Load() {
		write = c.writeMore
	}
	n, err := write(p)
	c.left.Store(c.more.Load())
	c.wrote.Add(int64(n))
	if err != nil && c.sealed.Load() && !c.releasing.Load() {
		c.torn.Store(int64(n))
	}
	return n, err
}

// sendable is a piece of a body that the kernel can send.
type sendable interface {
	SendTo(syscall.RawConn) (sent int64, ok bool, err error)
}

func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	c.more.Store(false)
	if piece, ok := r.(sendable); ok {
		if n, ok, err = piece.SendTo(c.raw); ok {
			if n > 0 {
				c.left.Store(false)
			}
			c.wrote.Add(n)
			return n, err
		}
	}
	n, err = c.TCPConn.ReadFrom(r)
	if n > 0 {
		c.left.Store(false)
	}
	c.wrote.Add(n)
	return n, err
}

// hold is the place of the next body, which goes through w.
func (c *conn) hold(w http.ResponseWriter) *held {
	if c == nil {
		return nil
	}
	h := &held{conn: c}
	h.end.Store(-1)
	if s, ok := w.(*stream); ok {
		h.marks, s.held, s.metered = &s.marks, h, true
	}
	return h
}

// unsent is how much of the body the kernel holds: what was given to it after the body is sent after it.
func (h *held) unsent() int64 { return h.unsentAt(h.conn.position()) }

// position is what was given to the kernel and what of it is unsent, in this order: what is given meanwhile must not look sent.
func (c *conn) position() (wrote, unsent int64) {
	wrote = c.wrote.Load()
	return wrote, c.Unsent()
}

func (h *held) unsentAt(wrote, unsent int64) int64 {
	if h.marks != nil {
		return h.marks.beyond(wrote - unsent)
	}
	if h.conn.end.Load() == connLeft {
		return 0 // the kernel goes on to send it
	}
	if end := h.end.Load(); end >= 0 {
		unsent -= wrote - end
	} else {
		unsent -= h.conn.torn.Load()
	}
	return max(0, unsent)
}

// asked tells a meter how to find out what is unsent; nil where there is nobody to ask.
func (h *held) asked() func() int64 {
	if h == nil {
		return nil
	}
	return h.unsent
}

// sends notes that t is the body being sent.
func (h *held) sends(t *listen.Transfer) {
	if h == nil {
		return
	}
	c := h.conn
	c.mu.Lock()
	h.transfer = t
	closed := c.end.Load() != connOpen
	switch {
	case closed:
	case h.marks != nil:
		c.before = append(c.before, h)
	default:
		c.last = h
	}
	c.mu.Unlock()
	if closed {
		t.Gone()
	}
}

// finished is called when a body that was sent is finished: the connection may have been closed before, and then nobody else settles it.
func (c *conn) finished(t *listen.Transfer) {
	if c == nil {
		return
	}
	c.mu.Lock() // of two, one sees what the other has done
	end := c.end.Load()
	c.mu.Unlock()
	if end == connLost {
		t.Gone()
	}
}

// next notes that the listener asks for something new over HTTP/1: what was sent last is all there.
func (c *conn) next() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && !c.last.transfer.Over() {
		c.last.end.Store(c.wrote.Load())
		c.before = append(c.before, c.last)
	}
	c.last = nil
	c.sweep()
}

// sweep lets go of the bodies that are over and that the kernel has let go of: they have reached the listener. The caller holds mu.
func (c *conn) sweep() {
	if len(c.before) == 0 {
		return
	}
	wrote, unsent := c.position()
	kept, most := c.before[:0], len(c.before) <= maxBefore
	for _, h := range c.before {
		if h.end.Load() < 0 || h.unsentAt(wrote, unsent) > 0 && most {
			kept = append(kept, h)
		} else {
			h.transfer.Arrived()
		}
	}
	clear(c.before[len(kept):])
	c.before = kept
}

// Close settles the bodies before the socket goes. If the listener is still there the kernel goes on to send what it holds; if he has
// left, it is lost.
func (c *conn) Close() error {
	c.mu.Lock()
	all, some := c.before, len(c.before) > 0 || c.last != nil
	if c.last != nil && !c.last.transfer.Running() {
		all = append(all, c.last)
	} // else whoever sends it finishes it: what the write under way gave to the kernel is not counted yet
	c.last, c.before = nil, nil
	if c.end.Load() == connOpen {
		end := connLost
		if some {
			c.Unsent() // is remembered
		}
		if (some || c.streamed) && c.PeerThere() {
			end = connLeft
		}
		c.end.Store(end)
	}
	c.mu.Unlock()
	for _, h := range all {
		if c.lost() {
			h.transfer.Gone()
		} else {
			h.transfer.Arrived()
		}
	}
	return c.TCPConn.Close()
}

// lost tells whether the listener has closed the connection, and what the kernel holds of it will not arrive. Accounts ask it: it takes no lock
// under which one may be asked.
func (c *conn) lost() bool {
	if end := c.end.Load(); end != connOpen {
		return end == connLost
	}
	return !c.PeerThere()
}
