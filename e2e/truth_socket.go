package e2e

import (
	"net"
	"syscall"
	"time"
)

const (
	// wireBuffer is what a client may have read from its socket and not looked at.
	wireBuffer = 4 << 10
	// edgeBuffer is what the edge may have written and not given to its kernel: the buffers of net/http.
	edgeBuffer = 8 << 10
	// smallWindow makes kernels hold little, so that a ledger's bounds are close. The kernel doubles it.
	smallWindow = 32 << 10
)

// dialWindow connects with a receive buffer of that size; 0 leaves it to the kernel.
func dialWindow(host string, window int) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if window > 0 {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var failed error
			if err := c.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, window)
			}); err != nil {
				return err
			}
			return failed
		}
	}
	c, err := d.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// windowOf is what the kernel may hold for a connection that is not read; 0, with which tests fail, if it does not tell.
func windowOf(c *net.TCPConn) (window int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		window, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	})
	return window
}
