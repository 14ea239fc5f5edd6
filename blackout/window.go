package blackout

import (
	"sync/atomic"
	"time"
)

// window is when a rule holds: from its beginning, before its end, while its schedule is open.
type window struct {
	from, to time.Time // zero: no bound
	schedule Schedule
	last     *atomic.Pointer[stretch] // what the schedule answered last; nil: that is not kept
}

// stretch is a time in which a schedule does not change. Thousands ask within one, and working it out takes microseconds.
type stretch struct {
	from, until time.Time // until is not within; zero: it never ends
	open        bool
}

func (s *stretch) has(t time.Time) bool {
	return !t.Before(s.from) && (s.until.IsZero() || t.Before(s.until))
}

func (w *window) at(t time.Time) stretch {
	if w.last != nil {
		if s := w.last.Load(); s != nil && s.has(t) {
			return *s
		}
	}
	s := stretch{from: t}
	s.open, s.until = w.schedule.at(t)
	if w.last != nil {
		kept := s
		w.last.Store(&kept)
	}
	return s
}

func (w *window) open(now time.Time) bool {
	if now.Before(w.from) || !w.to.IsZero() && !now.Before(w.to) {
		return false
	}
	return w.schedule.always() || w.at(now).open
}

// next is the first moment after after at which the window opens or closes; zero: none.
func (w *window) next(after time.Time) time.Time {
	if !w.from.IsZero() && after.Before(w.from) {
		if w.open(w.from) {
			return w.from
		}
		after = w.from
	}
	if !w.to.IsZero() && !after.Before(w.to) {
		return time.Time{}
	}
	if w.schedule.always() {
		return w.to
	}
	now := w.at(after)
	switch {
	case now.open:
		return earlier(now.until, w.to)
	case w.to.IsZero() || now.until.Before(w.to):
		return now.until
	}
	return time.Time{}
}
