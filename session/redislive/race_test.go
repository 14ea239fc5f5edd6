package redislive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"earshot/session"
)

// observer looks at every seat in one script of its own, which knows nothing of counts: it decodes all seats that have not expired, and counts places under
// each limit. It returns name and count in turn. ARGV: maxima are by name: user=…: 3, stream=…: 40, edge: 90.
var observer = redis.NewScript(`
local P = KEYS[1] .. ':'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local seen, n = {}, {}
for _, m in ipairs(redis.call('ZRANGEBYSCORE', P .. 'exp', '(' .. now, '+inf')) do
  local f = cmsgpack.unpack(string.sub(redis.call('GET', P .. 'seat:' .. m), 58))
  local what = f[3] ~= '' and '\0' .. f[3] or m
  for i = 17, #f, 2 do
    if not seen[f[i] .. '\0' .. what] then n[f[i]] = (n[f[i]] or 0) + 1 end
    seen[f[i] .. '\0' .. what] = true
  end
end
local result = {}
for name, count in pairs(n) do
  result[#result + 1] = name
  result[#result + 1] = count
end
return result`)

const (
	raceUsers   = 25
	raceStreams = 3
	userMax     = 3
	streamMax   = 18 // within what a refusal names, so that it can prove itself
	edgeMax     = 50
)

func maxOf(name string) int64 {
	switch name[0] {
	case 'u':
		return userMax
	case 's':
		return streamMax
	}
	return edgeMax
}

// race is many admissions at three edges of one deployment.
type race struct {
	t      *testing.T
	s      *server
	edges  []*Table
	tag    string
	ttl    time.Duration
	policy session.Policy

	held, refused, evicted atomic.Int64
	seats                  sync.Map // session.Key → struct{}: whose seat nobody has taken away, as the answers have it
}

func newRace(t *testing.T, s *server, name string, policy session.Policy, ttl time.Duration) *race {
	r := &race{t: t, s: s, ttl: ttl, policy: policy}
	for range 3 {
		r.edges = append(r.edges, s.open(t, name))
	}
	r.tag = r.edges[0].tag
	return r
}

// TestRace: 12,000 admissions at three edges on one Redis, a third of them under each policy. No limit is ever overdrawn, and who is refused is shown as many seats as
// there is room for.
func TestRace(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, policy := range []session.Policy{session.Reject, session.EndOldest, session.Choose} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			r := newRace(t, s, "race-"+string(policy), policy, time.Hour)
			stop := r.observe()
			r.run(4_000, 24)
			looks := stop()
			mustRefuse := policy != session.EndOldest // there only who cools down is refused, if he comes in time
			if r.held.Load() == 0 || mustRefuse && r.refused.Load() == 0 || looks < 10 || policy != session.Reject && r.evicted.Load() == 0 {
				t.Errorf("%d held, %d refused, %d evicted, %d looks: no race", r.held.Load(), r.refused.Load(), r.evicted.Load(), looks)
			}
			r.settle()
		})
	}
}

// TestRaceWithEdgesThatDie: edges are killed while they admit, and their seats expire. No limit is overdrawn meanwhile; then there is room for exactly as many
// as ever.
func TestRaceWithEdgesThatDie(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRace(t, s, "dying", session.Reject, 300*time.Millisecond)
	stop := r.observe()
	for round := range 4 {
		var dying sync.WaitGroup
		dying.Go(func() {
			time.Sleep(50 * time.Millisecond)
			r.edges[round%3].Close() // with its claims under way, and nothing released
		})
		r.run(1500, 12)
		dying.Wait()
		r.edges[round%3] = s.open(t, "dying")
	}
	stop()
	time.Sleep(r.ttl + 10*time.Millisecond)
	var held atomic.Int64
	var all sync.WaitGroup
	for e, edge := range r.edges {
		all.Go(func() {
			for i := range 200 {
				a, err := edge.Claim(context.Background(), &session.Claim{TTL: time.Hour, Policy: session.Reject, Seat: session.Seat{
					Key: session.Key{ID: session.ID(fmt.Sprintf("after-%d-%d", e, i)), Group: "g"}, Uses: []session.Use{{Name: "edge", Max: edgeMax}}}})
				if err != nil {
					t.Error(err)
				} else if a.Outcome == session.Held {
					held.Add(1)
				}
			}
		})
	}
	all.Wait()
	if held.Load() != edgeMax {
		t.Errorf("%d let in where there was room for %d", held.Load(), edgeMax)
	}
}

// observe looks at the counts until it is stopped; stop says how often it did.
func (r *race) observe() (stop func() int) {
	done, looked := make(chan struct{}), make(chan int)
	go func() {
		looks := 0
		for {
			select {
			case <-done:
				looked <- looks
				return
			case <-time.After(10 * time.Millisecond):
			}
			r.look()
			looks++
		}
	}()
	return func() int { close(done); return <-looked }
}

