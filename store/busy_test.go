package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"earshot/listen"
)

// TestBusy: while another process writes, a caller waits for it, as long as its context lets it.
func TestBusy(t *testing.T) {
	s := fresh(t)
	other := reopen(t, s.Path())
	tx, err := other.write.Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Append(ctx, batch(1, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want %v", err, context.DeadlineExceeded)
	}
	if waited := time.Since(began); waited > patience/2 {
		t.Errorf("gave up after %s, want about 20ms", waited)
	}
	done := make(chan error)
	go func() {
		_, err := s.Append(t.Context(), []listen.Event{event("e", "s", 1)})
		done <- err
	}()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after waiting: %v", err)
	}
}

// TestOpenTogether: several processes that make one database at once all find it whole.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "earshot.db")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			s, err := OpenSQLite(path)
			if err != nil {
				t.Error(err)
				return
			}
			if n, err := s.Append(t.Context(), batch(i, 10)); err != nil || n != 10 {
				t.Errorf("appended %d events, %v", n, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
