package origin

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A failure is what an attempt says against an origin.
type failure struct {
	kind  kind
	about string // what was asked for, without its query
	err   error
	began time.Time
}

// kind is how much a failure says of the origin as a whole.
type kind int

const (
	unreached kind = iota // no connection: nothing else is to be had either
	mute                  // a connection and no answer: may be the fault of what was asked for
	refusing              // 5xx: the same, and more likely
)

// limit is how many failures in a row take an origin out.
func (k kind) limit() int {
	if k == refusing {
		return 5
	}
	return 3
}

// refusingFor is how long an origin answers with nothing but 5xx before that is its own.
const refusingFor = time.Second

const (
	firstRest = 250 * time.Millisecond
	lastRest  = 8 * time.Second
)

// condition is how an origin stands.
type condition int

const (
	up       condition = iota
	doubtful           // out, but what failed may be what was asked for: a last resort
	out                // nothing is to be had from it
)

// health is what the outcomes of the attempts at one origin say of it. A few failures in a row take it out: it rests, longer each
// time, and then one attempt, the trial, finds out whether it is back. Any answer brings it back.
type health struct {
	name   string              // scheme://host:port
	change func(failure error) // told when it goes out and, with nil, when it is back; mu is held

	retries budget

	mu      sync.Mutex
	alive   time.Time // of its last answer
	row     int       // failures since then
	first   string    // what the first of them was about
	since   time.Time // when that was
	several bool      // another was about something else
	torn    int       // bodies in a row that it did not bring to their end
	last    failure
	down    bool
	back    time.Time     // when it last ceased to be
	rest    time.Duration // the latest, without the jitter
	until   time.Time     // when it is over
	trial   chan struct{} // closed at the end of the one that runs; nil: none
}

// stand is how the origin stands, and whether a trial is due.
func (h *health) stand() (c condition, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.down {
		return up, false
	}
	due = h.trial == nil && !time.Now().Before(h.until)
	if h.last.kind == unreached || h.last.kind == mute && h.several {
		return out, due
	}
	return doubtful, due
}

// claim makes the caller's attempt the trial, if one is due. He ends it with answered, failed or dropped.
func (h *health) claim() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.down || h.trial != nil || time.Now().Before(h.until) {
		return false
	}
	h.trial = make(chan struct{})
	return true
}

// pending is the end of the trial that runs, or nil, and why the origin is out; nil if it is not.
func (h *health) pending() (<-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.down {
		return nil, nil
	}
	return h.trial, h.last.err
}

func (h *health) answered(trial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endTrial(trial)
	h.alive, h.row, h.several = time.Now(), 0, false
	if h.down {
		h.down, h.back = false, time.Now()
		h.change(nil)
	}
}

// failed counts against the origin, unless it has answered something else since the attempt began: then it is not the origin that fails.
func (h *health) failed(f failure, trial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endTrial(trial)
	if h.alive.After(f.began) {
		return
	}
	if h.row++; h.row == 1 {
		h.first, h.since = f.about, time.Now()
	}
	h.several = h.several || h.first != f.about
	h.last = f
	switch {
	case !h.down && f.kind == refusing && time.Since(h.since) < refusingFor: // a listener who hammers one bad path is faster than the others' answers
		return
	case !h.down && h.row >= f.kind.limit() && time.Since(h.back) > lastRest:
		h.rest = firstRest
	case !h.down && h.row >= f.kind.limit(), h.down && trial: // it comes and goes, or stays away
		h.rest = min(2*h.rest, lastRest)
	default:
		return
	}
	h.takeOut(f.err)
}

func (h *health) takeOut(why error) {
	h.until = time.Now().Add(jittered(h.rest))
	if !h.down {
		h.down = true
		h.change(why)
	}
}

// carried notes that a body came to its end.
func (h *health) carried() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.torn = 0
}

// tore notes that a body broke off, or stalled. Heads alone make no origin: one that brings no body to its end is asked last, and is out again with
// the first that it breaks when a trial, which is a head, has brought it back.
func (h *health) tore(f failure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.torn++; h.torn < refusing.limit() || h.down {
		return
	}
	h.torn = refusing.limit() - 1
	h.last, h.rest = f, lastRest
	h.takeOut(f.err)
}

// dropped is the end of an attempt that says nothing of the origin.
func (h *health) dropped(trial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endTrial(trial)
}

func (h *health) endTrial(trial bool) {
	if trial {
		close(h.trial)
		h.trial = nil
	}
}

// jittered is d, a quarter more or less by chance, so that edges that lost an origin together do not come back to it together.
func jittered(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2) }
