package gate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/session"
)

// Where the race takes place: in four districts one kind of limit decides alone, in the last all do. So it is known of each how many get in.
var raceLimits = []Limit{
	{Per: PerUser, Max: 3},
	{Per: PerStream, Group: "stream-*", Max: 10},
	{Per: PerAddress, Group: "address-*", Max: 8},
	{Per: PerEdge, Group: "edge-*", Max: 30},
	{Per: PerStream, Group: "all-*", Max: 12},
	{Per: PerAddress, Group: "all-*", Max: 9},
	{Per: PerEdge, Group: "all-*", Max: 16},
}

const (
	raceUsers   = 100
	raceStreams = 10
	raceDoors   = 10 // addresses
)

// brim is how many get in where one kind of limit decides, with so many edges.
func brim(edges int) map[string]int {
	return map[string]int{"user": 3 * raceUsers, "stream": 10 * raceStreams, "address": 8 * raceDoors, "edge": 30 * edges}
}

// anybody is the i-th who comes.
func (r *race) anybody(i int, edges []*racer) *hopeful {
	h := &hopeful{edge: edges[rand.IntN(len(edges))], user: fmt.Sprintf("single-%d", rand.Int64()),
		address: netip.AddrFrom4([4]byte{10, byte(rand.IntN(250)), byte(rand.IntN(250)), byte(rand.IntN(250))})}
	n := i / 7
	switch i % 7 {
	case 0, 1:
		h.group, h.user = "user-x", fmt.Sprintf("user-%d", n%raceUsers)
	case 2:
		h.group = fmt.Sprintf("stream-%d", n%raceStreams)
	case 3:
		h.group, h.address = "address-x", netip.AddrFrom4([4]byte{192, 0, 2, byte(n % raceDoors)})
	case 4:
		h.group = "edge-x"
	default:
		h.group, h.user = fmt.Sprintf("all-%d", n%4), fmt.Sprintf("all-%d", n%17)
		h.address = netip.AddrFrom4([4]byte{198, 51, 100, byte(n % 7)})
	}
	return h
}

// TestRace: 10,000 race for seats on three edges that share one Redis; edges are killed in between, and seats expire. At no moment is there one above a limit, and
// nobody is refused while a seat is free.
func TestRace(t *testing.T) {
	policies := []session.Policy{session.Reject, session.Choose}
	if testing.Short() {
		policies = policies[:1] // what the race detector looks for shows with one
	}
	for _, policy := range policies {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			r := newRace(t, policy)
			lose := func(h *hopeful, v Verdict) {
				if r.holds(h) {
					t.Errorf("%s, who plays, is refused: %s %s", h.id, v.Code, v.Detail)
				}
			}
			stop := r.observe(lose)
			r.fill("at first", 3000, r.edges)
			r.swap("some leave, others come")
			r.zap()
			r.churn(2000)
			r.fill("after all that", 2200, r.edges)
			if policy == session.Choose {
				stop()
				r.choose()
				stop = r.observe(lose)
			}
			r.killOne()
			r.fill("after an edge was killed", 1600, r.edges)
			t.Logf("%d admissions, %d of them at an edge that was dying, %d asked again; the table was looked at %d times since", r.asked.Load(), r.none.Load(), r.again.Load(), stop())
			if n := r.asked.Load(); n < 10_000 {
				t.Errorf("only %d admissions", n)
			}
		})
	}
	t.Run(string(session.EndOldest), func(t *testing.T) {
		t.Parallel()
		raceEndOldest(t)
	})
}

func (r *race) holds(h *hopeful) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in[h]
}

// fill has many come, more than there are seats for. Then each seat is taken.
func (r *race) fill(when string, n int, edges []*racer) {
	r.t.Helper()
	crowd(n, func(i int) { r.enters(r.anybody(i, edges)) })
	usage := r.mustUsage()
	r.books.compare(when, usage)
	in := make(map[string]int)
	for _, h := range r.holders(nil) {
		in[district(h.group)]++
	}
	for where, want := range brim(len(edges)) {
		if in[where] != want {
			r.t.Errorf("%s: %d are in where %s decides, and there are %d seats", when, in[where], where, want)
		}
	}
}

// swap has some leave, in both ways; as many get in, and no more.
func (r *race) swap(when string) {
	r.t.Helper()
	leavers := r.holders(func(h *hopeful) bool { return district(h.group) != "all" })[:150]
	crowd(len(leavers), func(i int) { r.leaves(leavers[i], i%2 == 0) })
	before := len(r.holders(nil))
	crowd(4*len(leavers), func(i int) { // four for each seat
		was := leavers[i%len(leavers)]
		r.enters(&hopeful{user: was.user, group: was.group, address: was.address, edge: was.edge})
	})
	if got := len(r.holders(nil)) - before; got != len(leavers) {
		r.t.Errorf("%s: %d seats were given back, and %d got in", when, len(leavers), got)
	}
	r.books.compare(when, r.mustUsage())
}

