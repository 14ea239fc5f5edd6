package relay

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"earshot/listen"
)

// pollRDHUP is POLLRDHUP, which x/sys does not name.
const pollRDHUP = 0x2000

// maxUnsent is how much of what was written the kernel may hold back unsent, so that a listener who reads nothing
// holds little of its memory and is noticed soon.
const maxUnsent = 256 << 10

// socket asks the kernel about a listener's connection. It is safe for concurrent use, and after the connection was
// closed. A nil socket knows nothing.
type socket struct {
	*listen.Socket
	raw     syscall.RawConn
	polled  func(fd uintptr) // poll as a value, made once
	pollFds [1]unix.PollFd

	mu   sync.Mutex
	gone bool
}

func newSocket(raw syscall.RawConn) *socket {
	s := &socket{Socket: listen.NewSocket(raw), raw: raw}
	s.polled = s.poll
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

// hungUp reports whether the listener has closed his end.
func (s *socket) hungUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.raw.Control(s.polled); err != nil {
		return true
	}
	return s.gone
}

func (s *socket) poll(fd uintptr) {
	s.pollFds[0] = unix.PollFd{Fd: int32(fd), Events: pollRDHUP}
	n, err := unix.Poll(s.pollFds[:], 0)
	s.gone = err == nil && n > 0 && s.pollFds[0].Revents&(pollRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
