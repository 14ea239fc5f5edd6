package sessiontest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"earshot/session"
)

// raceTests have many goroutines claim at once. None may find more room than there is, and none less.
var raceTests = []test{
	{"race: exactly as many are let in as there is room for, again and again", func(x *table) {
		const max, racers = 40, 50
		room := max
		for round := range 4 {
			var held []session.Key
			var mu sync.Mutex
			x.race(racers, 6, func(i int) {
				c := claim(fmt.Sprintf("r%d-%d", round, i), under("u", max), and(fmt.Sprintf("v%d", i%2), max))
				a, err := x.live.Claim(x.Context(), c)
				if err != nil {
					x.Error(err)
				} else if a.Outcome == session.Held {
					mu.Lock()
					held = append(held, c.Seat.Key)
					mu.Unlock()
				}
			})
			if len(held) != room {
				x.Fatalf("round %d: %d let in where there was room for %d", round, len(held), room)
			}
			x.uses("u", max)
			room = min(room, 5+7*round)
			x.must(x.live.Release(x.Context(), "", held[:room]...))
		}
	}},
	{"race: what expires is room, all of it", func(x *table) {
		const max = 30
		for round := range 2 {
			var held atomic.Int32
			life := x.steps(8)
			x.race(40, 3, func(i int) {
				// All within one time to live, by half.
				a, err := x.live.Claim(x.Context(), claim(fmt.Sprintf("e%d-%d", round, i), under("u", max), ttl(life)))
				if err != nil {
					x.Error(err)
				} else if a.Outcome == session.Held {
					held.Add(1)
				}
			})
			if held.Load() != max {
				x.Fatalf("round %d: %d let in where there was room for %d", round, held.Load(), max)
			}
			x.pass(9)
		}
	}},
	{"race: claims of all kinds stay under every limit, and every refusal proves itself", func(x *table) {
		r := &racing{table: x, gone: map[session.Key]int{}}
		stop, watched := make(chan struct{}), make(chan int)
		go func() { watched <- r.watch(stop) }()
		x.race(50, 40, r.claim)
		close(stop)
		if n := <-watched; n == 0 {
			x.Error("nobody watched")
		}
		if r.held.Load() == 0 || r.refused.Load() == 0 || r.ended.Load() == 0 {
			x.Errorf("%d held, %d refused, %d ended: no race", r.held.Load(), r.refused.Load(), r.ended.Load())
		}
	}},
}

// race has each of so many goroutines call f so many times, with numbers that are all different.
func (x *table) race(goroutines, times int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for g := range goroutines {
		all.Go(func() {
			<-start
			for i := range times {
				f(g*times + i)
			}
		})
	}
	close(start)
	all.Wait()
}

// racing is a race under the limits of few users, few streams and an edge; no limit is beyond [session.MaxConflicts], so that a refusal
// can name all that it stands on.
type racing struct {
	*table
	held, refused, ended atomic.Int32

	mu   sync.Mutex
	gone map[session.Key]int // whose seat went, and as the how manieth, by when that was known; no key is claimed twice
}

func (r *racing) goes(keys ...session.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		r.gone[k] = len(r.gone)
	}
}

const (
	userMax   = 3
	streamMax = 8
	edgeMax   = 18
)