// zap has everybody in one district change to another stream, on another edge, at once. His seat goes with him.
func (r *race) zap() {
	r.t.Helper()
	all := r.holders(func(h *hopeful) bool { return district(h.group) == "user" })
	crowd(len(all), func(i int) {
		was := all[i]
		r.mu.Lock()
		delete(r.in, was)
		r.mu.Unlock()
		r.books.leaves(was.uses)
		if v := r.enters(&hopeful{user: was.user, device: was.device, group: "user-y", address: was.address, edge: r.edges[i%3]}); v.Action != Allow {
			r.t.Errorf("%s of %s zaps, and is refused: %s", was.device, was.user, v.Detail)
		}
		r.books.left(was.uses)
	})
	r.books.compare("everybody has zapped", r.mustUsage())
}

// churn has people come and go.
func (r *race) churn(n int) {
	r.t.Helper()
	var got int
	crowd(n, func(i int) {
		h := r.anybody(i, r.edges)
		if r.enters(h).Action == Allow && i%4 > 0 {
			r.leaves(h, i%4 == 1)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		got++
		if got%3 > 0 {
			return
		}
		for other := range r.in { // somebody
			r.mu.Unlock()
			r.leaveOnce(other)
			r.mu.Lock()
			break
		}
	})
	r.books.compare("people came and went", r.mustUsage())
}

// leaveOnce has one leave whom nobody else has.
func (r *race) leaveOnce(h *hopeful) {
	r.mu.Lock()
	mine := r.in[h]
	delete(r.in, h)
	r.mu.Unlock()
	if mine {
		r.leaves(h, rand.IntN(2) == 0)
	}
}

// killOne has another edge join, and kills it while people come and go. Its seats are taken until they expire, and then free.
func (r *race) killOne() {
	r.t.Helper()
	leavers := r.holders(nil)[:150]
	crowd(len(leavers), func(i int) { r.leaveOnce(leavers[i]) })
	dead := r.join()
	r.arriving(1000, append([]*racer{dead}, r.edges...), func(i int) {
		if i == 300 {
			dead.kill()
		}
	})
	gone := r.bury(dead)
	for _, h := range gone {
		r.books.left(h.uses)
	}
	if len(gone) == 0 {
		r.t.Error("the edge that was killed had no sessions")
	}
}

// join has an edge join whose seats expire soon.
func (r *race) join() *racer {
	return startRacer(r.t, r.url, "mortal", r.edges[0].opt.OnLimit, mortalTTL)
}

// arriving has people come to any edge that lives.
func (r *race) arriving(n int, edges []*racer, before func(i int)) {
	crowd(n, func(i int) {
		before(i)
		h := r.anybody(i, edges)
		if h.edge.killed.Load() {
			h.edge = r.edges[i%len(r.edges)]
		}
		if r.enters(h).Action == Allow && i%2 == 0 && !h.edge.killed.Load() && !h.edge.mortal {
			r.leaveOnce(h)
		}
	})
}

// bury forgets who listened at an edge that was killed, and returns those who may have had seats when these have expired.
func (r *race) bury(dead *racer) (gone []*hopeful) {
	gone = r.holders(func(h *hopeful) bool { return h.edge == dead })
	r.mu.Lock()
	for _, h := range gone {
		delete(r.in, h)
	}
	gone = append(gone, r.unknown...)
	r.unknown = nil
	r.mu.Unlock()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		seats, err := r.watch.Seats(r.t.Context(), "", "", 20_000)
		if err != nil {
			r.t.Fatal(err)
		}
		if !slices.ContainsFunc(seats, func(s session.Seat) bool { return s.Edge == dead.name }) {
			return gone
		}
		if time.Now().After(end) {
			r.t.Fatal("the seats of an edge that was killed do not expire")
		}
	}
}

// choose has everybody in one district come on another device, and end one of his sessions for it by the code that he is told.
func (r *race) choose() {
	r.t.Helper()
	stop := r.observe(func(h *hopeful, v Verdict) {
		if v.Code != Ended && v.Code != ChooseSession && v.Code != TooManySessions {
			r.t.Errorf("%s: %s", h.id, v.Code)
		}
	})
	kept := r.books
	r.books = nil // whose seat another's choice ends, they do not know
	got := make(chan int, 400)
	crowd(cap(got), func(i int) {
		h := &hopeful{user: fmt.Sprintf("user-%d", i%raceUsers), group: "user-z", address: netip.AddrFrom4([4]byte{203, 0, 113, 9}), edge: r.edges[i%3]}
		for try := range 20 {
			v := r.enters(h)
			if v.Action == Allow {
				got <- try
				return
			}
			h.retry = nil
			for _, c := range v.Conflicts {
				h.retry = append(h.retry, c.Code)
			}
			if len(h.retry) > 1 {
				h.retry = h.retry[:1]
			}
		}
		r.t.Errorf("%s is refused whatever he ends", h.user)
	})
	stop()
	r.books = kept
	r.recount(got)
}

