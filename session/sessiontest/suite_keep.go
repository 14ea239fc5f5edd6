package sessiontest

import (
	"fmt"
	"slices"
	"time"

	"earshot/session"
)

func (x *table) one(id string) session.Seat {
	x.Helper()
	all, err := x.live.Seats(x.Context(), "", session.ID(id), 2)
	x.must(err)
	if len(all) != 1 {
		x.Fatalf("%s has %d seats", id, len(all))
	}
	return all[0]
}

func renewal(id string, ttl time.Duration) session.Renewal {
	return session.Renewal{Key: key(id), TTL: ttl}
}

func sighting(face uint64, since time.Duration, pieces ...uint64) session.Sighting {
	return session.Sighting{Face: face, Since: since, Pieces: pieces}
}

// sees renews s at an edge, with what was seen there, and checks what others have.
func (x *table) sees(edge string, s session.Sighting, ttl time.Duration, others ...session.Sighting) {
	x.Helper()
	r := renewal("s", ttl)
	r.Sighting = s
	a := x.renew(edge, r)[0]
	if a.State != session.Kept || len(a.Others) != len(others) {
		x.Fatalf("%+v, want others %+v", a, others)
	}
	for i, want := range others {
		got := a.Others[i]
		if got.Face != want.Face || !slices.Equal(got.Pieces, want.Pieces) {
			x.Fatalf("others %+v, want %+v", a.Others, others)
		}
		if d := got.Since - want.Since; d < 0 || d > time.Minute {
			x.Fatalf("seen for %v, and %v at least was meant", got.Since, want.Since)
		}
	}
}

// keepTests are of Renew.
var keepTests = []test{
	{"Renew keeps a seat as long as it is asked to", func(x *table) {
		x.held("s", ttl(x.steps(3)))
		for range 3 {
			x.pass(2)
			if s := x.renew("a", renewal("s", x.steps(3)))[0]; s.State != session.Kept || s.Reason != "" {
				x.Fatalf("%+v", s)
			}
		}
		x.refused("t")
		x.pass(4)
		if s := x.renew("a", renewal("s", time.Hour))[0]; s.State != session.Gone {
			x.Fatalf("%+v", s)
		}
		x.held("t")
	}},
	{"Renew extends from the time of activity", func(x *table) {
		x.held("s", ttl(time.Minute))
		now := x.one("s").Seen
		x.pass(1)
		x.renew("b", session.Renewal{Key: key("s"), TTL: time.Hour, Ago: 10 * time.Minute}) // before it was seen
		s := x.one("s")
		if d := s.Expires.Sub(now); d < 50*time.Minute || d > 51*time.Minute {
			x.Errorf("active 10 minutes ago, for an hour: expires in %v", d)
		}
		if !s.Seen.Equal(now) || s.Edge != "a" {
			x.Errorf("seen at %v by %q, want %v by a", s.Seen, s.Edge, now)
		}
		x.renew("b", renewal("s", time.Second))
		s = x.one("s")
		if !s.Seen.After(now) || s.Edge != "b" {
			x.Errorf("seen at %v by %q, want later than %v, by b", s.Seen, s.Edge, now)
		}
	}},
	{"Renew never shortens", func(x *table) {
		before := x.held("s").Seat.Expires
		for _, r := range []session.Renewal{renewal("s", time.Second), {Key: key("s"), TTL: time.Hour, Ago: 3 * time.Hour}, {Key: key("s")}} {
			if s := x.renew("a", r)[0]; s.State != session.Kept {
				x.Errorf("%+v", s)
			}
		}
		if after := x.one("s").Expires; !after.Equal(before) {
			x.Errorf("expires at %v, then at %v", before, after)
		}
	}},
	{"Renew gives nothing back", func(x *table) {
		x.stands("s", session.Gone)
		x.seated()
		x.uses("u", 0)
	}},
	{"Renew answers in order", func(x *table) {
		var all []session.Renewal
		for i := range 3000 {
			all = append(all, renewal(fmt.Sprint("s", i), time.Hour))
			if i%100 == 7 {
				x.must(x.live.End(x.Context(), session.Ending{Key: all[i].Key, Reason: fmt.Sprint("why", i), For: time.Hour}))
			} else if i%100 == 8 {
				x.outcome(session.Held, claim(string(all[i].Key.ID), under("u", 100)))
			}
		}
		for i, s := range x.renew("a", all...) {
			want, why := session.Gone, ""
			switch i % 100 {
			case 7:
				want, why = session.Over, fmt.Sprint("why", i)
			case 8:
				want = session.Kept
			}
			if s.State != want || s.Reason != why {
				x.Fatalf("%d: %+v, want %d %q", i, s, want, why)
			}
		}
		if n := len(x.renew("a")); n != 0 {
			x.Errorf("%d answers to none", n)
		}
	}},
	{"Renew tells what other edges saw of the same seat", func(x *table) {
		x.held("s", under("u", 2))
		x.held("t", under("u", 2))
		x.sees("a", sighting(7, time.Second, 1, 2, 3), time.Hour)
		x.sees("a", sighting(8, 2*time.Second, 4), time.Hour)
		x.sees("b", sighting(0xfedcba9876543210, 0, 0xffffffffffffffff, 0), time.Hour, sighting(8, 2*time.Second, 4))
		x.sees("c", sighting(0, 0), time.Hour, sighting(8, 2*time.Second, 4), sighting(0xfedcba9876543210, 0, 0xffffffffffffffff, 0))
		x.sees("a", sighting(0, 0), time.Hour, sighting(0xfedcba9876543210, 0, 0xffffffffffffffff, 0))
		x.sees("b", sighting(1, 0), time.Hour, sighting(8, 2*time.Second, 4)) // a's, though a saw nothing of late
		if s := x.stands("t", session.Kept); len(s.Others) > 0 {
			x.Errorf("of another seat: %+v", s.Others)
		}
	}},
	{"Renew: a face grows old while nobody tells of it", func(x *table) {
		x.held("s")
		x.sees("a", sighting(7, time.Second), time.Hour)
		x.pass(2)
		x.sees("b", sighting(8, 0), time.Hour, sighting(7, time.Second+x.steps(2)))
	}},
	{"Renew: what others saw is told for the time to live", func(x *table) {
		x.held("s")
		x.sees("a", sighting(7, 0), time.Hour)
		x.pass(3)
		x.sees("b", sighting(8, 0), x.steps(2))
		x.sees("b", sighting(8, 0), time.Hour, sighting(7, 0))
	}},
	{"Renew: what was seen goes with the seat", func(x *table) {
		x.held("s")
		x.sees("a", sighting(7, 0), time.Hour)
		x.release("s")
		x.held("s")
		x.sees("b", sighting(8, 0), time.Hour)
	}},
	{"Renew: pieces are bounded", func(x *table) {
		x.held("s")
		many := make([]uint64, 3*session.MaxPieces)
		for i := range many {
			many[i] = uint64(i)
		}
		x.sees("a", sighting(7, 0, many...), time.Hour)
		x.sees("b", sighting(8, 0), time.Hour, sighting(7, 0, many[len(many)-session.MaxPieces:]...))
	}},
}
