package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// siocOutQNSD asks a TCP socket how many bytes written to it have not been sent once (linux/sockios.h, SIOCOUTQNSD).
const siocOutQNSD = 0x894B

// Socket asks the kernel about a connection. It is safe for concurrent use, and after the connection is closed it
// tells what it told last.
type Socket struct {
	raw    syscall.RawConn
	unsent atomic.Int64

	mu  sync.Mutex // one question at a time, so that ask need not be made anew for each
	ask func(fd uintptr)
}

// NewSocket looks at c.
func NewSocket(c *net.TCPConn) *Socket {
	raw, err := c.SyscallConn()
	if err != nil {
		return &Socket{}
	}
	s := &Socket{raw: raw}
	s.ask = func(fd uintptr) {
		if n, err := unix.IoctlGetUint32(int(fd), siocOutQNSD); err == nil {
			s.unsent.Store(int64(n))
		}
	}
	return s
}

// Unsent is the number of bytes written that the kernel has not sent yet, or had not when the connection was closed.
func (s *Socket) Unsent() int64 {
	if s.raw == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Control(s.ask) // an error means that the socket is closed: the last answer stands
	return s.unsent.Load()
}

// tcpEstablished is TCP_ESTABLISHED (net/tcp_states.h): neither side has closed.
const tcpEstablished = 1

// PeerThere reports whether the other side has neither closed nor reset the connection.
func (s *Socket) PeerThere() bool {
	if s.raw == nil {
		return false
	}
	there := false
	s.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		there = err == nil && info.State == tcpEstablished
	})
	return there
}
