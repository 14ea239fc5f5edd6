package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerWithin is how long a proxy may take for the header of a connection: it sends it at once, before anything else.
const headerWithin = 5 * time.Second

// header is what a proxy says of the peer of a connection, in PROXY protocol, version 1 or 2. It is read by who serves the
// connection, when he first wants to know something of it, so that a slow one holds nobody else up.
type header struct {
	proxy *Proxy

	once   sync.Once
	source net.Addr // nil: the peer of the socket
	rest   []byte   // read with it and not yet taken; belongs to who reads the connection
	err    error
}

// heard reads the header, once.
func (c *conn) heard() *header {
	h := c.header
	h.once.Do(func() {
		if h.err = h.read(c); h.err != nil {
			h.proxy.metrics.headerRejected(h.err)
			h.proxy.opt.Log.Debug("a connection without a PROXY header was closed", "peer", c.TCPConn.RemoteAddr(), "err", h.err)
		}
	})
	return h
}

// read takes the header, which the library bounds to a few KB.
func (h *header) read(c *conn) error {
	if err := c.TCPConn.SetReadDeadline(time.Now().Add(c.limits.header)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c.TCPConn, 512)
	said, err := proxyproto.Read(in)
	if err != nil {
		return err
	}
	if n := in.Buffered(); n > 0 {
		h.rest, _ = in.Peek(n) // the reader is given up: the bytes are ours
	}
	if source, _, ok := said.TCPAddrs(); ok && said.Command.IsProxy() && h.proxy.opt.Trusted.trusts(hostOf(c.TCPConn.RemoteAddr())) {
		h.source = source
	}
	return c.TCPConn.SetReadDeadline(time.Time{})
}

func hostOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// RemoteAddr is the listener's address: what a trusted proxy says, or the peer's.
func (c *conn) RemoteAddr() net.Addr {
	if c.header != nil {
		if h := c.heard(); h.source != nil {
			return h.source
		}
	}
	return c.TCPConn.RemoteAddr()
}

// Read gives what follows the header. Without one the connection is at its end: the server closes it, and says nothing.
func (c *conn) Read(p []byte) (int, error) {
	if c.header == nil {
		return c.TCPConn.Read(p)
	}
	h := c.heard()
	if h.err != nil {
		return 0, io.EOF
	}
	if len(h.rest) > 0 {
		n := copy(p, h.rest)
		if h.rest = h.rest[n:]; len(h.rest) == 0 {
			h.rest = nil
		}
		return n, nil
	}
	return c.TCPConn.Read(p)
}

// WriteTo is the TCPConn's, which would pass by what was read with the header.
func (c *conn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

// headerReason is why a header was not taken, as a metric label.
func headerReason(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "late"
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		return "none"
	}
	return "malformed"
}
