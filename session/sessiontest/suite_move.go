package sessiontest

import (
	"net/netip"
	"time"

	"earshot/session"
)

// to renews a seat at an edge, where its listener has moved to.
func (x *table) to(edge, id, owner string, ago time.Duration, uses ...session.Use) session.Standing {
	x.Helper()
	r := session.Renewal{Key: key(id), TTL: time.Hour, Ago: ago,
		Place: &session.Place{Address: netip.MustParseAddr("2001:db8::9"), Agent: "player/9", Owner: owner, Uses: uses}}
	s := x.renew(edge, r)[0]
	if s.State != session.Kept {
		x.Fatalf("%s: state %d", id, s.State)
	}
	return s
}

func use(name string, max int) session.Use { return session.Use{Name: name, Max: max} }

// moveTests are of [session.Place].
var moveTests = []test{
	{"2: who claims again elsewhere counts there, is asked for no room, and counts no longer where he was", func(x *table) {
		x.held("s", under("here", 1), and("user", 1))
		x.held("t", under("there", 1))
		a := x.held("s", under("there", 1), and("user", 1))
		if len(a.Seat.Uses) != 2 || a.Seat.Uses[0].Name != "there" {
			x.Errorf("uses %+v", a.Seat.Uses)
		}
		x.uses("here", 0)
		x.uses("there", 2)
		x.uses("user", 1)
		x.held("u", under("here", 1))
		x.refused("v", under("there", 1))
		x.release("t")
		x.refused("v", under("there", 1))
		x.release("s")
		x.held("v", under("there", 1))
		x.refused("w", under("here", 1))
	}},
	{"2: he does not where another user, device or type is claimed, or where he stays", func(x *table) {
		who := func(s *session.Seat) { s.UserID, s.DeviceID, s.DeviceType = "ann", "tv", "stb" }
		x.held("s", seat(who), under("here", 1))
		for _, other := range []option{user("bob"), user(""), seat(func(s *session.Seat) { s.DeviceID = "" }), seat(func(s *session.Seat) { s.DeviceType = "" }),
			func(c *session.Claim) { c.Stay = true }} {
			x.held("s", seat(who), other, under("there", 1))
			x.uses("here", 1)
			x.uses("there", 0)
		}
		x.held("s", seat(who), under("there", 1))
		x.uses("here", 0)
		x.uses("there", 1)
	}},
	{"2: his seat passes to the next of whose it is now, if it was anybody's", func(x *table) {
		x.held("s", owner("here"), under("u", 3))
		x.held("s", owner("there"), under("u", 3))
		x.held("t", under("u", 3))
		x.held("t", owner("there"), under("u", 3))
		x.held("n", owner("here"), under("u", 3))
		x.takes("s", "m", owner("there"), under("u", 3))
		x.seated("t", "n", "m")
	}},
	{"Renew: who has moved counts where he is", func(x *table) {
		x.held("s", under("here", 1), and("user", 1), owner("o"))
		x.held("t", under("there", 1))
		x.to("a", "s", "p", 0, use("there", 1), use("user", 1))
		x.uses("here", 0)
		x.uses("there", 2)
		x.uses("user", 1)
		if s := x.one("s"); s.Address.String() != "2001:db8::9" || s.Agent != "player/9" || s.Owner != "p" || len(s.Uses) != 2 {
			x.Errorf("%+v", s)
		}
		x.held("u", under("here", 1))
		x.refused("v", under("there", 1))
		x.tick()
		x.renew("a", renewal("s", time.Hour)) // changes nothing
		x.uses("there", 2)
		x.takes("s", "n", owner("p"), under("there", 1))
		x.uses("there", 2)
	}},
	{"Renew: to no limit, and back, and as often as he likes", func(x *table) {
		x.held("s", under("u", 1))
		for range 3 {
			x.to("a", "s", "", 0)
			x.uses("u", 0)
			x.to("a", "s", "", 0, use("u", 1))
			x.uses("u", 1)
		}
		x.to("a", "s", "", 0, use("u", 7), use("v", 2))
		x.held("t", under("u", 7))
		x.end("s", "why", time.Hour)
		x.uses("u", 1)
		x.uses("v", 0)
	}},
	{"Renew: of those who share a slot one moves", func(x *table) {
		x.held("s", slot("tv"), under("here", 1))
		x.held("t", slot("tv"), under("here", 1))
		x.to("a", "s", "", 0, use("there", 1))
		x.uses("here", 1)
		x.uses("there", 1)
		x.to("a", "t", "", 0, use("there", 1))
		x.uses("here", 0)
		x.uses("there", 1)
		x.release("s")
		x.uses("there", 1)
		x.release("t")
		x.uses("there", 0)
	}},
	{"Renew: who moves does not become younger", func(x *table) {
		x.held("old", under("here", 9), age(time.Minute))
		x.held("new", under("there", 2), age(time.Second))
		x.held("newest", under("there", 2))
		x.to("a", "old", "", 0, use("there", 2))
		a := x.refused("n", under("there", 2))
		x.inOrder("conflicts", a.Conflicts, "old", "new", "newest")
		x.ends([]string{"old", "new"}, "n", under("there", 2), policy(session.EndOldest))
		x.seated("newest", "n")
	}},
	{"Renew: another edge that saw him since knows better, and one to which he comes back is told", func(x *table) {
		x.held("s", under("a", 1))
		x.tick()
		x.held("s", at("b"), under("b", 1))
		if st := x.to("a", "s", "", time.Minute, use("a", 1)); st.Stray {
			x.Error("a stray, though the other edge saw it later")
		}
		x.uses("a", 0)
		x.uses("b", 1)
		if st := x.to("b", "s", "", time.Minute, use("b", 2)); st.Stray {
			x.Error("a stray where it was seen last")
		}
		x.held("t", under("b", 2)) // it was taken, though he was silent
		x.tick()
		if st := x.renew("a", renewal("s", time.Hour))[0]; !st.Stray {
			x.Errorf("not a stray: %+v", st)
		}
		x.tick()
		if st := x.renew("a", renewal("s", time.Hour))[0]; st.Stray {
			x.Errorf("a stray still: %+v", st)
		}
		x.uses("b", 2)
		x.tick()
		if st := x.to("b", "s", "", 0, use("b", 2)); st.Stray {
			x.Error("a stray, though it was said where it is")
		}
	}},
	{"Renew: who is not there does not move", func(x *table) {
		place := &session.Place{Owner: "o", Uses: []session.Use{{Name: "u", Max: 1}}}
		if s := x.renew("a", session.Renewal{Key: key("s"), TTL: time.Hour, Place: place})[0]; s.State != session.Gone {
			x.Errorf("%+v", s)
		}
		x.uses("u", 0)
		x.seated()
	}},
	{"5: where more are than may, who was counted already changes channels, and who was not waits", func(x *table) {
		x.held("s", owner("o"), under("u", 1))
		x.held("t", owner("p"), under("v", 1))
		x.to("a", "t", "p", 0, use("u", 1))
		x.takes("s", "s2", owner("o"), under("u", 1))
		x.takes("t", "t2", owner("p"), under("u", 1))
		x.uses("u", 2)
		x.refused("n", owner("q"), under("u", 1))
		x.held("w", owner("q"), under("w", 1))
		x.refused("n", owner("q"), under("u", 1)) // his seat is elsewhere
		x.refused("n", owner("o"), under("u", 1), and("v", 0))
		x.takes("s2", "s3", owner("o"), under("u", 1), and("v", 1))
	}},
	{"5: and an app's session is played there", func(x *table) {
		x.outcome(session.Held, claim("s", app))
		x.held("t", restore)
		a := x.claim(claim("s", adopt))
		if a.Outcome != session.Held {
			x.Fatalf("%+v", a)
		}
		x.uses("u", 2)
	}},
}
