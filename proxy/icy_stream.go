package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"earshot/listen"
	"earshot/relay"
)

// joinStream has the relay write to an HTTP/2 stream. The handler stays until the listener has left.
func (p *Proxy) joinStream(w *answer, r *http.Request, v *visitor) error {
	out := w.ResponseWriter.(*stream)
	out.metered = true
	c := &streamConn{stream: out, ctx: r.Context(), open: make(chan struct{}), closed: make(chan struct{})}
	var last relay.Left
	left := make(chan struct{})
	j := p.asksToJoin(r, v)
	j.Conn, j.Unsent, j.OnLeave = c, c.unsent, func(l relay.Left) { v.leaves(p); last = l; close(left) }
	if err := v.hub.Join(j); err != nil {
		return noEntry(v.mount, err)
	}
	v.joined(p)
	w.handed = true
	for _, f := range icyFields(v, r) {
		w.Header()[f.Name] = []string{f.Value}
	}
	w.WriteHeader(http.StatusOK)
	out.Flush()
	close(c.open)
	began := time.Now()
	<-left
	w.listened = time.Since(began)
	w.visit.over(http.StatusOK, last.Bytes, last.For)
	w.cut = last.Reason == listen.Slow || last.Reason == listen.Stalled // he has not had all that he was to have
	return nil
}

// streamConn is an HTTP/2 stream as the connection that the relay writes to.
type streamConn struct {
	*stream
	ctx    context.Context // of the request: ends when the listener leaves
	open   chan struct{}   // closed when the head has been sent
	once   sync.Once
	closed chan struct{}
}

func (c *streamConn) Write(p []byte) (int, error) {
	select {
	case <-c.open:
		return c.stream.Write(p)
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

// Read waits until the listener leaves: he has nothing to say.
func (c *streamConn) Read([]byte) (int, error) {
	select {
	case <-c.ctx.Done():
	case <-c.closed:
	}
	return 0, io.EOF
}

func (c *streamConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// unsent is how much of the stream the kernel holds. When the listener has left it goes on to send that, unless he has taken the
// connection with him.
func (c *streamConn) unsent() int64 {
	if c.conn == nil {
		return 0
	}
	select {
	case <-c.closed:
		if !c.conn.lost() {
			return 0
		}
	default:
	}
	wrote, unsent := c.conn.position()
	return c.marks.beyond(wrote - unsent)
}

func (c *streamConn) LocalAddr() net.Addr             { return nil }
func (c *streamConn) RemoteAddr() net.Addr            { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error { return nil } // Read ends with the request
func (c *streamConn) SetDeadline(due time.Time) error { return c.SetWriteDeadline(due) }