// recount asks everybody whether he is still in, and enters it in the books.
func (r *race) recount(got chan int) {
	r.t.Helper()
	if len(got) != cap(got) {
		r.t.Errorf("%d of %d have chosen, and are in", len(got), cap(got))
	}
	seats, err := r.watch.Seats(r.t.Context(), "", "", 20_000)
	if err != nil {
		r.t.Fatal(err)
	}
	still := make(map[session.ID]bool)
	for _, s := range seats {
		still[s.Key.ID] = true
	}
	for _, h := range r.holders(nil) {
		switch {
		case !still[h.id]:
			r.awaitEnded(h)
			r.mu.Lock()
			delete(r.in, h)
			r.mu.Unlock()
		case h.goes(r.t.Context()).Action != Allow:
			r.t.Errorf("%s has a seat, and may not go on", h.id)
		}
	}
	r.books.of = make(map[string]*book)
	for _, h := range r.holders(nil) {
		r.books.asks(string(h.id), h.uses)
		r.books.granted(string(h.id), h.uses)
	}
	r.books.compare("everybody has chosen", r.mustUsage())
}

// awaitEnded waits until a listener's own edge has heard that he was ended.
func (r *race) awaitEnded(h *hopeful) {
	for end := time.Now().Add(2 * raceTTL); ; time.Sleep(10 * time.Millisecond) {
		v := h.goes(r.t.Context())
		if v.Code == Ended {
			return
		}
		if time.Now().After(end) {
			r.t.Errorf("%s was ended for another, and goes on: %v %s", h.id, v.Action, v.Code)
			return
		}
	}
}

// raceEndOldest: nobody is refused, and the one who began first goes. An edge is killed in between.
func raceEndOldest(t *testing.T) {
	r := newRace(t, session.EndOldest)
	stop := r.observe(func(h *hopeful, v Verdict) {
		if v.Code != Ended {
			t.Errorf("%s: %s %s", h.id, v.Code, v.Detail)
		}
		r.mu.Lock()
		delete(r.in, h)
		r.mu.Unlock()
	})
	fill := func(when string, n int, edges []*racer) {
		t.Helper()
		crowd(n, func(i int) {
			if v := r.enters(r.anybody(i, edges)); v.Action != Allow {
				t.Errorf("%s: a newcomer is refused: %s %s", when, v.Code, v.Detail)
			}
		})
		r.account(when, len(edges))
	}
	fill("at first", 6000, r.edges)
	dead := r.join()
	with := append([]*racer{dead}, r.edges...)
	crowd(1000, func(i int) {
		if i == 300 {
			dead.kill()
		}
		h := r.anybody(i, with)
		if v := r.enters(h); v.Action != Allow && !h.edge.killed.Load() {
			t.Errorf("a newcomer is refused: %s %s", v.Code, v.Detail)
		}
	})
	if len(r.bury(dead)) == 0 {
		t.Error("the edge that was killed had no sessions")
	}
	fill("after an edge was killed", 3200, r.edges)
	t.Logf("%d admissions, %d of them at an edge that was dying, %d asked again; the table was looked at %d times", r.asked.Load(), r.none.Load(), r.again.Load(), stop())
	if n := r.asked.Load(); n < 10_000 {
		t.Errorf("only %d admissions", n)
	}
}

// account compares who is in with who has a seat: those who have none are told so, and where one kind of limit decides each seat is taken.
func (r *race) account(when string, edges int) {
	r.t.Helper()
	seats, err := r.watch.Seats(r.t.Context(), "", "", 20_000)
	if err != nil {
		r.t.Fatal(err)
	}
	in, still := make(map[string]int), make(map[session.ID]bool)
	for _, s := range seats {
		still[s.Key.ID] = true
		in[district(s.Key.Group)]++
	}
	for where, want := range brim(edges) {
		if in[where] != want {
			r.t.Errorf("%s: %d are in where %s decides, and there are %d seats", when, in[where], where, want)
		}
	}
	for _, h := range r.holders(nil) {
		if r.t.Failed() {
			return // one says enough, and each is waited for
		}
		if !still[h.id] {
			r.awaitEnded(h)
		}
	}
	total := 0
	for name, taken := range r.mustUsage() {
		if strings.HasPrefix(name, "user=") {
			total += taken
		}
	}
	if total != len(seats) {
		r.t.Errorf("%s: %d seats, and %d are counted under their users", when, len(seats), total)
	}
}
