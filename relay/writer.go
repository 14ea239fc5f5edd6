package relay

import (
	"sync"
	"time"

	"earshot/listen"
)

// writer sends to its share of all listeners of a relay, from one goroutine: a listener on a plain socket has none of his own. Each has his
// turn by the clock, and is sent then what has come since: what sending costs is the calls, more than the bytes. Turns are spread over the
// rounds, so that the work is too. A socket that takes no more is passed over; the kernel tells when it does again, and when its listener
// has hung up.
type writer struct {
	// Set at construction.
	relay *Relay

	bell  chan struct{} // something is in calls, or all are to be visited
	begun sync.Once

	mu    sync.Mutex
	calls []*listener // to be visited now: they join, or are to leave
	rush  bool        // everybody is to be visited: much has come at once

	// Owned by the goroutine.
	poll   *poll // nil: the system has none, or no more
	out    out
	pieces [][]byte
	paces  [3]pace
	number int // of listeners
	tick   int
}

// tickEvery is how often a writer looks who is due.
const tickEvery = 50 * time.Millisecond

// pace is those listeners that are due every so many ticks.
type pace struct {
	turns [][]*listener
	next  int // gets the next one
}

// seat is where a writer has a listener.
type seat struct {
	pace  int8 // nowhere: none has him
	turn  int16
	index int32
}

// ticks are the paces: who has little in hand is written to more often.
var ticks = [3]int{2, 5, 20}

const (
	nowhere = -1

	quick  = 0 // has had less than a second
	brisk  = 1
	steady = 2

	briskAhead  = time.Second
	steadyAhead = 3 * time.Second
)

func newWriter(r *Relay) *writer {
	w := &writer{relay: r, bell: make(chan struct{}, 1)}
	for i, n := range ticks {
		w.paces[i].turns = make([][]*listener, n)
	}
	return w
}

// call has a listener visited soon. It does not block.
func (w *writer) call(l *listener) {
	w.mu.Lock()
	w.calls = append(w.calls, l)
	w.mu.Unlock()
	w.begun.Do(func() { w.relay.running.Go(w.run) })
	w.ring()
}

// called reports whether somebody is to be visited.
func (w *writer) called() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls) > 0
}

// hurry has everybody visited soon. It does not block.
func (w *writer) hurry() {
	w.mu.Lock()
	w.rush = true
	w.mu.Unlock()
	w.ring()
}

func (w *writer) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// run serves until the relay is shut down and nobody is left.
func (w *writer) run() {
	ctx := w.relay.ctx
	w.poll = newPoll()
	defer w.poll.close()
	clock := time.NewTicker(tickEvery)
	defer clock.Stop()
	last, ticking, done := time.Now(), true, ctx.Done()
	for ctx.Err() == nil || w.number > 0 || w.called() {
		if idle := w.number == 0; idle == ticking {
			if ticking = !idle; ticking {
				clock.Reset(tickEvery)
				last = time.Now()
			} else {
				clock.Stop()
			}
		}
		select {
		case <-done:
			done = nil
		case <-w.bell:
			w.answer(time.Now())
		case now := <-clock.C:
			// Ticks that were missed are made up for, but nobody has two turns.
			for range min(int(now.Sub(last)/tickEvery), ticks[steady]) {
				w.turn(now)
				last = last.Add(tickEvery)
			}
			if now.Sub(last) > tickEvery {
				last = now
			}
			w.poll.each(func(l *listener, left bool) { w.woken(l, left, now) })
		}
	}
}

// answer visits those who were called for.
func (w *writer) answer(now time.Time) {
	w.mu.Lock()
	calls, rush := w.calls, w.rush
	w.calls, w.rush = nil, false
	w.mu.Unlock()
	for _, l := range calls {
		if l.place.pace == nowhere && !l.gone {
			w.admit(l)
		}
		w.visit(l, now)
	}
	if rush {
		for p := range w.paces {
			for turn := range w.paces[p].turns {
				w.visitAll(p, turn, now)
			}
		}
	}
}

// turn visits those who are due at the next tick.
func (w *writer) turn(now time.Time) {
	w.tick++
	for p := range w.paces {
		w.visitAll(p, w.tick%len(w.paces[p].turns), now)
	}
}

// visitAll goes backwards: who leaves is replaced by the last one, who has been visited.
func (w *writer) visitAll(p, turn int, now time.Time) {
	for i := len(w.paces[p].turns[turn]) - 1; i >= 0; i-- {
		if all := w.paces[p].turns[turn]; i < len(all) {
			w.visit(all[i], now)
		}
	}
}

// woken is told by the kernel that a listener's socket takes more, or that he has left.
func (w *writer) woken(l *listener, left bool, now time.Time) {
	if left {
		l.end(listen.Left) // is visited for that
		return
	}
	if l.direct && !l.since.IsZero() {
		w.visit(l, now)
	}
}

// visit sends to a listener, or tells his goroutine to.
func (w *writer) visit(l *listener, now time.Time) {
	if l.gone {
		return
	}
	if !l.direct {
		if l.served.Load() {
			w.let(l)
			close(l.let)
			return
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
		w.settle(l, now)
		return
	}
	l.confirm(now)
	if reason := w.send(l, now); reason != "" {
		w.let(l)
		w.relay.running.Go(func() { l.leave(reason) })
		return
	}
	w.settle(l, now)
}

// admit takes a listener.
func (w *writer) admit(l *listener) {
	w.number++
	w.put(l, quick)
	w.poll.add(l)
}

// let lets go of a listener who leaves.
func (w *writer) let(l *listener) {
	l.gone = true
	w.number--
	w.take(l)
	w.poll.remove(l)
}

func (w *writer) put(l *listener, p int8) {
	t := &w.paces[p]
	turn := (w.tick + 1 + t.next) % len(t.turns)
	t.next = (t.next + 1) % len(t.turns)
	l.place.pace, l.place.turn, l.place.index = p, int16(turn), int32(len(t.turns[turn]))
	t.turns[turn] = append(t.turns[turn], l)
}

func (w *writer) take(l *listener) {
	all := w.paces[l.place.pace].turns[l.place.turn]
	end := len(all) - 1
	last := all[end]
	all[l.place.index], all[end] = last, nil
	last.place.index = l.place.index
	w.paces[l.place.pace].turns[l.place.turn] = all[:end]
	l.place.pace = nowhere
}

// settle gives a listener the pace for what he has in hand.
func (w *writer) settle(l *listener, now time.Time) {
	if l.place.pace == steady {
		return
	}
	ahead := l.ahead(now)
	switch {
	case ahead >= steadyAhead:
		w.take(l)
		w.put(l, steady)
	case ahead >= briskAhead && l.place.pace == quick:
		w.take(l)
		w.put(l, brisk)
	}
}
