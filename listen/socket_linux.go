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

	// Guarded by mu.
	question uintptr
	answer   int32 // the kernel's
	answered bool
}

// NewSocket looks at a TCP connection.
func NewSocket(raw syscall.RawConn) *Socket {
	s := &Socket{raw: raw}
	s.ask = func(fd uintptr) {
		// It takes no lock of the socket's and cannot wait, so the scheduler need not be told of it.
		_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, fd, s.question, uintptr(unsafe.Pointer(&s.answer)))
		s.answered = errno == 0
	}
	return s
}

// put puts a question to the kernel. ok is false where there is no answer, as of a socket that is closed. The caller holds mu.
func (s *Socket) put(question uintptr) (answer int64, ok bool) {
	s.question, s.answered = question, false
	s.raw.Control(s.ask)
	return int64(s.answer), s.answered
}

// Unsent is the number of bytes written that the kernel has not sent yet, or had not when the connection was closed.
func (s *Socket) Unsent() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.put(unix.SIOCOUTQNSD); ok { // else the last answer stands
		s.unsent.Store(n)
	}
	return s.unsent.Load()
}

// Unacked is the number of bytes written that the other side's kernel has not acknowledged. ok is false where that cannot be told: the
// connection is closed.
func (s *Socket) Unacked() (n int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(unix.SIOCOUTQ)
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
