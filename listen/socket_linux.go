package listen

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket asks the kernel about a connection. It is safe for concurrent use, and after the connection is closed it
// tells what it told last.
type Socket struct {
	raw    syscall.RawConn
	unsent atomic.Int64

	mu  sync.Mutex // one question at a time, so that ask need not be made anew for each
	ask func(fd uintptr)

	answer int32 // the kernel's; guarded by mu
}

// NewSocket looks at a TCP connection.
func NewSocket(raw syscall.RawConn) *Socket {
	s := &Socket{raw: raw}
	s.ask = func(fd uintptr) {
		// It takes no lock of the socket's and cannot wait, so the scheduler need not be told of it.
		if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, fd, unix.SIOCOUTQNSD, uintptr(unsafe.Pointer(&s.answer))); errno == 0 {
			s.unsent.Store(int64(s.answer))
		}
	}
	return s
}

// Unsent is the number of bytes written that the kernel has not sent yet, or had not when the connection was closed.
func (s *Socket) Unsent() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Control(s.ask) // an error means that the socket is closed: the last answer stands
	return s.unsent.Load()
}

// tcpEstablished is TCP_ESTABLISHED (net/tcp_states.h): neither side has closed.
const tcpEstablished = 1

// PeerThere reports whether the other side has neither closed nor reset the connection.
func (s *Socket) PeerThere() bool {
	there := false
	s.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		there = err == nil && info.State == tcpEstablished
	})
	return there
}
