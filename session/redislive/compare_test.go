package redislive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/session"
	"earshot/session/sessiontest"
)

// virtual is a Table whose scripts go by a clock in Redis that the test sets, so that its answers can be compared to the millisecond.
type virtual struct {
	*Table
	s   *server
	now time.Time
}

func newVirtual(t *testing.T, s *server, deployment string) *virtual {
	v := &virtual{Table: s.open(t, deployment), s: s}
	v.scripts = load(func(src string) string {
		const real = "redis.call('TIME')"
		if !strings.Contains(src, real) {
			t.Fatal("the scripts have another clock")
		}
		return strings.Replace(src, real, "redis.call('HMGET', KEYS[1] .. ':clock', 's', 'us')", 1)
	})
	return v
}

func (v *virtual) set(now time.Time) {
	v.now = now
	ms := now.UnixMilli()
	if err := v.s.ask.HSet(context.Background(), v.tag+":clock", "s", ms/1000, "us", ms%1000*1000).Err(); err != nil {
		v.s.t.Fatal(err)
	}
}

// TestAgainstTheModel plays random sequences to a Table and to the naive model, and compares every answer and what is listed. Few names, coarse times and
// small limits make for many collisions; ages and times are such that seats often began, and were seen, at the same millisecond.
func TestAgainstTheModel(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, s, seed, 200) })
	}
}

// TestCompare is the suite's own comparison, by the real clock.
func TestCompare(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			sessiontest.Compare(t, s.open(t, fmt.Sprint("compare-", seed)), seed, 400, false)
		})
	}
}

