package relay

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollable says that listeners can be written to without a goroutine for each.
const pollable = true

// poll is an epoll of a writer's listeners. It is asked at every tick, without waiting. All events are edges: one when a full socket takes
// more, one when the listener has hung up.
type poll struct {
	fd        int
	events    [128]unix.EpollEvent
	listeners map[int32]*listener // by descriptor
}

// newPoll is nil where the kernel does not give one.
func newPoll() *poll {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	return &poll{fd: fd, listeners: make(map[int32]*listener)}
}

func (p *poll) close() {
	if p != nil {
		unix.Close(p.fd)
	}
}

// add watches a listener's socket.
func (p *poll) add(l *listener) {
	if p == nil || l.sock == nil {
		return
	}
	l.sock.raw.Control(func(fd uintptr) {
		l.sock.fd = int32(fd)
		event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(fd)}
		if unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &event) == nil {
			p.listeners[int32(fd)] = l
		}
	})
}

// remove forgets it, before it is closed: its descriptor may be another's then.
func (p *poll) remove(l *listener) {
	if p == nil || l.sock == nil || p.listeners[l.sock.fd] != l {
		return
	}
	delete(p.listeners, l.sock.fd)
	l.sock.raw.Control(func(fd uintptr) { unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil) })
}

// each calls f for every listener of whom there is news.
func (p *poll) each(f func(l *listener, left bool)) {
	if p == nil || len(p.listeners) == 0 {
		return
	}
	for {
		n, err := unix.EpollWait(p.fd, p.events[:], 0)
		if err != nil || n <= 0 {
			return
		}
		for _, e := range p.events[:n] {
			if l := p.listeners[e.Fd]; l != nil {
				f(l, e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
			}
		}
		if n < len(p.events) {
			return
		}
	}
}

// out writes pieces to a socket in one call of the kernel, without waiting.
type out struct {
	iovs [batchPieces + 1]unix.Iovec
	n    int // of iovs
	call func(fd uintptr) bool

	wrote int
	errno syscall.Errno
}

func (o *out) write(s *socket, pieces [][]byte) (int, error) {
	for i, p := range pieces {
		o.iovs[i].Base = unsafe.SliceData(p)
		o.iovs[i].SetLen(len(p))
	}
	o.n, o.wrote, o.errno = len(pieces), 0, 0
	if o.call == nil {
		o.call = o.writev
	}
	err := s.raw.Write(o.call)
	clear(o.iovs[:len(pieces)]) // must not keep the ring's chunks alive
	switch {
	case err != nil:
		return 0, err
	case o.errno == unix.EAGAIN:
		return 0, errAgain
	case o.errno != 0:
		return 0, o.errno
	case o.wrote == 0:
		return 0, errors.New("nothing was written")
	}
	return o.wrote, nil
}

// writev is done when it has been called once, whatever came of it: the poller of the runtime has no part in this. The call does not wait,
// so the scheduler need not be told of it.
func (o *out) writev(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&o.iovs[0])), uintptr(o.n))
		if errno != unix.EINTR {
			if o.errno = errno; errno == 0 {
				o.wrote = int(n)
			}
			return true
		}
	}
}
