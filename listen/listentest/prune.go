package listentest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"earshot/listen"
	"earshot/session"
)

func (w *world) prune(events, sessions time.Time, limit int) int {
	w.Helper()
	n, err := w.Store.Prune(w.Context(), events, sessions, limit)
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// threeKinds stores a finalised, an ignored and an open session, of one event each that ends at 60 s.
func (w *world) threeKinds() {
	closed, ignored := key("a closed", "g"), key("b ignored", "g")
	w.append(w.heard(closed, "g", 60, 60), w.heard(ignored, "g", 60, 5), w.heard(key("c open", "g"), "g", 60, 60))
	w.finalise(400, closed, ignored)
}

func prune(w *world) {
	w.threeKinds()
	is(w, "no times", w.prune(time.Time{}, time.Time{}, 10), 0)
	is(w, "at their end", w.prune(at(60), at(60), 10), 0)
	is(w, "events", w.prune(at(61), time.Time{}, 10), 2)
	are(w, "the open one stays", w.states(), []int{0})
	is(w, "rows", len(w.rows()), 1)
	is(w, "sessions", w.prune(time.Time{}, at(61), 10), 1)
	is(w, "rows", len(w.rows()), 0)
	is(w, "the open one closes", w.finalise(500, key("c open", "g")), listen.Outcome{Finalised: 1})
}

func pruneInPieces(w *world) {
	k := key("s", "g")
	for i := range int64(25) {
		w.append(w.heard(k, "g", 60+i, 60))
	}
	w.finalise(400, k)
	var pieces []int
	for {
		n := w.prune(at(80), time.Time{}, 8)
		pieces = append(pieces, n)
		if n < 8 {
			break
		}
	}
	are(w, "pieces", pieces, []int{8, 8, 4})
	is(w, "left", len(w.events()), 5)
}

// prunedSessions: what is left of a session goes on as it can, and an event's id may come again.
func prunedSessions(w *world) {
	k := key("s", "g")
	w.append(w.heard(k, "g", 60, 60))
	w.finalise(400, k)
	is(w, "gone", w.prune(at(61), at(61), 10), 2)
	w.append(w.heard(k, "g", 1060, 60))
	is(w, "resumed", w.finalise(1400, k), listen.Outcome{Finalised: 1})
	are(w, "totals", w.totals(), []int64{60_000})
	is(w, "rows", len(w.rows()), 1)
}

// cancelled: with a context that is over nothing is done, and the error says so.
func cancelled(w *world) {
	w.threeKinds()
	before := w.events()
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	k := key("c open", "g")
	for name, do := range map[string]func() error{
		"Append": func() error {
			_, err := w.Store.Append(ctx, []listen.Event{w.heard(k, "g", 1, 1)})
			return err
		},
		"Idle": func() error { _, err := w.Store.Idle(ctx, at(500), session.Key{}, 1); return err },
		"Finalise": func() error {
			_, err := w.Store.Finalise(ctx, []listen.Closing{{Key: k}}, at(500), 0, at(500))
			return err
		},
		"Recent": func() error { _, err := w.Store.Recent(ctx, at(0)); return err },
		"Prune":  func() error { _, err := w.Store.Prune(ctx, at(500), at(500), 10); return err },
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			w.Errorf("%s with a cancelled context: %v; want %v", name, err, context.Canceled)
		}
	}
	are(w, "events", w.events(), before)
	is(w, "the store works on", w.finalise(500, k), listen.Outcome{Finalised: 1})
}

// cancelledMidway: a batch is stored whole or not at all, whenever its context ends.
func cancelledMidway(w *world) {
	const size = 400
	var sum int
	for try := range 12 {
		events := make([]listen.Event, size)
		for i := range events {
			events[i] = w.heard(key(fmt.Sprint("s", i%20), fmt.Sprint("g", try)), "low", int64(i), 1)
		}
		ctx, cancel := context.WithTimeout(w.Context(), time.Duration(try)*500*time.Microsecond)
		n, err := w.Store.Append(ctx, events)
		cancel()
		switch {
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			w.Errorf("try %d: %v; want %v", try, err, context.DeadlineExceeded)
		case err == nil && n != size:
			w.Errorf("try %d: %d events, want %d", try, n, size)
		}
		sum += n
		if got := len(w.events()); got != sum {
			w.Fatalf("try %d: %d events are stored, %d were acknowledged", try, got, sum)
		}
	}
}
