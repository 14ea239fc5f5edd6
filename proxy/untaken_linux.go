package proxy

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitUntaken has the kernel break a connection whose peer has acknowledged nothing, or kept his window shut, for so long
// (TCP_USER_TIMEOUT, RFC 5482). Unlike a deadline on writes it sees a slow reader's progress, however much the kernel buffers. Where
// it cannot be had, the kernel's own limits hold.
func limitUntaken(raw syscall.RawConn, limit time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	})
}

// maxUnsent is how much the kernel may take of an HTTP/2 connection before it can send it, in bytes.
const maxUnsent = 256 << 10

// lowerUnsent keeps the kernel from taking more than it can soon send of a connection that many answers share: what is given to it cannot be overtaken
// by another answer, nor by a ping, and a slow listener's progress is seen. At 1 KB/s it goes on within a few minutes.
func (c *conn) lowerUnsent() {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent) // without it the kernel only holds more
		})
	}
}
