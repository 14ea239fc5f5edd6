package store

import (
	"testing"
	"time"

	"earshot/listen"
	"earshot/session"
)

// TestHeard: what a session had within a time is summed from wherever it is kept by now, and nothing else.
func TestHeard(t *testing.T) {
	s := fresh(t)
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	heard := func(from, to, bytes, last int64) {
		t.Helper()
		n, when, err := s.Heard(t.Context(), "a", "g", at(from), at(to))
		must(t, err)
		if last == 0 && !when.IsZero() || last > 0 && !when.Equal(at(last)) || n != bytes {
			t.Errorf("from %d to %d: %d bytes, heard last at %v; want %d at %d", from, to, n, when, bytes, last)
		}
	}
	add := func(id, id2, group string, from, to, bytes int64) {
		t.Helper()
		_, err := s.Append(t.Context(), []listen.Event{{ID: id, Stream: group, FromMS: from * 1000, TimeMS: to * 1000, Bytes: bytes, MediaMS: (to - from) * 1000,
			Who: listen.Who{Key: session.Key{ID: session.ID(id2), Group: group}, Kind: session.HLS}}})
		must(t, err)
	}
	heard(0, 1000, 0, 0)
	add("1", "a", "g", 10, 20, 1)
	finalise := func(minimum time.Duration) {
		t.Helper()
		_, err := s.Finalise(t.Context(), []listen.Closing{{Key: session.Key{ID: "a", Group: "g"}}}, at(900), minimum, at(900))
		must(t, err)
	}
	finalise(time.Second) // into a row
	add("2", "a", "g", 100, 110, 10)
	add("3", "a", "g", 110, 120, 100)
	add("4", "a", "other", 110, 120, 5)
	add("5", "b", "g", 110, 120, 5)
	heard(0, 1000, 111, 120)
	heard(30, 1000, 110, 120)
	heard(0, 120, 11, 110)
	heard(121, 1000, 0, 0)
	finalise(time.Hour) // ignored
	add("6", "a", "g", 130, 140, 1000)
	heard(30, 1000, 1110, 140)
}
