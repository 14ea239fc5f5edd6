package sessiontest

import (
	"time"

	"earshot/session"
)

// oldest is the option of claims that end others.
var oldest = policy(session.EndOldest)

// endTests are of rules 8 and 9 of [session.Claim], of End and of Release.
var endTests = []test{
	{"8: the seat that is named makes room", func(x *table) {
		x.held("a", user("ann"))
		x.refused("b", user("ann"), policy(session.Choose))
		x.ends([]string{"a"}, "b", user("ann"), policy(session.Choose), terminate("a"))
		x.over("a", session.Evicted, user("ann"))
		if s := x.stands("a", session.Over); s.Reason != session.Evicted {
			x.Errorf("ended for %q", s.Reason)
		}
		x.seated("b")
	}},
	{"8: whatever the policy", func(x *table) {
		x.held("a", user("ann"), under("u", 2))
		x.held("b", user("ann"), under("u", 2))
		x.ends([]string{"b"}, "c", user("ann"), under("u", 2), terminate("b"))
		x.ends([]string{"c"}, "d", user("ann"), under("u", 2), oldest, terminate("c"))
		x.seated("a", "d")
	}},
	{"8: only seats of the same user", func(x *table) {
		x.held("a", user("bob"))
		x.refused("b", user("ann"), terminate("a"))
		x.stands("a", session.Kept)
		x.release("a")
		x.held("a")
		x.refused("b", terminate("a"))
		x.stands("a", session.Kept)
	}},
	{"8: only seats that count under what is full", func(x *table) {
		x.held("a", user("ann"))
		x.held("b", user("ann"), under("v", 5))
		x.ends([]string{"a"}, "c", user("ann"), and("v", 5), terminate("b", "a", "nobody"))
		x.seated("b", "c")
	}},
	{"8: none where there is room", func(x *table) {
		x.held("a", user("ann"), under("u", 2))
		x.held("b", user("ann"), under("u", 2), terminate("a"))
		x.seated("a", "b")
	}},
	{"8: if it does not make room, none is ended", func(x *table) {
		x.held("a", user("ann"))
		x.held("b", user("bob"), under("v", 1))
		x.refused("c", user("ann"), and("v", 1), terminate("a", "b"))
		x.held("d", user("ann"), restore)
		x.refused("c", user("ann"), terminate("a"))
		x.seated("a", "b", "d")
		x.stands("a", session.Kept)
	}},
	{"8: if it does not make room, the oldest are", func(x *table) {
		x.held("a", user("ann"))
		x.held("b", user("ann"), restore)
		x.ends([]string{"a", "b"}, "c", user("ann"), oldest, terminate("b"))
	}},
	{"8: a shared slot ends as one", func(x *table) {
		x.held("a", user("ann"), slot("tv"))
		x.held("b", user("ann"), slot("tv"))
		x.ends([]string{"a", "b"}, "c", user("ann"), terminate("b"))
		x.over("a", session.Evicted)
		x.over("b", session.Evicted)
		x.uses("u", 1)
	}},
	{"8: the user is the one that the app named", func(x *table) {
		x.held("s", app, user("ann"), under("w", 9))
		x.held("a", user("ann"))
		x.ends([]string{"a"}, "s", adopt, terminate("a"))
		x.seated("s")
	}},
	{"8: its owner does not cool down", func(x *table) {
		x.held("a", user("ann"), owner("o"))
		x.ends([]string{"a"}, "b", user("ann"), owner("p"), terminate("a"))
		x.ends([]string{"b"}, "c", user("ann"), owner("o"), oldest)
	}},
	{"8: it stands for the claim's sentence", func(x *table) {
		x.held("a", user("ann"))
		x.ends([]string{"a"}, "b", user("ann"), terminate("a"), sentence(x.steps(3)))
		x.over("a", session.Evicted)
		x.release("b")
		x.pass(4)
		x.held("a")
	}},
	{"9: the seat that started first ends", func(x *table) {
		x.held("b", under("u", 3))
		x.held("a", under("u", 3), age(time.Minute))
		x.held("c", under("u", 3))
		x.ends([]string{"a"}, "d", under("u", 3), oldest)
		x.ends([]string{"b"}, "e", under("u", 3), oldest)
		x.over("a", session.Evicted)
		x.seated("c", "d", "e")
		x.uses("u", 3)
	}},
	{"9: and no more than make room, over two full limits at once", func(x *table) {
		x.held("a")
		x.held("b", under("w", 9))
		x.held("c", under("v", 1), and("w", 9))
		x.held("d", under("x", 1), and("w", 9))
		x.ends([]string{"a", "c"}, "e", and("v", 1), and("w", 9), oldest)
		x.seated("b", "d", "e")
	}},
	{"9: one that counts under both makes room under both", func(x *table) {
		x.held("both", under("u", 2), and("v", 2))
		x.held("u", under("u", 2))
		x.held("v", under("v", 2))
		x.ends([]string{"both"}, "new", under("u", 2), and("v", 2), oldest)
		x.seated("u", "v", "new")
	}},
	{"9: what no longer helps is let be", func(x *table) {
		x.held("u1", under("u", 2))
		x.held("u2", under("u", 2))
		x.held("v1", under("v", 1))
		x.ends([]string{"u1", "v1"}, "new", under("u", 2), and("v", 1), oldest)
		x.seated("u2", "new")
	}},
	{"9: as many as were too many", func(x *table) {
		x.held("a")
		x.held("b", restore)
		x.held("c", restore)
		x.ends([]string{"a", "b", "c"}, "d", oldest)
	}},
	{"9: a shared slot ends as one", func(x *table) {
		x.held("a", slot("tv"), under("u", 2))
		x.held("b", under("u", 2))
		x.held("c", slot("tv"), under("u", 2))
		x.ends([]string{"a", "c"}, "d", under("u", 2), oldest)
		x.seated("b", "d")
	}},
	{"9: in vain, none is ended", func(x *table) {
		x.held("a")
		x.refused("b", oldest, and("v", 0))
		x.stands("a", session.Kept)
	}},
	{"9: the owner of what was ended cools down", func(x *table) {
		x.held("a", owner("o"))
		x.ends([]string{"a"}, "b", owner("p"), oldest, cooldown(x.steps(3)))
		cool := claim("c", owner("o"), oldest, cooldown(x.steps(3)))
		a := x.outcome(session.Cooling, cool)
		if len(a.Full) != 1 || a.Full[0].Name != "u" {
			x.Errorf("full: %v", a.Full)
		}
		x.inOrder("conflicts", a.Conflicts, "b")
		x.stands("b", session.Kept)
		x.ends([]string{"b"}, "d", oldest, owner("q"), cooldown(x.steps(3))) // another's
		x.pass(4)
		x.ends([]string{"d"}, "c", owner("o"), oldest, cooldown(x.steps(3)))
	}},
	{"9: who cools down is let in where there is room", func(x *table) {
		x.held("a", owner("o"))
		x.ends([]string{"a"}, "b", owner("p"), oldest)
		x.outcome(session.Cooling, claim("c", owner("o"), oldest))
		x.refused("c", owner("o")) // he asked for nobody's end
		x.release("b")
		x.held("c", owner("o"), oldest)
	}},
	{"9: nobody's seats cool nobody down", func(x *table) {
		x.held("a")
		x.ends([]string{"a"}, "b", oldest)
		x.ends([]string{"b"}, "c", oldest)
	}},
	{"9: all owners in a slot cool down", func(x *table) {
		x.held("a", slot("tv"), owner("o"))
		x.held("b", slot("tv"), owner("p"))
		x.ends([]string{"a", "b"}, "c", owner("q"), oldest)
		x.outcome(session.Cooling, claim("d", owner("o"), oldest))
		x.outcome(session.Cooling, claim("d", owner("p"), oldest))
	}},
	{"9: it stands for the claim's sentence", func(x *table) {
		x.held("a")
		x.ends([]string{"a"}, "b", oldest, sentence(x.steps(3)))
		x.over("a", session.Evicted, under("v", 1))
		x.pass(4)
		x.held("a", under("v", 1))
	}},
	{"End frees the seat and tells why until it lapses", func(x *table) {
		x.held("a")
		x.held("b", under("v", 1))
		x.end("a", "token expired", x.steps(3))
		x.seated("b")
		x.uses("u", 0)
		if s := x.stands("a", session.Over); s.Reason != "token expired" {
			x.Errorf("ended for %q", s.Reason)
		}
		x.end("a", "kicked \"now\"", x.steps(3))
		if s := x.stands("a", session.Over); s.Reason != "kicked \"now\"" {
			x.Errorf("ended for %q", s.Reason)
		}
		x.held("c")
		x.pass(4)
		x.stands("a", session.Gone)
	}},
	{"Release frees the seat and denies nothing", func(x *table) {
		x.held("a", under("u", 2))
		x.held("b", under("u", 2))
		x.release("a", "nobody", "a")
		x.release("a")
		x.release()
		x.seated("b")
		x.stands("a", session.Gone)
		x.held("a", under("u", 2))
		x.uses("u", 2)
	}},
	{"Release leaves a seat to the other edges that hold it", func(x *table) {
		x.held("s")
		x.held("s", at("b"))
		x.releaseAt("b", "s", "nobody")
		x.seated("s")
		x.refused("t")
		x.held("s", at("b"))
		x.releaseAt("a", "s")
		x.releaseAt("a", "s")
		x.seated("s")
		x.refused("t")
		x.uses("u", 1)
		x.releaseAt("b", "s")
		x.seated()
		x.held("t")
	}},
	{"Release frees nothing for an edge that holds nothing", func(x *table) {
		x.held("s")
		x.releaseAt("b", "s")
		x.seated("s")
		x.stands("s", session.Kept)
		x.release("s")
		x.stands("s", session.Gone)
	}},
	{"Release of no edge frees what several hold", func(x *table) {
		x.held("s")
		x.held("s", at("b"))
		x.release("s")
		x.seated()
		x.held("s") // and nothing of it is left
		x.releaseAt("a", "s")
		x.seated()
	}},
	{"an edge that renews a seat holds it", func(x *table) {
		x.held("s")
		x.renew("b", renewal("s", time.Hour))
		x.renew("a", renewal("s", time.Hour))
		x.renew("c", session.Renewal{Key: key("s"), TTL: time.Hour, Ago: time.Minute}) // it was seen elsewhere since
		x.releaseAt("a", "s")
		x.seated("s")
		x.releaseAt("b", "s")
		x.seated("s")
		x.stands("s", session.Kept) // at a
		x.releaseAt("c", "s")
		x.refused("t")
		x.releaseAt("a", "s")
		x.held("t")
	}},
	{"a released seat expires with what other edges hold", func(x *table) {
		x.held("s", at("b"), ttl(3*x.step))
		x.held("s", at("a"))
		x.renew("c", renewal("s", 3*x.step))
		x.releaseAt("a", "s")
		x.refused("t")
		x.pass(4)
		x.held("t")
	}},
	{"what an edge held is over when its time is", func(x *table) {
		x.held("s", at("dead"), ttl(3*x.step))
		x.held("s")
		x.pass(4)
		x.refused("t")
		x.releaseAt("a", "s")
		x.held("t")
	}},
	{"a seat that passed is held by nobody who held it before", func(x *table) {
		x.held("s", owner("o"))
		x.held("s", owner("o"), at("b"))
		x.takes("s", "t", owner("o"), at("c"))
		x.takes("t", "s", owner("o"), at("c"))
		x.releaseAt("c", "s")
		x.seated()
	}},
	{"Release does not lift an ending", func(x *table) {
		x.held("a")
		x.end("a", "kicked", time.Hour)
		x.release("a")
		x.over("a", "kicked")
	}},
}
