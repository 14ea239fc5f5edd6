package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"earshot/listen"
	"earshot/session"
)

// TestDiskFull fills the database to a limit on its pages, which fails as a full disk does.
func TestDiskFull(t *testing.T) {
	s := fresh(t)
	limit(t, s, ask[int](t, s.write, "PRAGMA page_count")+20)
	stored := 0
	var err error
	for i := 0; err == nil && i < 100; i++ {
		var n int
		n, err = s.Append(t.Context(), batch(i, 50))
		stored += n
	}
	if err == nil {
		t.Fatal("the database never filled up")
	}
	for _, want := range []string{"append 50 events to " + s.Path(), "no room on the disk"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to say %s", err, want)
		}
	}
	if got := ask[int](t, s.read, "SELECT count(*) FROM listen_events"); got != stored {
		t.Errorf("%d events are stored, %d were acknowledged", got, stored)
	}
	if keys, err := s.Idle(t.Context(), time.UnixMilli(1<<40), session.Key{}, 1); err != nil || len(keys) != 1 {
		t.Errorf("reading a full database: %v, %v", keys, err)
	}
	limit(t, s, 1<<30)
	if n, err := s.Append(t.Context(), batch(1000, 50)); err != nil || n != 50 {
		t.Errorf("with room again: %d, %v; want 50 events stored", n, err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func limit(t *testing.T, s *SQLite, pages int) {
	t.Helper()
	if got := ask[int](t, s.write, fmt.Sprintf("PRAGMA max_page_count = %d", pages)); got != pages {
		t.Fatalf("the limit is %d pages, want %d", got, pages)
	}
}

// batch is n events of n sessions.
func batch(number, n int) []listen.Event {
	events := make([]listen.Event, n)
	for i := range events {
		events[i] = event(fmt.Sprintf("e-%d-%d", number, i), fmt.Sprintf("s%d", i), 30)
	}
	return events
}
