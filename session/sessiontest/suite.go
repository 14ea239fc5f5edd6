// Package sessiontest holds what every [session.Live] must pass: a case for each sentence of its text, a race whose every refusal must prove
// itself, and [Compare], which plays random claims to a table and to a naive [Model] of it.
package sessiontest

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"earshot/session"
)

// Suite says how a table is tested.
type Suite struct {
	Open   func(t *testing.T) session.Live        // an empty table of its own, big enough for 5,000 seats; the case closes it
	Pair   func(t *testing.T) (a, b session.Live) // two edges' views of one; nil if there is but one edge
	Step   time.Duration                          // the unit of the suite's time: what surely passes between two calls, and no call takes, unless the machine is busy
	Bubble bool                                   // Open's tables live by the clock of testing/synctest, and do no I/O
}

// Run runs the suite in real time.
func Run(t *testing.T, open func(t *testing.T) session.Live) {
	Suite{Open: open, Step: 250 * time.Millisecond}.Run(t)
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	for _, group := range [][]test{claimTests, passTests, endTests, keepTests, moveTests, listTests, raceTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { s.run(t, c.test) })
		}
	}
	if s.Pair != nil {
		for _, c := range pairTests {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				a, b := s.Pair(t)
				defer b.Close()
				defer a.Close()
				hear(t, s.Step, func(j *judge) { c.test(&table{j, a}, &table{j, b}) })
			})
		}
	}
}

func (s Suite) run(t *testing.T, f func(*table)) {
	t.Parallel()
	body := func(t *testing.T) {
		hear(t, s.Step, func(j *judge) {
			live := s.Open(t)
			defer func() {
				if err := live.Close(); err != nil {
					j.Error(err)
				}
			}()
			f(&table{j, live})
		})
	}
	if s.Bubble {
		synctest.Test(t, body)
	} else {
		body(t)
	}
}

type test struct {
	name string
	test func(*table)
}

// table is one under test. Its methods fail the test where the answer is not the one named.
type table struct {
	*judge
	live session.Live
}

// tick makes what comes next later, by the millisecond that tables tell time by.
func (x *table) tick() { time.Sleep(3 * time.Millisecond) }

func (x *table) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *table) claim(c *session.Claim) session.Answer {
	x.Helper()
	a, err := x.live.Claim(context.Background(), c)
	x.must(err)
	return a
}

func (x *table) outcome(want session.Outcome, c *session.Claim) session.Answer {
	x.Helper()
	a := x.claim(c)
	if a.Outcome != want {
		x.Fatalf("%s: outcome %d, want %d: %+v", c.Seat.Key.ID, a.Outcome, want, a)
	}
	if want != session.Held && len(a.Taken)+len(a.Ended) > 0 {
		x.Fatalf("%s is not granted, and yet takes %v and ends %v", c.Seat.Key.ID, a.Taken, a.Ended)
	}
	if want == session.Held && a.Seat.Key != c.Seat.Key {
		x.Fatalf("%s is granted the seat of %v", c.Seat.Key.ID, a.Seat.Key)
	}
	return a
}

// held claims a seat, which takes no other and ends none.
func (x *table) held(id string, o ...option) session.Answer {
	x.Helper()
	a := x.outcome(session.Held, claim(id, o...))
	x.are("taken", a.Taken)
	x.are("ended", a.Ended)
	x.tick()
	return a
}

// takes claims a seat, which passes from others.
func (x *table) takes(from string, id string, o ...option) session.Answer {
	x.Helper()
	a := x.outcome(session.Held, claim(id, o...))
	x.are("taken", a.Taken, from)
	x.are("ended", a.Ended)
	x.tick()
	return a
}

// ends claims a seat, for which others end.
func (x *table) ends(others []string, id string, o ...option) session.Answer {
	x.Helper()
	a := x.outcome(session.Held, claim(id, o...))
	x.are("taken", a.Taken)
	x.are("ended", a.Ended, others...)
	x.tick()
	return a
}

func (x *table) refused(id string, o ...option) session.Answer {
	x.Helper()
	return x.outcome(session.Refused, claim(id, o...))
}

func (x *table) over(id, reason string, o ...option) {
	x.Helper()
	if a := x.outcome(session.Ended, claim(id, o...)); a.Reason != reason {
		x.Fatalf("%s: ended for %q, want %q", id, a.Reason, reason)
	}
}

// are compares ids, in any order.
func (x *table) are(what string, keys []session.Key, want ...string) {
	x.Helper()
	var got []string
	for _, k := range keys {
		got = append(got, string(k.ID))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		x.Fatalf("%s: %q, want %q", what, got, want)
	}
}

// inOrder compares ids.
func (x *table) inOrder(what string, seats []session.Seat, want ...string) {
	x.Helper()
	var got []string
	for _, s := range seats {
		got = append(got, string(s.Key.ID))
	}
	if !slices.Equal(got, want) {
		x.Fatalf("%s: %q, want %q", what, got, want)
	}
}

// seated compares who has a seat, those first that began first.
func (x *table) seated(want ...string) {
	x.Helper()
	all, err := x.live.Seats(context.Background(), "", "", 100)
	x.must(err)
	x.inOrder("seats", all, want...)
}

func (x *table) end(id, reason string, stands time.Duration) {
	x.Helper()
	x.must(x.live.End(context.Background(), session.Ending{Key: key(id), Reason: reason, For: stands}))
}

func (x *table) release(ids ...string) {
	x.Helper()
	x.releaseAt("", ids...)
}

// releaseAt gives back what an edge holds.
func (x *table) releaseAt(edge string, ids ...string) {
	x.Helper()
	var keys []session.Key
	for _, id := range ids {
		keys = append(keys, key(id))
	}
	x.must(x.live.Release(context.Background(), edge, keys...))
}

func (x *table) renew(edge string, all ...session.Renewal) []session.Standing {
	x.Helper()
	answers, err := x.live.Renew(context.Background(), edge, all)
	x.must(err)
	if len(answers) != len(all) {
		x.Fatalf("%d answers to %d renewals", len(answers), len(all))
	}
	return answers
}

func (x *table) stands(id string, want session.State) session.Standing {
	x.Helper()
	s := x.renew("a", session.Renewal{Key: key(id), TTL: time.Hour})[0]
	if s.State != want {
		x.Fatalf("%s: state %d, want %d", id, s.State, want)
	}
	return s
}

// uses checks a limit as Usage has it; taken 0: it is not listed.
func (x *table) uses(name string, taken int) {
	x.Helper()
	all, err := x.live.Usage(context.Background(), "", 1000)
	x.must(err)
	got := 0
	for _, u := range all {
		if u.Name == name {
			got = u.Taken
		}
	}
	if got != taken {
		x.Fatalf("%q: %d taken, want %d", name, got, taken)
	}
}
