package relay

import (
	"errors"
	"os"
	"sync"
	"time"

	"earshot/listen"
)

// run is the ordinary road, for connections to which only their own code can write: those of TLS, and the streams of HTTP/2. The writer tells
// the goroutine when it is its turn.
func (l *listener) run() {
	var watch sync.WaitGroup
	if l.sock == nil {
		watch.Go(l.watch)
	}
	reason := l.serve()
	l.served.Store(true)
	l.writer.call(l)
	<-l.let // his connection is closed after that
	l.leave(reason)
	watch.Wait()
}

// watch notices that the listener leaves where the kernel cannot be asked. A listener has nothing to say; one who
// says much is no longer listened to.
func (l *listener) watch() {
	var b [512]byte
	for range 128 {
		if _, err := l.conn.Read(b[:]); err != nil {
			l.end(listen.Left)
			return
		}
	}
}

// serve sends until there is a reason to stop.
func (l *listener) serve() listen.Reason {
	var armed time.Time // until when the deadline of the connection needs no change
	for ; ; <-l.wake {
		for {
			// The deadline is set well ahead, so that it is seldom set: a write that begins now has WriteStall at the least. It comes before the look
			// at cut, so that it cannot undo what end has set.
			now := time.Now()
			if stall := l.hub.relay.opt.WriteStall; now.After(armed) {
				armed = now.Add(stall / 2)
				l.conn.SetWriteDeadline(armed.Add(stall))
			}
			l.confirm(now)
			if reason := l.over(); reason != "" {
				return reason
			}
			more, reason := l.write(now)
			if reason != "" {
				return reason
			}
			if !more {
				break
			}
		}
	}
}

// joints are where what is written at once is put together: a connection that is no socket cannot gather.
var joints = sync.Pool{New: func() any { return &joint{all: make([]byte, 0, batchBytes)} }}

type joint struct {
	pieces [][]byte
	all    []byte
}

// write sends once. more says that there may be more.
func (l *listener) write(now time.Time) (more bool, reason listen.Reason) {
	j := joints.Get().(*joint)
	pieces, size, from, then := l.look(j.pieces[:0], now)
	j.all = append(j.all[:0], l.pending...)
	for _, p := range pieces {
		j.all = append(j.all, p...)
	}
	clear(pieces) // must not keep the ring's chunks alive
	j.pieces = pieces[:0]
	if len(j.all) == 0 {
		joints.Put(j)
		l.idle(now)
		return false, ""
	}
	l.since = time.Time{}
	n, err := l.conn.Write(j.all)
	l.sent(n, size, from, then)
	if err == nil {
		joints.Put(j)
		return true, ""
	} // else an HTTP/2 server may still read it
	if r := l.reason.Load(); r != nil {
		return false, *r
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, listen.Stalled
	}
	return false, listen.Left
}
