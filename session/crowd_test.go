package session

import (
	"fmt"
	"testing"
	"time"
)

// TestManyFaces: more listeners than are kept apart at a time, who come in turn, are found all the same, a few after the other; and so are they where
// others ask for no media to take their places.
func TestManyFaces(t *testing.T) {
	const all, within = 100, time.Minute
	c, now, apart := new(Crowd), time.Unix(1_700_000_000, 0), make(map[uint64]bool)
	for round := range 100 {
		for f := uint64(1); f <= all; f++ {
			c.Note(10_000+uint64(round)*1000+f, 0, now, within)
			if apart[f] {
				continue // he has an id of his own
			}
			if _, another := c.Note(f, uint64(1000+round), now, within); another {
				c.Part(f, ID(fmt.Sprint(f)))
				apart[f] = true
			}
			now = now.Add(6 * time.Second / all)
		}
	}
	if len(apart) < all-1 {
		t.Errorf("%d of %d share one id still", all-len(apart), all)
	}
	if len(c.faces) > maxFaces {
		t.Errorf("%d faces are kept", len(c.faces))
	}
}