func play(t *testing.T, s *server, seed uint64, steps int) {
	r := dice{rand.New(rand.NewPCG(seed, 6)), seed%2 == 1}
	v := newVirtual(t, s, fmt.Sprint("model-", seed))
	v.set(time.UnixMilli(1_800_000_000_000))
	model := sessiontest.NewModel(func() time.Time { return v.now })
	ctx := context.Background()
	for i := range steps {
		var what string
		var got, want any
		switch n := r.IntN(20); {
		case n < 11:
			c := randomClaim(r)
			a, err := v.Claim(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := model.Claim(ctx, c)
			what, got, want = fmt.Sprintf("%+v", c), tidy(a), tidy(b)
		case n < 14:
			edge := fmt.Sprint("edge %", r.IntN(3))
			var all []session.Renewal
			for range 1 + r.IntN(4) {
				all = append(all, randomRenewal(r))
			}
			a, err := v.Renew(ctx, edge, all)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := model.Renew(ctx, edge, all)
			what, got, want = fmt.Sprintf("renew at %s %+v", edge, all), tidyStandings(a), tidyStandings(b)
		case n < 15:
			k := randomKey(r)
			edge := []string{"", "edge %0", "edge %1"}[r.IntN(3)]
			what = fmt.Sprintf("release at %q %v", edge, k)
			if err := v.Release(ctx, edge, k); err != nil {
				t.Fatal(err)
			}
			model.Release(ctx, edge, k)
		case n < 16:
			e := session.Ending{Key: randomKey(r), Reason: "kicked", For: minutes(r, 10)}
			what = fmt.Sprintf("end %+v", e)
			if err := v.End(ctx, e); err != nil {
				t.Fatal(err)
			}
			model.End(ctx, e)
		default:
			v.set(v.now.Add(minutes(r, 4)))
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: %s\n got %+v\nwant %+v", i, what, got, want)
		}
		compareLists(t, i, what, v, model)
	}
	leavesNothing(t, v)
}

// compareLists compares all that can be listed.
func compareLists(t *testing.T, step int, what string, v *virtual, model *sessiontest.Model) {
	t.Helper()
	ctx := context.Background()
	for _, q := range []struct {
		user  string
		id    session.ID
		limit int
	}{{"", "", 100}, {"ann", "", 3}, {"", "s1", 100}} {
		a, err := v.Seats(ctx, q.user, q.id, q.limit)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := model.Seats(ctx, q.user, q.id, q.limit)
		if !reflect.DeepEqual(tidySeats(a), tidySeats(b)) {
			t.Fatalf("after step %d: %s: seats of %+v\n got %+v\nwant %+v", step, what, q, tidySeats(a), tidySeats(b))
		}
	}
	a, err := v.Usage(ctx, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := model.Usage(ctx, "", 100); !slices.Equal(a, b) {
		t.Fatalf("after step %d: %s: usage\n got %+v\nwant %+v", step, what, a, b)
	}
}

// leavesNothing: once the last seat has expired, nothing is left but what is of sessions that were ended and of owners who cool down.
func leavesNothing(t *testing.T, v *virtual) {
	t.Helper()
	ctx := context.Background()
	v.set(v.now.Add(24 * time.Hour))
	if _, err := v.Seats(ctx, "", "", 1); err != nil {
		t.Fatal(err)
	}
	for _, key := range v.s.keys(v.Table) {
		switch kind, _, _ := strings.Cut(key, ":"); kind {
		case "ended", "cool", "clock", "board":
		default:
			t.Errorf("%q is left", key)
		}
	}
}

func minutes(r dice, n int) time.Duration { return time.Duration(r.IntN(n)) * time.Minute }

// dice are what a sequence is made from. In a duel few sessions of one owner are after one seat.
type dice struct {
	*rand.Rand
	duel bool
}

func randomKey(r dice) session.Key {
	if r.duel && r.IntN(8) > 0 {
		return session.Key{ID: session.ID(fmt.Sprint("s", r.IntN(3))), Group: "news"}
	}
	k := session.Key{ID: session.ID(fmt.Sprint("s", r.IntN(12))), Group: []string{"news", "jazz"}[r.IntN(2)]}
	if r.IntN(6) == 0 {
		k.Group = ""
	}
	return k
}

func randomClaim(r dice) *session.Claim {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	c := &session.Claim{
		Seat: session.Seat{
			Key: randomKey(r), Kind: session.HLS, Edge: one("edge %0", "edge %1", "edge %2"), UserID: one("", "ann", "ann", "bob"),
			DeviceID: one("", "d1"), DeviceType: one("", "stb"), Address: netip.MustParseAddr(one("192.0.2.1", "2001:db8::1")),
			Agent: one("", strings.Repeat("a", 90)), Service: one("", "live", "vod"), Owner: one("", "o1", "o2", "o3"), Slot: one("", "", "", "tv", "pc"),
		},
		TTL: time.Minute + minutes(r, 8), Policy: session.Policy(one("reject", "end-oldest", "end-oldest", "choose")),
		Adopt: r.IntN(2) == 0, Goes: r.IntN(2) == 0, Restore: r.IntN(20) == 0,
		Age: minutes(r, 4), Silence: minutes(r, 3), Cooldown: time.Minute + minutes(r, 3), Sentence: minutes(r, 5),
	}
	if c.Seat.Key.Group == "" {
		c.Seat.API, c.Seat.Kind = true, ""
	}
	if r.IntN(8) == 0 {
		c.Seat.Address = netip.Addr{}
	}
	c.Seat.Uses = randomUses(r)
	if r.duel && r.IntN(4) > 0 {
		c.Seat.Owner, c.Seat.Slot, c.Policy, c.Goes = "o1", "", session.Reject, r.IntN(6) > 0
		c.Seat.Uses, c.Silence = []session.Use{{Name: "user", Max: 1}}, 5*time.Minute
	}
	c.OfUser, c.Stay = r.IntN(8) == 0, r.IntN(8) == 0
	if r.IntN(3) == 0 {
		c.Back = randomKey(r)
	}
	for range r.IntN(3) {
		c.Terminate = append(c.Terminate, randomKey(r))
	}
	return c
}

func randomRenewal(r dice) session.Renewal {
	n := session.Renewal{Key: randomKey(r), Ago: minutes(r, 3), TTL: time.Minute + minutes(r, 6)}
	if r.IntN(2) == 0 {
		n.Sighting = session.Sighting{Face: 1 + r.Uint64N(3), Since: minutes(r, 3)}
		for range r.IntN(session.MaxPieces + 2) {
			n.Sighting.Pieces = append(n.Sighting.Pieces, r.Uint64())
		}
	}
	if r.IntN(2) == 0 {
		n.Place = &session.Place{Address: netip.MustParseAddr("192.0.2.9"), Agent: []string{"", "b"}[r.IntN(2)],
			Owner: []string{"", "o1", "o2", "o3"}[r.IntN(4)], Uses: randomUses(r)}
	}
	return n
}

func randomUses(r dice) (all []session.Use) {
	for _, u := range []session.Use{{Name: "user", Max: 1 + r.IntN(3)}, {Name: "stream", Max: 2 + r.IntN(4)}, {Name: "edge", Max: r.IntN(9)}} {
		if r.IntN(2) == 0 {
			all = append(all, u)
		}
	}
	return all
}

// tidy makes answers comparable: an empty list is no list, and times are in one zone.
func tidy(a session.Answer) session.Answer {
	a.Seat = tidySeat(a.Seat)
	a.Conflicts = tidySeats(a.Conflicts)
	if len(a.Taken) == 0 {
		a.Taken = nil
	}
	if len(a.Ended) == 0 {
		a.Ended = nil
	}
	slices.SortFunc(a.Ended, func(a, b session.Key) int { return strings.Compare(string(a.ID)+a.Group, string(b.ID)+b.Group) })
	return a
}

func tidySeat(s session.Seat) session.Seat {
	s.Started, s.Seen, s.Expires = s.Started.UTC(), s.Seen.UTC(), s.Expires.UTC()
	if len(s.Uses) == 0 {
		s.Uses = nil
	}
	return s
}

func tidySeats(all []session.Seat) []session.Seat {
	var tidied []session.Seat
	for _, s := range all {
		tidied = append(tidied, tidySeat(s))
	}
	return tidied
}

func tidyStandings(all []session.Standing) []string {
	var tidied []string
	for _, s := range all {
		tidied = append(tidied, fmt.Sprintf("%+v", s))
	}
	return tidied
}
