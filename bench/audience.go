//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// audience is all listeners of a mount, in one thread. It sleeps a fixed while and then takes all that has come, so that the server need
// never wake it: that would be work for the server's core which in real life a network card of the listener's does.
type audience struct {
	ctx     context.Context
	address unix.SockaddrInet4
	request []byte
	epoll   int
	began   time.Time
	ears    []*ear
	silent  int // of whom nothing of the body has come

	broken int   // who was refused, lost, or got what is wrong
	why    error // of the first

	turned time.Duration // when all that had come was taken in last
	held   time.Duration // the longest between two such moments: what kept the load from its work

	retries  int // how often those may come again whose connection ends before they have audio, as a player would
	returned int // how often they did
	buf      [64 << 10]byte
}

const (
	napLength = time.Millisecond
	// lookEvery is of how many listeners one has every byte looked at.
	lookEvery = 64
)

// newAudience is nobody yet. The calling goroutine keeps its thread until close.
func newAudience(ctx context.Context, address string) (*audience, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	a := &audience{ctx: ctx, began: time.Now()}
	a.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nIcy-MetaData: 1\r\nConnection: close\r\n\r\n",
		stationMount, address)
	a.address.Addr = [4]byte(net.ParseIP(host).To4())
	if a.address.Port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if a.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	return a, nil
}

func (a *audience) close() {
	for _, e := range a.ears {
		e.close()
	}
	_ = unix.Close(a.epoll)
	runtime.UnlockOSThread()
}

func (a *audience) now() time.Duration { return time.Since(a.began) }

// join has n more connect within span, evenly.
func (a *audience) join(n int, span time.Duration) error {
	began, have := a.now(), len(a.ears)
	for len(a.ears) < have+n {
		due := n
		if passed := a.now() - began; passed < span {
			due = int(float64(n)*float64(passed)/float64(span)) + 1
		}
		for len(a.ears) < have+min(due, n) {
			if err := a.connect(); err != nil {
				return err
			}
		}
		if err := a.turn(); err != nil {
			return err
		}
	}
	return nil
}

// connect begins to connect one more.
func (a *audience) connect() error {
	e := &ear{tried: a.now()}
	e.last = e.tried
	if len(a.ears)%lookEvery == 0 {
		e.framing = newFraming(0)
	}
	a.ears = append(a.ears, e)
	a.silent++
	return a.dial(len(a.ears) - 1)
}

// dial begins a connection of a listener's.
func (a *audience) dial(i int) (err error) {
	e := a.ears[i]
	e.asked, e.head, e.body = false, nil, false
	if e.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := unix.Connect(e.fd, &a.address); err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("listener %d: connect: %w", i, err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(i)}
	return unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, e.fd, &event)
}

// ask sends the request, now that the connection is there.
func (a *audience) ask(i int) error {
	e := a.ears[i]
	e.asked = true
	if n, err := unix.Write(e.fd, a.request); err != nil || n != len(a.request) {
		return fmt.Errorf("a request of which %d bytes leave: %w", n, err)
	}
	return unix.EpollCtl(a.epoll, unix.EPOLL_CTL_MOD, e.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
}

// listen goes on for a while, or until enough says so.
func (a *audience) listen(length time.Duration, enough func() bool) error {
	for until := a.now() + length; a.now() < until && (enough == nil || !enough()); {
		if err := a.turn(); err != nil {
			return err
		}
	}
	return a.ctx.Err()
}

// turn sleeps, then takes in all there is.
func (a *audience) turn() error {
	nap := unix.NsecToTimespec(int64(napLength))
	_ = unix.Nanosleep(&nap, nil)
	var events [256]unix.EpollEvent
	for {
		n, err := unix.EpollWait(a.epoll, events[:], 0)
		if err != nil && err != unix.EINTR {
			return err
		}
		now := a.now()
		for _, event := range events[:max(n, 0)] {
			a.heard(int(event.Fd), now)
		}
		if n < len(events) {
			a.held, a.turned = max(a.held, a.now()-a.turned), a.now()
			return a.ctx.Err()
		}
	}
}

// heard deals with one listener of whom there is news.
func (a *audience) heard(i int, now time.Duration) {
	e, silent := a.ears[i], a.ears[i].first == 0
	var err error
	if e.asked {
		err = e.read(now, a.buf[:])
	} else {
		err = a.ask(i)
	}
	if silent && e.first > 0 {
		a.silent--
	}
	if err == nil {
		return
	}
	e.close()
	if (err == unix.ECONNRESET || err == errHungUp) && e.first == 0 && a.returned < a.retries {
		a.returned++
		err = a.dial(i)
	}
	if err != nil {
		e.close()
		a.lost(i, now, err)
	}
}

func (a *audience) lost(i int, now time.Duration, err error) {
	e := a.ears[i]
	if a.broken++; a.why == nil {
		a.why = fmt.Errorf("listener %d, %v after it connected and %d bytes: %w", i, (now - e.tried).Round(time.Millisecond), e.bytes, err)
	}
}

// window begins what is measured.
func (a *audience) window() {
	a.held, a.turned = 0, a.now()
	for _, e := range a.ears {
		e.span = span{}
	}
}

// shut ends it: who has waited since his last batch waits still.
func (a *audience) shut() {
	now := a.now()
	for _, e := range a.ears {
		e.span.gap = max(e.span.gap, now-e.last)
	}
}
