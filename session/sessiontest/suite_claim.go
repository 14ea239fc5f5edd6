package sessiontest

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"earshot/session"
)

// claimTests are of rules 1, 2, 3, 5 and 10 of [session.Claim], and of slots.
var claimTests = []test{
	{"1: an ended session gets no seat until the ending lapses", func(x *table) {
		x.held("s")
		x.end("s", "kicked", x.steps(3))
		x.over("s", "kicked")
		x.over("s", "kicked", restore, goes)
		x.seated()
		x.held("other")
		x.release("other")
		x.pass(4)
		x.held("s")
	}},
	{"1: an ending is of that session alone, and needs no seat", func(x *table) {
		x.end("s", "kicked", time.Hour)
		x.over("s", "kicked")
		x.held("s", seat(func(s *session.Seat) { s.Key.Group = "sport" }))
	}},
	{"2: another user's session is not his who says who he is", func(x *table) {
		before := x.held("s", user("ann"), ttl(time.Minute)).Seat
		for _, other := range []string{"bob", ""} {
			if a := x.outcome(session.Another, claim("s", user(other), ofUser, at("b"), goes, restore, oldest)); a.Seat.Key.ID != "" {
				x.Errorf("told of %+v", a.Seat)
			}
		}
		after, err := x.live.Seats(x.Context(), "", "s", 1)
		x.must(err)
		if len(after) != 1 || !reflect.DeepEqual(after[0], before) {
			x.Errorf("%+v became %+v", before, after)
		}
		x.releaseAt("b", "s")
		x.seated("s")
		x.held("s", user("ann"), ofUser)
		x.held("s", user("bob")) // who has a grant for it
		x.release("s")
		x.held("s", user("bob"), ofUser)
	}},
	{"2: a session that has a seat keeps it, whatever is full", func(x *table) {
		x.held("s", owner("o"))
		x.held("s", owner("o"))
		x.held("s", goes)
		x.held("s", and("v", 0))
		x.uses("u", 1)
		x.uses("v", 1)
		x.seated("s")
	}},
	{"2: its edge, address, agent and service are replaced, all else kept", func(x *table) {
		first := x.held("s", user("ann"), owner("o"), slot("d"), seat(func(s *session.Seat) { s.Service = "one" })).Seat
		x.pass(1)
		second := x.held("s", user("bob"), owner("p"), slot("e"), age(time.Hour), seat(func(s *session.Seat) {
			s.Service, s.Edge, s.Address, s.Agent, s.Kind = "two", "b", netip.MustParseAddr("2001:db8::1"), "player/2", session.ICY
			s.API = true
		})).Seat
		want := first
		want.Edge, want.Address, want.Agent, want.Service = "b", netip.MustParseAddr("2001:db8::1"), "player/2", "two"
		if !second.Seen.After(first.Seen) || !second.Expires.After(first.Expires) {
			x.Errorf("not renewed: seen %v then %v, expires %v then %v", first.Seen, second.Seen, first.Expires, second.Expires)
		}
		want.Seen, want.Expires = second.Seen, second.Expires
		same(x, second, want)
	}},
	{"2: a shorter time to live does not shorten it", func(x *table) {
		long := x.held("s").Seat
		if short := x.held("s", ttl(time.Second)).Seat; !short.Expires.Equal(long.Expires) {
			x.Errorf("expires at %v, then at %v", long.Expires, short.Expires)
		}
	}},
	{"2: a seat that expired is none", func(x *table) {
		x.held("s", ttl(x.steps(2)), user("ann"))
		x.pass(3)
		x.seated()
		if s := x.held("s").Seat; s.UserID != "" {
			x.Errorf("the new seat has the old one's user %q", s.UserID)
		}
	}},
	{"a seat is given as it was asked for", func(x *table) {
		c := claim("s", user("ann"), owner("ann\x00tv"), slot("tv"), and("v", 7), age(time.Hour), ttl(time.Minute), seat(func(s *session.Seat) {
			s.DeviceID, s.DeviceType, s.Service, s.Agent, s.Kind, s.API = "tv", "stb", "c\"ché {1}", "ägent\n", session.ICY, true
		}))
		a := x.outcome(session.Held, c)
		want := c.Seat
		want.Started, want.Seen, want.Expires = a.Seat.Started, a.Seat.Seen, a.Seat.Expires
		same(x, a.Seat, want)
		if d := a.Seat.Seen.Sub(a.Seat.Started); d != time.Hour {
			x.Errorf("an hour old, and started %v before it was seen", d)
		}
		if d := a.Seat.Expires.Sub(a.Seat.Seen); d != time.Minute {
			x.Errorf("expires %v after it was seen, want a minute", d)
		}
		if d := time.Since(a.Seat.Seen); d < -time.Second || d > 10*time.Second || a.Seat.Seen.Nanosecond()%1e6 != 0 {
			x.Errorf("seen at %v", a.Seat.Seen)
		}
		all, err := x.live.Seats(x.Context(), "", "", 10)
		x.must(err)
		if len(all) != 1 {
			x.Fatalf("%d seats", len(all))
		}
		same(x, all[0], want)
	}},
	{"no limit, no refusal", func(x *table) {
		for i := range 30 {
			x.held(fmt.Sprintf("s%02d", i), seat(func(s *session.Seat) { s.Uses = nil }))
		}
	}},
	{"3: playing adopts the app's seat and keeps what the app said", func(x *table) {
		made := x.held("s", app, user("ann"), seat(func(s *session.Seat) { s.DeviceID, s.DeviceType, s.Service = "tv", "stb", "one" })).Seat
		x.pass(1)
		x.uses("u", 1)
		a := x.held("s", adopt, owner("o"), user("x"), and("v", 1), seat(func(s *session.Seat) { s.DeviceID, s.DeviceType, s.Service = "y", "z", "w" }))
		if s := a.Seat; !s.API || s.UserID != "ann" || s.DeviceID != "tv" || s.DeviceType != "stb" || s.Service != "one" || !s.Started.Equal(made.Started) {
			x.Errorf("adopted as %+v, made as %+v", s, made)
		}
		if s := a.Seat; s.Owner != "o" || s.Kind != session.HLS || !s.Seen.After(made.Seen) || len(s.Uses) != 2 {
			x.Errorf("the player's own part is lost: %+v", s)
		}
		x.seated("s")
		x.uses("u", 1)
		x.uses("v", 1)
	}},
	{"3: what the app left empty is the player's", func(x *table) {
		x.held("s", app)
		s := x.held("s", adopt, user("ann"), seat(func(s *session.Seat) { s.DeviceID, s.Service = "tv", "one" })).Seat
		if !s.API || s.UserID != "ann" || s.DeviceID != "tv" || s.Service != "one" {
			x.Errorf("%+v", s)
		}
	}},
	{"3: without Adopt the app's seat is another's", func(x *table) {
		x.held("s", app)
		x.refused("s")
		x.held("s", under("u", 2))
		x.uses("u", 2)
	}},
	{"3: only an app's seat with no group is adopted", func(x *table) {
		x.held("s", seat(func(s *session.Seat) { s.Key.Group = "sport"; s.API = true }))
		x.refused("s", adopt)
		x.held("t", under("v", 1), seat(func(s *session.Seat) { s.Key.Group = "" })) // no app made it
		x.refused("t", adopt, under("v", 1))
		x.seated("s", "t")
	}},
	{"3: refused, nothing is adopted", func(x *table) {
		x.held("full", under("v", 1))
		x.held("s", app)
		a := x.refused("s", adopt, and("v", 1))
		x.inOrder("conflicts", a.Conflicts, "full")
		x.seated("full", "s")
		x.uses("u", 1)
	}},
	{"3: an app's seat is adopted once", func(x *table) {
		x.held("s", app, under("u", 2))
		x.held("s", adopt, under("u", 2))
		x.held("s", adopt, under("u", 2), seat(func(s *session.Seat) { s.Key.Group = "sport" }))
		x.uses("u", 2)
		x.refused("s", adopt, under("u", 2), seat(func(s *session.Seat) { s.Key.Group = "films" }))
	}},
	{"5: there is room up to Max, and no further", func(x *table) {
		for i := range 5 {
			x.held(fmt.Sprintf("s%d", i), under("u", 5))
		}
		x.refused("s5", under("u", 5))
		x.refused("s5", under("u", 4))
		x.held("s5", under("u", 6))
	}},
	{"5: no seat at all under a limit of none", func(x *table) {
		if a := x.refused("s", under("u", 0)); len(a.Conflicts) > 0 || len(a.Full) != 1 {
			x.Errorf("%+v", a)
		}
		x.refused("s", under("u", 0), policy(session.EndOldest))
	}},
	{"5: there must be room under all limits", func(x *table) {
		x.held("s1", and("v", 1))
		x.held("s2", under("v2", 1))
		x.refused("s3", under("w", 5), and("v", 1))
		x.uses("w", 0)
		x.held("s4", under("w", 5), and("w2", 5))
	}},
	{"5: Restore overshoots, and room comes back only below Max", func(x *table) {
		x.held("s1")
		x.held("s2", restore)
		x.held("s3", restore, goes)
		x.uses("u", 3)
		x.refused("s4")
		x.release("s1", "s2")
		x.refused("s4")
		x.release("s3")
		x.held("s4")
	}},
	{"a slot counts once under each limit", func(x *table) {
		x.held("s1", slot("tv"), and("v", 1))
		x.held("s2", slot("tv"), and("v", 1))
		x.held("s3", slot("tv"), under("v", 1))
		x.uses("u", 1)
		x.uses("v", 1)
		x.refused("s4", slot("pc"))
		x.refused("s4", slot("pc"), under("v", 1))
		x.refused("s4")
	}},
	{"a slot is free when the last of its seats is", func(x *table) {
		x.held("s1", slot("tv"))
		x.held("s2", slot("tv"))
		x.release("s1")
		x.refused("s3")
		x.release("s2")
		x.held("s3")
	}},
	{"a slot lasts as long as the seat in it that lasts longest", func(x *table) {
		x.held("s1", slot("tv"), ttl(x.steps(6)))
		x.held("s2", slot("tv"), ttl(x.steps(2)))
		x.pass(3)
		x.refused("s3")
		x.uses("u", 1)
		x.pass(4)
		x.held("s3")
	}},
	{"a slot is no seat's name", func(x *table) {
		x.held("s1", under("u", 2))
		x.held("s2", slot("s1"), under("u", 2))
		x.uses("u", 2)
		x.refused("s1"+"\x00"+group, under("u", 2))
	}},
	{"a shared slot in an overshot limit is not one more", func(x *table) {
		x.held("s1", slot("tv"))
		x.held("s2", slot("pc"), restore)
		x.held("s3", slot("tv"))
		x.refused("s4", slot("car"))
		x.uses("u", 2)
	}},
	{"10: a refusal names what is full and who is in the way", func(x *table) {
		x.held("s2", under("u", 2), user("bob"), and("v", 9))
		x.held("s1", under("u", 2), age(time.Minute), and("v", 9))
		x.held("s3", under("v", 9))
		for _, p := range []session.Policy{session.Reject, session.Choose} {
			a := x.refused("s4", under("v", 9), and("u", 2), policy(p))
			if want := []session.Use{{Name: "u", Max: 2}}; !slices.Equal(a.Full, want) {
				x.Errorf("full: %v, want %v", a.Full, want)
			}
			x.inOrder("conflicts", a.Conflicts, "s1", "s2")
			if a.Conflicts[1].UserID != "bob" || len(a.Conflicts[1].Uses) != 2 {
				x.Errorf("%+v", a.Conflicts[1])
			}
		}
	}},
	{"10: conflicts are bounded", func(x *table) {
		n := session.MaxConflicts + 5
		for i := range n {
			x.held(fmt.Sprintf("s%02d", i), under("u", n), age(time.Duration(i)*time.Minute))
		}
		a := x.refused("new", under("u", n))
		if len(a.Conflicts) != session.MaxConflicts || a.Conflicts[0].Key != key(fmt.Sprintf("s%02d", n-1)) {
			x.Errorf("%d conflicts, the first is %v", len(a.Conflicts), a.Conflicts[0].Key)
		}
	}},
	{"10: expired seats are in nobody's way", func(x *table) {
		x.held("s1", under("u", 2), ttl(x.steps(2)))
		x.held("s2", under("u", 2))
		x.refused("s3", under("u", 2))
		x.pass(3)
		x.held("s3", under("u", 2))
		a := x.refused("s4", under("u", 2))
		x.inOrder("conflicts", a.Conflicts, "s2", "s3")
	}},
}

func same(t testing.TB, got, want session.Seat) {
	t.Helper()
	for _, s := range []*session.Seat{&got, &want} {
		s.Started, s.Seen, s.Expires = s.Started.UTC().Round(0), s.Seen.UTC().Round(0), s.Expires.UTC().Round(0)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("seat\n%+v, want\n%+v", got, want)
	}
}
