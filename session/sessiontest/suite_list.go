package sessiontest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"earshot/session"
)

func (x *table) lists(user, id string, limit int, want ...string) {
	x.Helper()
	all, err := x.live.Seats(x.Context(), user, session.ID(id), limit)
	x.must(err)
	x.inOrder(fmt.Sprintf("seats of user %q, id %q", user, id), all, want...)
}

func (x *table) post(kind, id string, until time.Time, body string) {
	x.Helper()
	x.must(x.live.Post(x.Context(), session.Note{Kind: kind, ID: id, Until: until, Body: json.RawMessage(body)}))
}

func (x *table) board(want ...string) {
	x.Helper()
	all, err := x.live.Board(x.Context())
	x.must(err)
	var got []string
	for _, n := range all {
		got = append(got, n.Kind+" "+n.ID+" "+string(n.Body))
	}
	if !slices.Equal(got, want) {
		x.Fatalf("board: %q, want %q", got, want)
	}
}

func (x *table) withdraw(kind, id string, want bool) {
	x.Helper()
	was, err := x.live.Withdraw(x.Context(), kind, id)
	x.must(err)
	if was != want {
		x.Fatalf("%s %s withdrawn: %v, want %v", kind, id, was, want)
	}
}

// listTests are of Seats, Usage, the board and Watch.
var listTests = []test{
	{"Seats lists by user, by id, and all, those first that began first", func(x *table) {
		nine := under("u", 9)
		x.held("c", nine, user("ann"))
		x.held("b", nine, user("bob"), age(time.Minute))
		x.held("a", nine, user("ann"), age(2*time.Minute))
		x.held("c", nine, seat(func(s *session.Seat) { s.Key.Group = "sport" }))
		x.held("d", nine, user("ann"), ttl(x.steps(2)))
		x.lists("", "", 9, "a", "b", "c", "c", "d")
		x.lists("ann", "", 9, "a", "c", "d")
		x.lists("bob", "", 9, "b")
		x.lists("nobody", "", 9)
		x.lists("", "c", 9, "c", "c")
		x.lists("", "nobody", 9)
		x.lists("", "", 3, "a", "b", "c")
		x.lists("ann", "", 1, "a")
		x.lists("", "c", 1, "c")
		x.lists("", "", 0)
		x.pass(3)
		x.lists("ann", "", 9, "a", "c")
		x.lists("", "", 9, "a", "b", "c", "c")
		x.release("a")
		x.end("b", "kicked", time.Hour)
		x.lists("ann", "", 9, "c")
		x.lists("bob", "", 9)
		x.lists("", "b", 9)
	}},
	{"Seats: what is given is the caller's own", func(x *table) {
		x.held("s")
		x.one("s").Uses[0].Name = "altered"
		x.claim(claim("s")).Seat.Uses[0].Name = "altered"
		x.uses("u", 1)
		if s := x.one("s"); s.Uses[0].Name != "u" {
			x.Errorf("%+v", s)
		}
	}},
	{"Usage lists limits in order, page by page", func(x *table) {
		for i := range 7 {
			name := fmt.Sprintf("limit=%d a:b {c}", i)
			x.held(fmt.Sprint("s", i), under(name, 3+i), and("all", 99))
			if i > 4 {
				x.held(fmt.Sprint("t", i), under(name, 4+i), and("all", 99))
			}
		}
		x.release("s0")
		var got []string
		after := ""
		for {
			page, err := x.live.Usage(x.Context(), after, 3)
			x.must(err)
			if len(page) > 3 {
				x.Fatalf("%d on a page of 3", len(page))
			}
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				got = append(got, fmt.Sprintf("%s %d/%d", u.Name, u.Taken, u.Max))
				after = u.Name
			}
		}
		want := []string{"all 8/99", "limit=1 a:b {c} 1/4", "limit=2 a:b {c} 1/5", "limit=3 a:b {c} 1/6", "limit=4 a:b {c} 1/7",
			"limit=5 a:b {c} 2/9", "limit=6 a:b {c} 2/10"}
		if !slices.Equal(got, want) {
			x.Errorf("%q, want %q", got, want)
		}
		if none, err := x.live.Usage(x.Context(), "", 0); err != nil || len(none) > 0 {
			x.Errorf("%v, %v", none, err)
		}
	}},
	{"Usage: a limit that nobody counts under is none", func(x *table) {
		x.held("s", ttl(x.steps(2)))
		x.refused("t", and("v", 3))
		x.uses("u", 1)
		x.uses("v", 0)
		x.pass(3)
		x.uses("u", 0)
	}},
	{"the board: what is posted stands in order until it is over, replaced or withdrawn", func(x *table) {
		x.board()
		x.post("rule", "b", time.Time{}, `{"n":1}`)
		x.post("ban", "z", time.Now().Add(time.Hour), `"x"`)
		x.post("rule", "a", time.Now().Add(x.steps(3)), `2`)
		x.post("ban", "over", time.Now().Add(-time.Hour), `3`)
		x.board(`ban z "x"`, "rule a 2", `rule b {"n":1}`)
		x.post("rule", "b", time.Time{}, `{"n":4}`)
		x.board(`ban z "x"`, "rule a 2", `rule b {"n":4}`)
		x.withdraw("ban", "b", false)
		x.withdraw("ban", "z", true)
		x.withdraw("ban", "z", false)
		x.pass(4)
		x.board(`rule b {"n":4}`)
		x.withdraw("rule", "a", false)
		x.post("rule", "b", time.Now().Add(-time.Second), `5`)
		x.board()
	}},
	{"the board: Until comes back", func(x *table) {
		until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		x.post("ban", "a", until, `{}`)
		x.post("ban", "b", time.Time{}, `{}`)
		all, err := x.live.Board(x.Context())
		x.must(err)
		if len(all) != 2 || !all[0].Until.Equal(until) || !all[1].Until.IsZero() {
			x.Errorf("%+v", all)
		}
	}},
	{"Watch tells to look for oneself, and ends with its context", func(x *table) {
		ctx, cancel := context.WithCancel(x.Context())
		first, done := make(chan session.Notice, 100), make(chan error, 1)
		go func() { done <- x.live.Watch(ctx, func(n session.Notice) { first <- n }) }()
		if n := <-first; n != (session.Notice{}) {
			x.Errorf("the first is %+v", n)
		}
		cancel()
		if err := <-done; err != nil {
			x.Error(err)
		}
	}},
	{"a context that is done stops a claim", func(x *table) {
		ctx, cancel := context.WithCancel(x.Context())
		cancel()
		if _, err := x.live.Claim(ctx, claim("s")); err == nil {
			x.Error("granted")
		}
		if _, err := x.live.Renew(ctx, "a", []session.Renewal{renewal("s", time.Hour)}); err == nil {
			x.Error("renewed")
		}
	}},
}

