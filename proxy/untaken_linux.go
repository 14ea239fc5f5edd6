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
