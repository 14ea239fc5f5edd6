package proxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"earshot/listen"
)

// Listen wraps a listener's connections so that handlers can ask the kernel what it still holds unsent. A connection on which a player
// takes nothing that is meant for him, for takeWithin, breaks: with it goes what it holds of the origin's.
func Listen(l net.Listener) net.Listener { return listener{l, takeWithin} }

const takeWithin = 5 * time.Minute

type listener struct {
	net.Listener
	takeWithin time.Duration
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		raw, err := tcp.SyscallConn()
		if err != nil {
			return c, nil
		}
		limitUntaken(raw, l.takeWithin)
		return &conn{TCPConn: tcp, Socket: listen.NewSocket(raw), raw: raw}, nil
	}
	return c, err
}

// conn is a connection that knows the bodies sent on it until the listener has them: when a handler is done, most of a short segment may
// still be in the kernel. It is a TCPConn in all else, sendfile included.
type conn struct {
	*net.TCPConn
	*listen.Socket
	raw  syscall.RawConn
	more bool // what is written is followed by more at once; set by the goroutine that writes

	wrote atomic.Int64 // bytes given to the kernel

	mu     sync.Mutex // the server may close a connection while it is served
	last   *held      // of the latest body
	before []*held    // of bodies before it that the kernel has not let go of yet: their listener asks without waiting for answers
}

// held is a body of which the kernel may hold something.
type held struct {
	transfer *listen.Transfer
	conn     *conn
	end      atomic.Int64 // conn.wrote when all of it had been given to the kernel; −1 before
}

// maxBefore bounds the answers that a listener who does not wait for them may have on their way.
const maxBefore = 32

func (c *conn) Write(p []byte) (int, error) {
	write := c.TCPConn.Write
	if c.more {
		write = c.writeMore
	}
	n, err := write(p)
	c.wrote.Add(int64(n))
	return n, err
}

// sendable is a piece of a body that the kernel can send.
type sendable interface {
	SendTo(syscall.RawConn) (sent int64, ok bool, err error)
}

func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	c.more = false
	if piece, ok := r.(sendable); ok {
		if n, ok, err = piece.SendTo(c.raw); ok {
			c.wrote.Add(n)
			return n, err
		}
	}
	n, err = c.TCPConn.ReadFrom(r)
	c.wrote.Add(n)
	return n, err
}

// hold is the place of the next body.
func (c *conn) hold() *held {
	if c == nil {
		return nil
	}
	h := &held{conn: c}
	h.end.Store(-1)
	return h
}

// unsent is how much of the body the kernel holds: what was given to it after the body is sent after it.
func (h *held) unsent() int64 {
	unsent := h.conn.Unsent()
	if end := h.end.Load(); end >= 0 {
		unsent -= h.conn.wrote.Load() - end
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
	if h != nil {
		h.conn.mu.Lock()
		h.transfer, h.conn.last = t, h
		h.conn.mu.Unlock()
	}
}

// next notes that the listener asks for something new. What the kernel has let go of has reached him.
func (c *conn) next() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil {
		c.last.end.Store(c.wrote.Load())
		c.before = append(c.before, c.last)
		c.last = nil
	}
	kept := c.before[:0]
	for _, h := range c.before {
		if h.unsent() > 0 && len(c.before) <= maxBefore {
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
	all := c.before
	if c.last != nil {
		all = append(all, c.last)
	}
	c.last, c.before = nil, nil
	c.mu.Unlock()
	there := len(all) > 0 && c.PeerThere()
	for _, h := range all {
		if there {
			h.transfer.Arrived()
		} else {
			h.transfer.Gone()
		}
	}
	return c.TCPConn.Close()
}
