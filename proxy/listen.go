package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"earshot/listen"
)

// TakeWithin is how long a player may take nothing that is meant for him. Then the connection breaks, or over HTTP/2 the stream: with it
// goes what it holds of the origin's. Who takes a little all the time is never cut.
const TakeWithin = 5 * time.Minute

// limits are how long a connection may be of no use.
type limits struct {
	take   time.Duration // TakeWithin
	header time.Duration // headerWithin
}

var usual = limits{TakeWithin, headerWithin}

// Listen wraps a listener's connections so that handlers can ask the kernel what it still holds unsent. TLS goes on top.
func Listen(l net.Listener) net.Listener { return listener{Listener: l, limits: usual} }

// ListenProxied is [Listen] for a listener behind a proxy that begins every connection with a PROXY header. A connection
// that does not is closed.
func (p *Proxy) ListenProxied(l net.Listener) net.Listener { return listener{l, usual, p} }

type listener struct {
	net.Listener
	limits limits
	proxy  *Proxy // set if connections begin with a PROXY header
}

// Accept never waits for what a peer sends.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	tcp, ok := c.(*net.TCPConn)
	if !ok || err != nil {
		return c, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil { // it is closed already
		return c, nil
	}
	limitUntaken(raw, l.limits.take)
	out := &conn{TCPConn: tcp, Socket: listen.NewSocket(raw), raw: raw, limits: l.limits}
	if l.proxy != nil {
		out.header = &header{proxy: l.proxy}
	}
	return out, nil
}

// ConnContext makes the connection of a request known to the handlers; it is for http.Server.ConnContext. The listener must
// be one of [Listen], with TLS on it or without.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

type connKey struct{}

func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// responder is the way in which an answer goes out, and what is to be done when it has.
func responder(w http.ResponseWriter, r *http.Request, c *conn) (out http.ResponseWriter, done func()) {
	if r.ProtoMajor >= 2 {
		s := newStream(w, c)
		return s, s.done
	}
	c.next()
	if r.TLS != nil {
		if c != nil {
			c.sealed.Store(true)
		}
		return sealed{w, c}, func() {}
	}
	return w, func() {}
}
