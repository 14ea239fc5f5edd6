package proxy

import (
	"net/http"
	"sync"
	"time"
)

// sealed is an answer over HTTP/1 and TLS. The kernel cannot send a file in it: hiding that the server would take one has it read in
// large pieces, each metered as it goes.
type sealed struct {
	http.ResponseWriter
	conn *conn // nil if the listener is none of ours
}

// Write gives the kernel the records of p in one piece, where TLS would give it each by itself. n is what has been given to it for certain.
func (s sealed) Write(p []byte) (n int, err error) {
	if s.conn == nil || len(p) <= tlsRecord {
		return s.ResponseWriter.Write(p)
	}
	s.conn.gather()
	n, err = s.ResponseWriter.Write(p)
	sent, all, failed := s.conn.release()
	if failed != nil {
		return int(int64(n) * int64(sent) / int64(max(all, 1))), failed
	}
	return n, err
}

// tlsRecord is the most that a TLS record holds (RFC 8446, 5.1).
const tlsRecord = 16 << 10

func (s sealed) Flush()                      { _ = http.NewResponseController(s.ResponseWriter).Flush() } // the next write fails if this did
func (s sealed) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// gathered are buffers for what sealed writes in one piece: a read of the meter's, with what TLS adds.
var gathered = sync.Pool{New: func() any { b := make([]byte, 0, 72<<10); return &b }}

// gather begins to keep back what is written.
func (c *conn) gather() {
	c.out.Lock()
	c.kept = gathered.Get().(*[]byte)
	c.out.Unlock()
}

// release writes what was kept back: so many of all bytes. What TLS has to say meanwhile comes after it.
func (c *conn) release() (sent, all int, err error) {
	c.out.Lock()
	defer c.out.Unlock()
	kept := c.kept
	c.kept = nil
	if all = len(*kept); all > 0 {
		c.releasing.Store(true)
		sent, err = c.write(*kept)
		c.releasing.Store(false)
	}
	*kept = (*kept)[:0]
	gathered.Put(kept)
	return sent, all, err
}

// SetWriteDeadline is called, while a connection releases, by a server that closes it: TLS gives its farewell five seconds, for which it would wait
// behind what the player does not take. To close is to end that.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.releasing.Load() {
		t = time.Unix(1, 0)
	}
	return c.TCPConn.SetWriteDeadline(t)
}
