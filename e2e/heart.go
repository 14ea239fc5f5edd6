package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// heart beats while the tests run. On a machine that is busy, or stands still for a second, it misses beats, and whatever else was to be in time
// then was late as well: limits are in the time that it measures, and what is late by the clock is compared with what it has missed.
type heart struct {
	mu     sync.Mutex
	lived  time.Duration
	last   time.Time
	missed []arrest
}

// arrest is a time without beats.
type arrest struct{ from, to time.Time }

const (
	beat  = 10 * time.Millisecond
	pause = 5 * beat // what is shorter is no arrest
)

var pulse = &heart{last: time.Now()}

// run beats until stop is called.
func (h *heart) run() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				h.beat()
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (h *heart) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.lived += min(now.Sub(h.last), 2*beat)
	if now.Sub(h.last) > pause {
		h.missed = append(h.missed, arrest{h.last, now})
	}
	h.last = now
}

// lived is the time for which this machine has run the tests.
func lived() time.Duration {
	pulse.mu.Lock()
	defer pulse.mu.Unlock()
	return pulse.lived
}

// stoodStill is for how long this machine did not run the tests, between two moments.
func stoodStill(from, to time.Time) (sum time.Duration) {
	for _, d := range pulse.arrests(from, to) {
		sum += d
	}
	return sum
}

// arrests are the times without beats between two moments.
func (h *heart) arrests(from, to time.Time) (all []time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range append(slices.Clip(h.missed), arrest{h.last, time.Now()}) { // the last of which may not be over
		if d := earlier(a.to, to).Sub(later(a.from, from)); d > pause {
			all = append(all, d)
		}
	}
	return all
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// within waits until done is closed, for no longer than limit in which this machine ran.
func within(limit time.Duration, done <-chan struct{}) bool {
	tick := time.NewTicker(2 * beat)
	defer tick.Stop()
	for end := lived() + limit; ; {
		select {
		case <-done:
			return true
		case <-tick.C:
			if lived() > end {
				return false
			}
		}
	}
}

// complain is t.Errorf, or t.Logf where a machine that is too busy may be to blame.
type complain func(format string, args ...any)

// blames is the complain for what players do who cannot wait: where this machine stood still for longer than they bear, it is to blame.
func blames(t testing.TB, since time.Time, bear time.Duration) complain {
	t.Helper()
	if pulse.arrested(since, bear) {
		return t.Logf
	}
	return t.Errorf
}

// arrested tells whether this machine has stood still for longer than that at a time.
func (h *heart) arrested(since time.Time, bear time.Duration) bool {
	return slices.ContainsFunc(h.arrests(since, time.Now()), func(d time.Duration) bool { return d > bear })
}

// tries has players play who cannot wait, until nothing is to be complained of, and three times at most: a busy machine may spoil one, what is wrong spoils them all.
// play tells whether the machine disturbed them.
func tries(t testing.TB, play func(complain) (disturbed bool)) {
	t.Helper()
	for n := 1; ; n++ {
		var said []string
		disturbed := play(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		complain := t.Logf
		if n == 3 && !disturbed {
			complain = t.Errorf
		}
		for _, s := range said {
			complain("try %d, disturbed: %t: %s", n, disturbed, s)
		}
		if len(said) == 0 || n == 3 || t.Failed() {
			return
		}
	}
}
