package relay

import (
	"net"
	"syscall"
)

// innermost is the connection under wrappers that have a NetConn method, as tls.Conn has.
func innermost(c net.Conn) net.Conn {
	for range 8 {
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = w.NetConn()
	}
	return c
}

// socketOf finds the kernel's socket of a connection; nil if there is none.
func socketOf(c net.Conn) *socket {
	sc, ok := innermost(c).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return newSocket(raw)
}

// discard closes the socket of a connection and drops what is unsent. The kernel is asked how much that is just before,
// as it goes on sending; the socket remembers.
func discard(c net.Conn, s *socket) {
	inner := innermost(c)
	if tcp, ok := inner.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	s.unsent()
	inner.Close()
}
