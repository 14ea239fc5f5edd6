package sessiontest

import (
	"time"

	"earshot/session"
)

// zapped leaves the seat with b, who began later and took it from a; each is known to have begun.
func zapped(x *table) {
	x.held("a", owner("o"), age(time.Minute))
	x.takes("a", "b", owner("o"))
}

// contend has a and b take the seat from each other as often as one who goes back and forth may: a holds it.
func contend(x *table) {
	zapped(x)
	x.takes("b", "a", owner("o"), goes, age(time.Minute))
}

// passTests are of rules 4, 6 and 7 of [session.Claim].
var passTests = []test{
	{"5: a seat passes back where there is no room for both", func(x *table) {
		x.held("a", owner("o"))
		x.takes("a", "b", owner("o"))
		x.refused("a", goes, back("nobody"))
		x.takes("b", "a", goes, back("b"), oldest)
		x.seated("a")
		x.uses("u", 1)
		x.refused("b", owner("o"), goes) // it was not taken from it: nothing of rule 7
		x.refused("b", owner("o"), goes)
		x.ends([]string{"a"}, "b", owner("o"), goes, oldest)
	}},
	{"5: and stays where there is", func(x *table) {
		x.held("a", owner("o"), under("u", 2))
		x.takes("a", "b", owner("o"), under("u", 2))
		x.held("a", owner("o"), under("u", 2), goes, back("b"))
		x.seated("b", "a")
	}},
	{"5: none passes back that was not taken, or makes no room", func(x *table) {
		x.held("b", owner("o"))
		x.refused("a", goes, back("b"))
		x.release("b")
		x.held("a", owner("o"))
		x.takes("a", "b", owner("o"))
		x.refused("a", goes, back("b"), and("v", 0))
		x.seated("b")
		x.held("c", restore)
		x.takes("b", "a", goes, back("b")) // two are too many, and that is not changed
		x.seated("c", "a")
	}},
	{"4: a seat passes to its owner's next session", func(x *table) {
		x.held("a", owner("o"))
		x.takes("a", "b", owner("o"))
		x.seated("b")
		x.stands("a", session.Gone)
		x.uses("u", 1)
	}},
	{"4: even where there is room", func(x *table) {
		x.held("a", owner("o"), under("u", 5))
		x.takes("a", "b", owner("o"), under("u", 5))
		x.takes("b", "c", owner("o"), under("v", 5))
		x.seated("c")
		x.uses("u", 0)
	}},
	{"4: no owner, no predecessor", func(x *table) {
		x.held("a", under("u", 5))
		x.held("b", under("u", 5))
		x.held("c", owner("o"), under("u", 5))
		x.held("d", owner("p"), under("u", 5))
		x.seated("a", "b", "c", "d")
	}},
	{"4: one seat passes, that seen least recently", func(x *table) {
		three := under("u", 3)
		x.held("a", owner("o"), three)
		x.held("b", owner("o"), three, goes)
		x.held("c", owner("o"), three, goes)
		x.stands("a", session.Kept)
		x.takes("b", "d", owner("o"), three)
		x.seated("a", "c", "d")
	}},
	{"4: of those seen at the same time the one that started first", func(x *table) {
		// The same edge renews both at once, so that they are seen in the same millisecond.
		x.held("young", owner("o"), under("u", 2))
		x.held("old", owner("o"), under("u", 2), goes, age(time.Minute))
		x.renew("a", session.Renewal{Key: key("young"), TTL: time.Hour}, session.Renewal{Key: key("old"), TTL: time.Hour})
		all, err := x.live.Seats(x.Context(), "", "", 9)
		x.must(err)
		want := "old"
		if all[0].Seen.After(all[1].Seen) { // or not
			want = "young"
		}
		x.takes(want, "new", owner("o"), under("u", 2))
	}},
	{"4: a seat in a slot neither passes nor takes", func(x *table) {
		x.held("a", owner("o"), slot("tv"), under("u", 5))
		x.held("b", owner("o"), under("u", 5))
		x.held("c", owner("o"), slot("tv"), under("u", 5))
		x.takes("b", "d", owner("o"), under("u", 5))
		x.seated("a", "c", "d")
	}},
	{"4: an app's seat that is not played neither passes nor takes", func(x *table) {
		x.held("a", owner("o"), under("u", 5))
		x.held("b", owner("o"), under("u", 5), app)
		x.held("c", owner("o"), under("u", 5), app)
		x.takes("a", "d", owner("o"), under("u", 5))
		x.takes("d", "b", owner("o"), under("u", 5), adopt) // now it is played
		x.takes("b", "e", owner("o"), under("u", 5))
		x.seated("c", "e")
	}},
	{"4: refused, nothing passes", func(x *table) {
		x.held("a", owner("o"))
		x.held("other", under("v", 1))
		x.refused("b", owner("o"), and("v", 1))
		x.refused("b", owner("o"), and("v", 1), policy(session.Choose), terminate("a"))
		x.stands("a", session.Kept)
		x.seated("a", "other")
	}},
	{"4: nor where the owner cools down", func(x *table) {
		x.held("a", owner("o"))
		x.ends([]string{"a"}, "b", owner("p"), policy(session.EndOldest))
		x.held("c", owner("o"), under("v", 1))
		x.outcome(session.Cooling, claim("d", owner("o"), policy(session.EndOldest)))
		x.seated("b", "c")
	}},
	{"4: with an end of others, it passes too", func(x *table) {
		x.held("a", owner("o"))
		x.held("other", under("v", 1))
		a := x.outcome(session.Held, claim("b", owner("o"), and("v", 1), policy(session.EndOldest)))
		x.are("taken", a.Taken, "a")
		x.are("ended", a.Ended, "other")
		x.seated("b")
	}},
	{"4: a session that goes on takes nothing while there is room", func(x *table) {
		x.held("a", owner("o"), under("u", 2))
		x.held("b", owner("o"), under("u", 2), goes, silence(0))
		x.seated("a", "b")
	}},
	{"6: going on takes the owner's silent seat", func(x *table) {
		x.held("a", owner("o"))
		x.refused("b", owner("o"), goes, silence(x.steps(2)))
		x.pass(3)
		x.refused("b", owner("p"), goes, silence(x.steps(2)))
		x.refused("b", goes, silence(x.steps(2)))
		x.takes("a", "b", owner("o"), goes, silence(x.steps(2)))
		x.stands("a", session.Gone)
	}},
	{"6: who is renewed is not silent, unless it was active long ago", func(x *table) {
		x.held("a", owner("o"))
		x.pass(3)
		x.renew("a", session.Renewal{Key: key("a"), TTL: time.Hour, Ago: x.steps(1) / 2})
		x.refused("b", owner("o"), goes, silence(x.steps(2)))
		x.pass(3)
		x.renew("a", session.Renewal{Key: key("a"), TTL: time.Hour, Ago: x.steps(3)})
		x.takes("a", "b", owner("o"), goes, silence(x.steps(2)))
	}},
	{"6: of several the least recently seen", func(x *table) {
		two := under("u", 2)
		x.held("a", owner("o"), two)
		x.held("b", owner("o"), two, goes)
		x.stands("a", session.Kept)
		x.tick()
		x.takes("b", "c", owner("o"), two, goes, silence(0))
		x.takes("a", "d", owner("o"), two, goes, silence(0))
		x.seated("c", "d")
	}},
	{"6: it must count under each full limit", func(x *table) {
		x.held("a", owner("o"))
		x.held("b", owner("o"), goes, under("v", 1))
		x.refused("c", owner("o"), goes, silence(0), and("v", 1))
		x.release("b")
		x.takes("a", "c", owner("o"), goes, silence(0), and("v", 1))
	}},
	{"6: taking a seat in a shared slot takes all of them", func(x *table) {
		x.held("a", owner("o"), slot("tv"))
		x.held("b", owner("o"), slot("tv"))
		x.held("c", owner("o"), slot("tv"), under("v", 1))
		a := x.outcome(session.Held, claim("d", owner("o"), goes, silence(0)))
		x.are("taken", a.Taken, "a", "b")
		x.seated("c", "d")
		x.uses("u", 1)
	}},
	{"6: one's own slot is not taken", func(x *table) {
		x.held("a", owner("o"), slot("tv"))
		x.held("b", owner("p"), slot("pc"), restore)
		x.held("c", owner("o"), slot("tv"), goes, silence(0))
		x.seated("a", "b", "c")
	}},
	{"7: who goes back gets his seat back", func(x *table) {
		zapped(x)
		x.takes("b", "a", owner("o"), goes, age(time.Minute))
		x.stands("b", session.Gone)
		x.seated("a")
	}},
	{"7: a session that nothing was taken from gets nothing", func(x *table) {
		zapped(x)
		x.refused("c", owner("o"), goes, age(time.Hour))
		x.refused("a", owner("p"), goes, age(time.Hour))
		x.refused("a", goes, age(time.Hour))
		x.seated("b")
	}},
	{"7: two who go on: the one that started first keeps the seat", func(x *table) {
		x.held("a", owner("o"))
		x.takes("a", "b", owner("o"), age(time.Minute)) // has begun before a
		x.takes("b", "a", owner("o"), goes)
		x.takes("a", "b", owner("o"), goes, age(time.Minute))
		x.refused("a", owner("o"), goes)
		x.seated("b")
	}},
	{"7: two who go on: the one that started later is refused", func(x *table) {
		contend(x)
		a := x.refused("b", owner("o"), goes)
		if len(a.Full) != 1 {
			x.Errorf("full: %v", a.Full)
		}
		x.inOrder("conflicts", a.Conflicts, "a")
		x.refused("b", owner("o"), goes, policy(session.EndOldest)) // no policy is asked
		x.stands("a", session.Kept)
		x.seated("a")
	}},
	{"7: who was refused may have a seat where there is room", func(x *table) {
		contend(x)
		x.refused("b", owner("o"), goes)
		x.held("b", owner("o"), goes, under("u", 2))
		x.seated("a", "b")
	}},
	{"7: the seat that stays is guarded", func(x *table) {
		contend(x)
		x.refused("b", owner("o"), goes)
		x.refused("c", owner("o"), goes, silence(0))
		x.refused("c", owner("o"))
		x.held("c", owner("o"), under("u", 2))
		x.seated("a", "c")
	}},
	{"7: the seat that was kept is guarded", func(x *table) {
		x.held("a", owner("o"))
		x.takes("a", "b", owner("o"), age(time.Minute))
		x.takes("b", "a", owner("o"), goes)
		x.takes("a", "b", owner("o"), goes, age(time.Minute))
		x.refused("c", owner("o"))
		x.refused("c", owner("o"), goes, silence(0))
	}},
	{"7: one that went back and forth is not guarded", func(x *table) {
		contend(x)
		x.takes("a", "c", owner("o"))
	}},
	{"7: the guard lapses", func(x *table) {
		contend(x)
		x.refused("b", owner("o"), goes, ttl(x.steps(3)))
		x.refused("c", owner("o"), goes, silence(0))
		x.pass(4)
		x.takes("a", "c", owner("o"), goes, silence(0))
	}},
	{"10: who plays on stays guarded", func(x *table) {
		contend(x)
		x.refused("b", owner("o"), goes, ttl(x.steps(3)))
		for range 3 {
			x.pass(2)
			x.held("a", owner("o"))
			x.refused("c", owner("o"), goes, silence(0), ttl(x.steps(3)))
			x.refused("b", owner("o"), goes, ttl(x.steps(3)))
		}
		x.pass(4)
		x.takes("a", "c", owner("o"), goes, silence(0))
	}},
	{"7: what went back and forth long ago is forgotten", func(x *table) {
		contend(x)
		x.pass(4)
		x.takes("a", "b", owner("o"), goes, ttl(x.steps(3)))
	}},
	{"7: it must count under each full limit", func(x *table) {
		zapped(x)
		x.held("other", under("v", 1))
		x.refused("a", owner("o"), goes, age(time.Minute), and("v", 1))
		x.seated("b", "other")
	}},
}
