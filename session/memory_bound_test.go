package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func seatOf(i int, o ...func(*Claim)) *Claim {
	c := &Claim{Seat: Seat{Key: Key{ID(fmt.Sprint("s", i)), "g"}, Uses: []Use{{"edge", 1 << 30}}}, TTL: time.Minute, Sentence: time.Minute, Cooldown: time.Minute}
	for _, f := range o {
		f(c)
	}
	return c
}

func held(t testing.TB, m *Memory, c *Claim) {
	t.Helper()
	if a, err := m.Claim(context.Background(), c); err != nil || a.Outcome != Held {
		t.Fatalf("%v: %+v, %v", c.Seat.Key, a, err)
	}
}

// TestMemoryFull: beyond its seats the table says so and changes nothing; who has a seat, or whose seat passes, is served.
func TestMemoryFull(t *testing.T) {
	m := NewMemory(3)
	owned := func(c *Claim) { c.Seat.Owner = "o" }
	held(t, m, seatOf(0, owned))
	held(t, m, seatOf(1))
	held(t, m, seatOf(2))
	if _, err := m.Claim(t.Context(), seatOf(3)); !errors.Is(err, ErrFull) {
		t.Fatalf("a fourth seat of three: %v", err)
	}
	held(t, m, seatOf(1))
	held(t, m, seatOf(4, owned))
	if m.n != 3 || m.limits["edge"].taken() != 3 || m.find(Key{"s0", "g"}) != nil {
		t.Errorf("%d seats, %d taken", m.n, m.limits["edge"].taken())
	}
	for i := range 3 {
		if err := m.Post(t.Context(), Note{Kind: "ban", ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Post(t.Context(), Note{Kind: "ban", ID: "3"}); !errors.Is(err, ErrFull) {
		t.Errorf("a fourth note of three: %v", err)
	}
}

// TestMemoryBounded: endings and cool-downs are as many as seats at most, and the oldest go; when all has lapsed, nothing is left.
func TestMemoryBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 100
		m := NewMemory(most)
		for i := range 3 * most {
			time.Sleep(time.Millisecond)
			held(t, m, seatOf(i, func(c *Claim) {
				c.Seat.Owner, c.Seat.UserID, c.Seat.Slot = fmt.Sprint("o", i), "u", fmt.Sprint("d", i)
				c.Seat.Uses, c.Policy = []Use{{"u", 1}, {fmt.Sprint("v", i), 1}}, EndOldest
			}))
		}
		if len(m.ended.all) != most || len(m.cooled.all) != most || len(m.limits) != 2 || len(m.limits["u"].seats) > 2 {
			t.Fatalf("%d endings, %d cool-downs, %d limits, %d rows", len(m.ended.all), len(m.cooled.all), len(m.limits), len(m.limits["u"].seats))
		}
		for i, want := range map[int]Outcome{3*most - 2: Ended, 2*most - 1: Ended, 2*most - 2: Refused} {
			if a, err := m.Claim(t.Context(), seatOf(i, func(c *Claim) { c.Seat.Uses = []Use{{"u", 1}} })); err != nil || a.Outcome != want {
				t.Errorf("%d: %+v, %v; want outcome %d", i, a, err, want)
			}
		}
		time.Sleep(2 * time.Minute)
		if _, err := m.Renew(t.Context(), "e", []Renewal{{}}); err != nil { // any call sweeps
			t.Fatal(err)
		}
		if n := m.n + len(m.queue) + len(m.ids.first) + len(m.users.first) + len(m.owners.first) + len(m.limits); n != 0 {
			t.Errorf("%d things are left of seats", n)
		}
		if n := len(m.ended.all) + len(m.ended.queue) + len(m.cooled.all) + len(m.cooled.queue); n != 0 {
			t.Errorf("%d things are left of endings and cool-downs", n)
		}
	})
}

// TestMemoryChurn: a limit's list forgets who goes, in whatever order they do.
func TestMemoryChurn(t *testing.T) {
	m := NewMemory(10_000)
	for i := range 10_000 {
		held(t, m, seatOf(i%2000+i))
		if i%3 > 0 {
			if err := m.Release(t.Context(), "", seatOf((i*7)%2000+i/2).Seat.Key, seatOf(i%2000+i).Seat.Key); err != nil {
				t.Fatal(err)
			}
		}
		if l := m.limits["edge"]; l != nil && (len(l.seats)-l.gone != m.n || 4*l.gone > len(l.seats)) {
			t.Fatalf("%d rows, %d gone, for %d seats", len(l.seats), l.gone, m.n)
		}
	}
}

// TestMemoryEdges: what many edges saw of one seat is bounded, and the latest is kept.
func TestMemoryEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(0)
		if err := m.End(t.Context(), Ending{Key: Key{"s", "g"}, For: time.Hour}); err != nil { // no room for seats is some for endings
			t.Fatal(err)
		}
		m = NewMemory(1)
		held(t, m, seatOf(0))
		for i := range 3 * maxEdges {
			time.Sleep(time.Millisecond)
			r := Renewal{Key: seatOf(0).Seat.Key, TTL: time.Minute, Sighting: Sighting{Face: uint64(i + 1)}}
			a, err := m.Renew(t.Context(), fmt.Sprintf("edge-%02d", (i*7)%(3*maxEdges)), []Renewal{r})
			if err != nil || len(a[0].Others) != min(i, maxEdges) {
				t.Fatalf("%d: %+v, %v", i, a, err)
			}
			for _, o := range a[0].Others {
				if int(o.Face) <= i-maxEdges {
					t.Fatalf("%d: face %d is kept", i, o.Face)
				}
			}
		}
	})
}
