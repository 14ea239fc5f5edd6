//go:build linux

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// plainLoad is one thread that waits for all connections at once, and lets the kernel throw away what nobody looks at.
type plainLoad struct {
	*load
	meter meter
	epoll int
	byFD  map[int32]*visitor
	idle  chan *visitor
	buf   [64 << 10]byte
	count int
	busy  int // requests on their way
	over  bool
}

func (l *load) runPlain() (*round, error) {
	p := &plainLoad{load: l, meter: meter{server: l.crowd.server}, byFD: make(map[int32]*visitor), idle: l.crowd.idle()}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	defer unix.Close(p.epoll)
	for _, v := range l.crowd.visitors {
		p.byFD[int32(v.fd)] = v
		if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, v.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(v.fd)}); err != nil {
			return nil, err
		}
	}
	return p.run()
}

func (p *plainLoad) run() (r *round, err error) {
	for range min(p.inFlight, len(p.crowd.visitors)) {
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	heard := began
	for started, now := false, began; p.busy > 0; {
		var some bool
		now, some, err = p.wait(now.Sub(heard) < spin)
		if err != nil {
			return nil, err
		}
		if some {
			heard = now
		} else if now.Sub(heard) > silence {
			return nil, fmt.Errorf("%s: no byte for %v", p.crowd.server.name, silence)
		}
		switch {
		case !started && now.Sub(began) >= p.ramp:
			started = true
			p.meter.begin()
		case started && !p.over && now.Sub(p.meter.began) >= p.length:
			p.over = true // what is on its way is waited for, so that the connections can be used again
			if r, err = p.meter.end(); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// next sends the next request.
func (p *plainLoad) next() error {
	v := <-p.idle
	p.count++
	request := v.ask(p.cell.kind, p.cell.gzip, p.count%sampleEvery == 0)
	v.sent = time.Now()
	if n, err := unix.Write(v.fd, request); err != nil || n != len(request) {
		return fmt.Errorf("%s: a request of which %d bytes leave: %w", p.crowd.server.name, n, err)
	}
	p.busy++
	return nil
}

// spin is how long the load looks again and again before it sleeps: to wake it is work for the server's core, and in a virtual machine much.
// A real listener is woken by his own.
const spin = 200 * time.Microsecond

// wait takes in what has come.
func (p *plainLoad) wait(again bool) (now time.Time, some bool, err error) {
	var events [64]unix.EpollEvent
	timeout := 20 // ms
	if again {
		timeout = 0
	}
	n, err := unix.EpollWait(p.epoll, events[:], timeout)
	if err != nil && err != unix.EINTR {
		return now, false, err
	}
	for i := range max(n, 0) {
		if err := p.read(p.byFD[events[i].Fd]); err != nil {
			return now, false, err
		}
	}
	return time.Now(), n > 0, nil
}

// read takes in what has come on one connection.
func (p *plainLoad) read(v *visitor) error {
	var n int
	var err error
	if skip := v.reply.skippable(); skip > 0 {
		if n, err = discard(v.fd, skip); err == nil {
			v.reply.skipped(int64(n))
		}
	} else if n, err = unix.Read(v.fd, p.buf[:]); err == nil {
		if ferr := v.reply.feed(p.buf[:max(n, 0)]); ferr != nil {
			return fmt.Errorf("%s: %s: %w", v.server.name, v.asked, ferr)
		}
	}
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("%s: %s: %w", v.server.name, v.asked, err)
	case n == 0:
		return fmt.Errorf("%s: %s: the server has closed the connection", v.server.name, v.asked)
	case !v.reply.done():
		return nil
	}
	p.meter.latencies = append(p.meter.latencies, time.Since(v.sent))
	p.busy--
	p.idle <- v
	if err := v.check(); err != nil || p.over {
		return err
	}
	return p.next()
}

// discard has the kernel drop up to n bytes that have come (tcp(7), MSG_TRUNC).
func discard(fd int, n int64) (int, error) {
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
