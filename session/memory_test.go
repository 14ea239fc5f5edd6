package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"earshot/session"
	"earshot/session/sessiontest"
)

func TestMemory(t *testing.T) {
	sessiontest.Suite{Open: func(*testing.T) session.Live { return session.NewMemory(5000) }, Step: 250 * time.Millisecond, Bubble: true}.Run(t)
}

// TestMemoryModel compares it with the naive model over random lives.
func TestMemoryModel(t *testing.T) {
	seeds := uint64(80)
	if testing.Short() {
		seeds = 16
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			sessiontest.Compare(t, session.NewMemory(100), seed, 300, true)
		})
	}
}

// TestMemoryModelRealTime is what tables that live by a clock of their own are held to.
func TestMemoryModelRealTime(t *testing.T) {
	t.Parallel()
	sessiontest.Compare(t, session.NewMemory(100), uint64(time.Now().UnixNano()), 200, false)
}