func (r *race) look() map[string]int64 {
	l, err := observer.Run(context.Background(), r.s.ask, []string{r.tag}).Slice()
	if err != nil {
		r.t.Error(err)
	}
	counts := map[string]int64{}
	for ; len(l) >= 2; l = l[2:] {
		name, n := l[0].(string), l[1].(int64)
		counts[name] = n
		if n > maxOf(name) {
			r.t.Errorf("%s: %d at once", name, n)
		}
	}
	return counts
}

// run makes that many admissions, in so many goroutines at all edges.
func (r *race) run(n, goroutines int) {
	var all sync.WaitGroup
	var i atomic.Int64
	id := rand.Uint32()
	for g := range goroutines {
		edge := r.edges[g%3]
		all.Go(func() {
			for j := i.Add(1); j <= int64(n); j = i.Add(1) {
				r.admit(edge, fmt.Sprintf("%x-%d", id, j))
			}
		})
	}
	all.Wait()
}

// admit claims a seat, checks the answer, and perhaps leaves.
func (r *race) admit(edge *Table, id string) {
	user := fmt.Sprint("user=", rand.N(raceUsers))
	c := &session.Claim{
		Seat: session.Seat{Key: session.Key{ID: session.ID(id), Group: "g"}, UserID: user, Owner: fmt.Sprint(user, rand.N(40)),
			Uses: []session.Use{{Name: user, Max: userMax}, {Name: fmt.Sprint("stream=", rand.N(raceStreams)), Max: streamMax}, {Name: "edge", Max: edgeMax}}},
		TTL: r.ttl, Policy: r.policy, Silence: time.Hour, Sentence: time.Minute, Cooldown: time.Millisecond,
	}
	switch rand.N(4) {
	case 0:
		c.Seat.Slot = c.Seat.Owner
	case 1:
		c.Goes = true
	}
	a, err := edge.Claim(context.Background(), c)
	if err != nil { // of an edge that was closed
		if r.ttl == time.Hour {
			r.t.Error(err)
		}
		return
	}
	if a.Outcome == session.Refused && r.policy == session.Choose && rand.N(2) == 0 {
		for _, s := range a.Conflicts {
			c.Terminate = append(c.Terminate, s.Key)
		}
		if a, err = edge.Claim(context.Background(), c); err != nil {
			r.t.Error(err)
			return
		}
	}
	r.note(c, a)
	if a.Outcome == session.Held && rand.N(3) == 0 {
		if err := edge.Release(context.Background(), "", c.Seat.Key); err == nil {
			r.seats.Delete(c.Seat.Key)
		}
	}
}

func (r *race) note(c *session.Claim, a session.Answer) {
	if a.Outcome == session.Held {
		r.held.Add(1)
		r.evicted.Add(int64(len(a.Ended)))
		r.seats.Store(c.Seat.Key, struct{}{})
		for _, k := range slices.Concat(a.Taken, a.Ended) {
			r.seats.Store(k, nil) // for good: its own claim may be answered after this one
		}
		return
	}
	r.refused.Add(1)
	if len(a.Full) == 0 || a.Outcome == session.Ended {
		r.t.Errorf("refused for nothing: %+v", a)
	}
	proven := slices.ContainsFunc(a.Full, func(u session.Use) bool { return places(a.Conflicts, u.Name) >= u.Max })
	if !proven && len(a.Conflicts) < session.MaxConflicts {
		r.t.Errorf("refused by %v, and only %d seats are in the way", a.Full, len(a.Conflicts))
	}
}

// places counts slots under a limit.
func places(seats []session.Seat, name string) int {
	slots := map[any]bool{} // by slot, or by key
	for _, s := range seats {
		switch {
		case !slices.ContainsFunc(s.Uses, func(u session.Use) bool { return u.Name == name }):
		case s.Slot != "":
			slots[s.Slot] = true
		default:
			slots[s.Key] = true
		}
	}
	return len(slots)
}

// settle compares what is left with what the observer sees and what Usage says.
func (r *race) settle() {
	counts := r.look()
	usage, err := r.edges[1].Usage(context.Background(), "", 1000)
	if err != nil || len(usage) != len(counts) {
		r.t.Errorf("%v: %d limits in use, and %d are seen to be", err, len(usage), len(counts))
	}
	for _, u := range usage {
		if counts[u.Name] != int64(u.Taken) {
			r.t.Errorf("%s: %d taken, and %d are seen to be", u.Name, u.Taken, counts[u.Name])
		}
	}
	all, err := r.edges[2].Seats(context.Background(), "", "", 10_000)
	if err != nil {
		r.t.Error(err)
	}
	for _, s := range all {
		if _, known := r.seats.Load(s.Key); !known {
			r.t.Errorf("%v has a seat that no answer gave it", s.Key)
		}
	}
}
