package e2e

import (
	"testing"
	"time"
)

// TestHeart: a time without beats is no time that was lived, and is known as one.
func TestHeart(t *testing.T) {
	h := &heart{last: time.Now().Add(-3 * time.Second)}
	began := h.last
	h.beat()
	if h.lived != 2*beat || len(h.missed) != 1 || h.missed[0].from != began {
		t.Errorf("after three seconds without a beat: %v lived, missed %v", h.lived, h.missed)
	}
	if some := h.arrests(began.Add(time.Second), began.Add(2*time.Second)); len(some) != 1 || some[0] != time.Second {
		t.Errorf("of the second of them %v were missed", some)
	}
	if some := h.arrests(began.Add(-time.Second), began); len(some) != 0 {
		t.Errorf("before, %v were missed", some)
	}

	before, from := lived(), time.Now()
	if within(5*beat, make(chan struct{})) {
		t.Error("what never happens has happened")
	}
	if now := lived(); now < before+5*beat {
		t.Errorf("%v lived in a wait of %v", now-before, 5*beat)
	}
	if took, still := time.Since(from), stoodStill(from, time.Now()); took > 50*beat && still == 0 {
		t.Errorf("a wait of %v took %v, and nothing was missed", 5*beat, took)
	}
}