func (r *racing) claim(i int) {
	u := fmt.Sprint("user", rand.N(12))
	c := claim(fmt.Sprint("c", i), user(u), under("user="+u, userMax), and(fmt.Sprint("stream=", rand.N(4)), streamMax), and("edge", edgeMax))
	c.TTL = 4 * r.step
	c.Policy = []session.Policy{session.Reject, session.EndOldest, session.Choose}[rand.N(3)]
	switch rand.N(6) {
	case 0:
		c.Seat.Slot = u + fmt.Sprint(" device", rand.N(2))
	case 1, 2:
		c.Seat.Owner = u + fmt.Sprint(" device", rand.N(3))
		c.Cooldown = r.step
	case 3:
		c.Seat.Owner, c.Goes, c.Silence = u+fmt.Sprint(" device", rand.N(3)), true, r.step/8
	}
	if c.Policy == session.Choose {
		mine, err := r.live.Seats(r.Context(), u, "", 1)
		if err != nil {
			r.Error(err)
		}
		for _, s := range mine {
			c.Terminate = append(c.Terminate, s.Key)
		}
	}
	began := time.Now()
	r.mu.Lock()
	gone := len(r.gone)
	r.mu.Unlock()
	a, err := r.live.Claim(r.Context(), c)
	if err != nil {
		r.Error(err)
		return
	}
	switch a.Outcome {
	case session.Held:
		r.held.Add(1)
		r.ended.Add(int32(len(a.Ended)))
		r.leave(c.Seat.Key, a)
	case session.Refused, session.Cooling:
		r.refused.Add(1)
		r.prove(c, a, began, gone)
	default:
		r.Errorf("%v: %+v", c.Seat.Key, a)
	}
}

// leave has a session go, stay until it expires, wait a while, or renew once.
func (r *racing) leave(k session.Key, a session.Answer) {
	r.goes(a.Ended...)
	r.goes(a.Taken...)
	switch rand.N(4) {
	case 0:
		if err := r.live.Release(r.Context(), "", k); err != nil {
			r.Error(err)
		}
		r.goes(k)
	case 1:
		time.Sleep(rand.N(r.step))
	case 2:
		if _, err := r.live.Renew(r.Context(), "a", []session.Renewal{{Key: k, TTL: 2 * r.step}}); err != nil {
			r.Error(err)
		}
	}
}

// prove checks that what a refusal says was full was full of seats that stood: of as many slots as Max, none of them expired, and none gone
// before the claim was made.
func (r *racing) prove(c *session.Claim, a session.Answer, began time.Time, gone int) {
	if len(a.Full) == 0 {
		r.Errorf("%v is refused for nothing", c.Seat.Key)
	}
	for _, s := range a.Conflicts {
		r.mu.Lock()
		n, went := r.gone[s.Key]
		r.mu.Unlock()
		if went && n < gone || s.Expires.Before(began.Add(-5*time.Millisecond)) {
			r.Errorf("%v stands in the way of %v, and is gone (expired %v ago)", s.Key, c.Seat.Key, began.Sub(s.Expires))
		}
	}
	for _, u := range a.Full {
		if !slices.Contains(c.Seat.Uses, u) {
			r.Errorf("%v is full, and was not asked for", u)
		}
		if n := taken(a.Conflicts, u.Name); n < u.Max && len(a.Conflicts) < session.MaxConflicts {
			r.Errorf("%v is refused for %q, which had %d of %d taken", c.Seat.Key, u.Name, n, u.Max)
		}
	}
}

func taken(seats []session.Seat, name string) int {
	n, shared := 0, map[string]bool{}
	for i := range seats {
		if s := &seats[i]; !counts(s, name) {
			continue
		} else if s.Slot == "" {
			n++
		} else {
			shared[s.Slot] = true
		}
	}
	return n + len(shared)
}

// watch looks at all seats until it is stopped: no limit is ever overdrawn. It returns how often it looked.
func (r *racing) watch(stop <-chan struct{}) (looks int) {
	for {
		all, err := r.live.Seats(r.Context(), "", "", 10_000)
		if err != nil {
			r.Error(err)
			return looks
		}
		used, maxes := map[string]bool{}, map[string]int{}
		for _, s := range all {
			for _, u := range s.Uses {
				used[u.Name], maxes[u.Name] = true, u.Max
			}
		}
		for name := range used {
			if n := taken(all, name); n > maxes[name] {
				r.Errorf("%q: %d taken, and %d is the limit", name, n, maxes[name])
			}
		}
		looks++
		select {
		case <-stop:
			return looks
		default:
			time.Sleep(r.step / 100)
		}
	}
}
