package proxy

import "golang.org/x/sys/unix"

// push has the kernel send what writeMore left with it: to set what is set already does that (tcp(7), TCP_NODELAY).
func (c *conn) push() {
	c.left.Store(false)
	c.raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }) // it fails with the socket
}

// writeMore writes to the socket what more will follow at once (MSG_MORE): the kernel waits for that before it sends a packet that is not full.
func (c *conn) writeMore(p []byte) (n int, err error) {
	failed := c.raw.Write(func(fd uintptr) (done bool) {
		for n < len(p) {
			sent, e := unix.SendmsgN(int(fd), p[n:], nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			switch {
			case e == unix.EINTR:
			case e == unix.EAGAIN:
				return false
			case e != nil:
				err = e
				return true
			default:
				n += sent
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return n, err
}