// pairTests are of two edges on one table.
var pairTests = []struct {
	name string
	test func(a, b *table)
}{
	{"edges share seats and the board", func(a, b *table) {
		a.held("s")
		b.refused("t")
		b.post("ban", "x", time.Time{}, `1`)
		a.board("ban x 1")
		b.release("s")
		a.seated()
		a.held("t")
	}},
	{"edges are told what others do", func(a, b *table) {
		ctx, cancel := context.WithCancel(b.Context())
		notices, done := make(chan session.Notice, 100), make(chan error, 1)
		go func() { done <- b.live.Watch(ctx, func(n session.Notice) { notices <- n }) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		}()
		next := func(what string, ok func(session.Notice) bool) {
			a.Helper()
			select {
			case n := <-notices:
				if !ok(n) {
					a.Fatalf("%s: told %+v", what, n)
				}
			case <-time.After(10 * time.Second):
				a.Fatalf("%s: not told", what)
			}
		}
		next("at first", func(n session.Notice) bool { return n == session.Notice{} })
		a.held("s")
		a.end("s", "kicked", time.Hour)
		next("an end", func(n session.Notice) bool {
			return n.Ended != nil && *n.Ended == session.Ending{Key: key("s"), Reason: "kicked", For: time.Hour}
		})
		a.held("t", owner("o"))
		a.takes("t", "v", owner("o"))
		next("a taking", func(n session.Notice) bool { return n.Taken != nil && *n.Taken == key("t") })
		a.ends([]string{"v"}, "w", owner("p"), oldest)
		next("an eviction", func(n session.Notice) bool {
			return n.Ended != nil && n.Ended.Key == key("v") && n.Ended.Reason == session.Evicted
		})
		a.post("ban", "x", time.Time{}, `1`)
		next("a note", func(n session.Notice) bool { return n.Posted })
		a.withdraw("ban", "x", true)
		next("a note withdrawn", func(n session.Notice) bool { return n.Posted })
	}},
}
