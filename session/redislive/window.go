package redislive

import (
	"math"
	"sync"
	"time"
)

// window bounds how many scripts that renew are under way at once: as many as fill the way to Redis, and few that wait there, where whoever is admitted would
// wait behind them. How long the way is shows in the exchange that took least; what others take longer they have waited. The idea is that of TCP Vegas.
type window struct {
	mu    sync.Mutex
	room  *sync.Cond
	size  int
	under int           // way
	least time.Duration // that an exchange took since all of them were last done
	idle  time.Time     // since when none is under way
}

const (
	windowFirst = 1  // after a failure, and at first, one tries
	windowLeast = 4  // else; they are no burden, however unsteady the way
	windowMost  = 16 // half of the connections: the others are for those who wait to be admitted
	fewWait     = 2  // with fewer that wait there is one more
	manyWait    = 4  // with more, one less
	restart     = time.Second
)

func newWindow() *window {
	w := &window{size: windowFirst, least: math.MaxInt64}
	w.room = sync.NewCond(&w.mu)
	return w
}

// enter waits until there is room. That is not for long: each that is under way is so for a timeout at most.
func (w *window) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.under >= w.size {
		w.room.Wait()
	}
	if w.under == 0 && time.Since(w.idle) > restart { // the way may be another by now
		w.size, w.least = windowFirst, math.MaxInt64
	}
	w.under++
}

// leave says how long it took; after a failure there is room for one.
func (w *window) leave(took time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under--
	w.idle = time.Now()
	w.adjust(max(took, time.Microsecond), ok)
	w.room.Broadcast()
}

// pass gives room back that was not used.
func (w *window) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under--
	w.room.Broadcast()
}

func (w *window) adjust(took time.Duration, ok bool) {
	if !ok {
		w.size = windowFirst
		return
	}
	w.least = min(w.least, took)
	switch wait := float64(w.size) * float64(took-w.least) / float64(took); {
	case wait < fewWait:
		w.size = max(windowLeast, min(w.size+1, windowMost))
	case wait > manyWait:
		w.size = max(windowLeast, w.size-1)
	}
}
