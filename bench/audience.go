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
	server  *server
	address unix.SockaddrInet4
	epoll   int
	began   time.Time
	ears    []*ear
	silent  int // of whom nothing of the body has come

	broken int   // who was refused, lost, or got what is wrong
	why    error // of the first

	turned time.Duration // when it was last looked at what has come
	held   time.Duration // the longest between two such moments: what kept the load from its work

	retries  int           // how often those may come again whose connection ends before they have audio, as a player would
	returned int           // how often they did
	swept    time.Duration // when it was last looked for those who wait to be let in
	buf      [64 << 10]byte
}

const (
	napLength = time.Millisecond
	// lookEvery is of how many listeners one has every byte looked at.
	lookEvery = 64
)

// newAudience is nobody yet. The calling goroutine keeps its thread until close.
func newAudience(ctx context.Context, s *server) (*audience, error) {
	host, port, err := net.SplitHostPort(s.plain)
	if err != nil {
		return nil, err
	}
	a := &audience{ctx: ctx, server: s, began: time.Now()}
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
func (a *audience) join(n int, span time.Duration) error { return a.joinAtMost(n, span, n) }

// joinAtMost does so too, but never are there more than so many who have no audio yet: then it takes longer.
func (a *audience) joinAtMost(n int, span time.Duration, silent int) error {
	began, have, joined := a.now(), len(a.ears), a.now()
	for len(a.ears) < have+n {
		due := n
		if passed := a.now() - began; passed < span {
			due = int(float64(n)*float64(passed)/float64(span)) + 1
		}
		for len(a.ears) < have+min(due, n) && a.silent < silent {
			if err := a.connect(); err != nil {
				return err
			}
			joined = a.now()
		}
		if err := a.turn(); err != nil {
			return err
		}
		if a.now()-joined > firstPatient {
			return fmt.Errorf("of %d listeners %d have no audio after %v", len(a.ears), a.silent, firstPatient)
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
	e.asked, e.head, e.body, e.dialed = false, nil, false, a.now()
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
	request := a.request(i)
	if n, err := unix.Write(e.fd, request); err != nil || n != len(request) {
		return fmt.Errorf("a request of which %d bytes leave: %w", n, err)
	}
	return unix.EpollCtl(a.epoll, unix.EPOLL_CTL_MOD, e.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
}

// request is a listener's.
func (a *audience) request(i int) []byte {
	uri := stationMount
	if token := a.server.door.shows("listener-" + strconv.Itoa(i)); token != "" {
		uri += "?" + token
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nIcy-MetaData: 1\r\nConnection: close\r\n\r\n",
		uri, a.server.plain)
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
		a.held, a.turned = max(a.held, now-a.turned), now
		for _, event := range events[:max(n, 0)] {
			a.heard(int(event.Fd), now)
		}
		if n < len(events) {
			a.again(now)
			return a.ctx.Err()
		}
	}
}

// doorWait is how long somebody who may come again waits to be let in: where the server has no room for his connection, the kernel would
// try again later and later.
const doorWait = 3 * time.Second

// again has those try anew who wait to be let in.
func (a *audience) again(now time.Duration) {
	if a.retries == 0 || a.silent == 0 || now-a.swept < doorWait/3 {
		return
	}
	a.swept = now
	for i, e := range a.ears {
		if e.asked || e.fd < 0 || now-e.dialed < doorWait || a.returned == a.retries {
			continue
		}
		e.close()
		a.returned++
		if err := a.dial(i); err != nil {
			e.close()
			a.lost(i, now, err)
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
	if e.first == 0 {
		a.silent-- // nobody waits for him any more
	}
	if a.broken++; a.why == nil {
		a.why = fmt.Errorf("listener %d, %v after it connected and %d bytes: %w", i, (now - e.tried).Round(time.Millisecond), e.bytes, err)
	}
}

// window begins what is measured. It tells how many bytes all have had so far.
func (a *audience) window() (bytes int64) {
	a.held, a.turned = 0, a.now()
	for _, e := range a.ears {
		e.span = span{}
		bytes += e.bytes
	}
	return bytes
}

// shut ends it, and tells the same: who has waited since his last batch waits still.
func (a *audience) shut() (bytes int64) {
	now := a.now()
	for _, e := range a.ears {
		e.span.gap = max(e.span.gap, now-e.last)
		bytes += e.bytes
	}
	return bytes
}
