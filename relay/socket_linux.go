package relay

import (
	"syscall"

	"golang.org/x/sys/unix"

	"earshot/listen"
)

// maxUnsent is how much of what was written the kernel may hold back unsent, so that a listener who reads nothing
// holds little of its memory and is noticed soon.
const maxUnsent = 256 << 10

// socket is the kernel's part of a listener's connection. It may be asked after the connection was closed. A nil socket knows nothing.
type socket struct {
	*listen.Socket
	raw syscall.RawConn
	fd  int32 // while a writer polls it
}

func newSocket(raw syscall.RawConn) *socket {
	s := &socket{Socket: listen.NewSocket(raw), raw: raw}
	raw.Control(func(fd uintptr) {
		// Where the kernel does not know the option it only holds more.
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
	return s
}

// unsent is how many of the bytes written the kernel has not sent; after a close, what it was when last asked.
func (s *socket) unsent() int64 {
	if s == nil {
		return 0
	}
	return s.Unsent()
}

// unacked is how many of the bytes written the listener's kernel has not acknowledged; not ok after a close.
func (s *socket) unacked() (n int64, ok bool) {
	if s == nil {
		return 0, true
	}
	return s.Unacked()
}
