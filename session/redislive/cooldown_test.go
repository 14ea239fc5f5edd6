package redislive

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"earshot/session"
)

// TestWhoRetriesStaysCool: who asks while he cools down does so for a quarter of the time more at least, as in memory. The eviction is put into the past by hand, so that nothing
// hangs on how long anything takes.
func TestWhoRetriesStaysCool(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	table := s.open(t, "cool")
	ctx := context.Background()
	asks := func(id string) *session.Claim {
		c := seatClaim(id)
		c.Seat.Owner, c.Policy, c.Cooldown = id, session.EndOldest, 4*time.Hour
		c.Seat.Uses = []session.Use{{Name: "user=ann", Max: 1}}
		return c
	}
	mustClaim(t, table, asks("kitchen"), session.Held)
	mustClaim(t, table, asks("car"), session.Held)
	key := ""
	for _, k := range s.keys(table) {
		if strings.HasPrefix(k, "cool:") {
			key = table.tag + ":" + k
		}
	}
	left := func() time.Duration {
		at, err := strconv.ParseInt(s.ask.Get(ctx, key).Val(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if ttl := s.ask.PTTL(ctx, key).Val(); ttl < time.Until(time.UnixMilli(at).Add(4*time.Hour))-time.Minute {
			t.Errorf("the key goes in %v", ttl)
		}
		return time.Until(time.UnixMilli(at).Add(4 * time.Hour))
	}
	again := asks("another")
	again.Seat.Owner = "kitchen"
	mustClaim(t, table, again, session.Cooling)
	if got := left(); got < 3*time.Hour+30*time.Minute {
		t.Errorf("a retry at once leaves %v of 4 h", got)
	}
	long := time.Now().Add(-3*time.Hour - 50*time.Minute)
	if err := s.ask.Set(ctx, key, long.UnixMilli(), 10*time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	mustClaim(t, table, again, session.Cooling)
	if got := left(); got < 55*time.Minute || got > time.Hour {
		t.Errorf("a retry ten minutes before the end leaves %v, want an hour", got)
	}
}
