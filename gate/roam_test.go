package gate

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"earshot/session"
)

// A listener who moves is counted where he is (rule 2 of [session.Claim]).

const (
	tick   = 25 * time.Second // the ticker's turn comes surely
	office = "203.0.113.5"
)

func perAddress(max int) []Limit { return []Limit{{Per: PerAddress, Max: max}} }

// plays has them ask for media, each for his own next pieces, for so long.
func plays(r *rig, from int, long time.Duration, all ...*player) {
	r.t.Helper()
	for i := range int(long / (5 * time.Second)) {
		for _, p := range all {
			r.want(p.next(from+i), "")
		}
		time.Sleep(5 * time.Second)
	}
}

// taken is how many count under a limit.
func (r *rig) taken(name string) int {
	r.t.Helper()
	all, err := r.Usage(r.t.Context(), "", 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, u := range all {
		if u.Name == name {
			return u.Taken
		}
	}
	return 0
}

// TestRoamedAway: who has left an address does not fill its limit, and plays on where it is full. Newcomers wait there; who was there before changes channels, and so does he.
func TestRoamedAway(t *testing.T) {
	for name, live := range map[string]func() session.Live{"model": func() session.Live { return nil }, "memory": func() session.Live { return session.NewMemory(100) }} {
		t.Run(name, func(t *testing.T) {
			door(t, Options{Limits: perAddress(1), Live: live()}, func(r *rig) {
				ann, bob := r.player("", "", phone, "Phone"), r.player("", "", home, "TV")
				r.want(ann.start("news"), "")
				r.want(bob.start("news"), "")
				plays(r, 0, tick, ann, bob)
				ann.address = home
				plays(r, 100, tick, ann, bob)
				if here, there := r.taken("address="+home), r.taken("address="+phone); here != 2 || there != 0 {
					t.Fatalf("counted %d where she is, and %d where she was", here, there)
				}
				next := r.player("", "", phone, "Tablet")
				r.want(next.start("news"), "")
				r.want(r.player("", "", home, "Tablet").start("news"), TooManySessions)
				for i := range 10 {
					r.want(ann.start(fmt.Sprint("station-", i%3)), "")
					r.want(bob.start(fmt.Sprint("station-", i%3)), "")
					plays(r, 0, 5*time.Second, ann, bob)
				}
				if n := r.taken("address=" + home); n != 2 {
					t.Errorf("%d are counted after they changed channels", n)
				}
				plays(r, 1000, 90*time.Second, ann) // bob's seat has expired
				r.want(r.player("", "", home, "Tablet").start("news"), TooManySessions)
				time.Sleep(90 * time.Second)
				r.want(r.player("", "", home, "Tablet").start("news"), "")
			})
		})
	}
}

// places counts what a live table is asked for.
type places struct {
	session.Live
	claims, moves, renewals atomic.Int64
}

func (p *places) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	p.claims.Add(1)
	return p.Live.Claim(ctx, c)
}

func (p *places) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	for i := range all {
		p.renewals.Add(1)
		if all[i].Place != nil {
			p.moves.Add(1)
		}
	}
	return p.Live.Renew(ctx, edge, all)
}

// TestFlaps: a listener each of whose requests comes from another address costs no claim, and is counted once, where he began.
func TestFlaps(t *testing.T) {
	live := &places{Live: session.NewMemory(100)}
	door(t, Options{Limits: perAddress(5), Live: live}, func(r *rig) {
		p, still := r.player("ann", "", home, "TV"), r.player("bob", "", office, "TV")
		r.want(p.start("news"), "")
		r.want(still.start("news"), "")
		for i := range 1200 {
			p.address = []string{home, "2001:db8::1"}[i%2]
			r.want(p.next(i), "")
			r.want(still.next(i), "")
			time.Sleep(310 * time.Millisecond)
			if here, there := r.taken("address="+home), r.taken("address=2001:db8::"); here != 1 || there != 0 {
				t.Fatalf("counted %d times where he began, and %d times elsewhere", here, there)
			}
		}
		if claims, moves, renewals := live.claims.Load(), live.moves.Load(), live.renewals.Load(); claims > 2 || moves > 0 || renewals < 20 {
			t.Errorf("%d claims; %d of %d renewals of two told of a move", claims, moves, renewals)
		}
	})
}

// TestMoveIsToldAgain: what could not be told while the table was out of reach is told when it is back; and the shadow knows it meanwhile.
func TestMoveIsToldAgain(t *testing.T) {
	live := &broken{Live: session.NewMemory(100)}
	door(t, Options{Limits: perAddress(1), Live: live, Many: true, OnLiveError: LiveLast}, func(r *rig) {
		ann, bob := r.player("ann", "", phone, "Phone"), r.player("bob", "", home, "TV")
		r.want(ann.start("news"), "")
		r.want(bob.start("news"), "")
		plays(r, 0, tick, ann, bob)
		live.down.Store(true)
		ann.address = home
		plays(r, 100, tick, ann, bob)
		next := r.player("eve", "", phone, "Tablet")
		r.want(next.start("news"), "")
		r.want(r.player("joe", "", home, "Tablet").start("news"), TooManySessions)
		live.down.Store(false)
		plays(r, 200, 2*tick, ann, bob, next)
		if here, there := r.taken("address="+home), r.taken("address="+phone); here != 2 || there != 1 {
			t.Errorf("counted %d where she is, and %d where another is now", here, there)
		}
	})
}

// TestRoamingIsNoDoor: one who uses another's id from an address that is full is told apart as ever, and asked for room.
func TestRoamingIsNoDoor(t *testing.T) {
	door(t, Options{Limits: perAddress(1)}, func(r *rig) {
		ann, bob := r.player("", "", home, "TV"), r.player("", "", phone, "Phone")
		r.want(ann.start("news"), "")
		r.want(bob.start("news"), "")
		thief := r.player("", "", phone, "Tablet")
		thief.id, thief.group, thief.grant = ann.id, ann.group, ann.grant
		refused := 0
		for i := range 60 {
			r.want(ann.next(i), "")
			r.want(bob.next(i), "")
			time.Sleep(2 * time.Second)
			if v := thief.next(i); v.Action != Allow {
				r.want(v, TooManySessions)
				refused++
			}
			time.Sleep(2 * time.Second)
		}
		if refused < 40 {
			t.Errorf("refused %d times of 60", refused)
		}
		if here, there := r.taken("address="+home), r.taken("address="+phone); here != 1 || there != 1 {
			t.Errorf("counted %d and %d", here, there)
		}
	})
}

// TestPartedWhereHeCameFrom: a second listener who is told apart is not refused because of the one whose id he used, who was never where he is.
func TestPartedWhereHeCameFrom(t *testing.T) {
	door(t, Options{Limits: perAddress(1)}, func(r *rig) {
		ann, other := r.player("", "", home, "Player"), r.player("", "", phone, "Player")
		r.want(ann.start("news"), "")
		other.id, other.group, other.grant = ann.id, ann.group, ann.grant
		time.Sleep(time.Second) // so that the ticker finds him, and not her
		for i := range 60 {
			r.want(ann.next(i), "")
			time.Sleep(2 * time.Second)
			r.want(other.next(i+100*(1-min(1, i/15))), "") // for a minute they do not ask for the same
			time.Sleep(2 * time.Second)
		}
		if here, there := r.taken("address="+home), r.taken("address="+phone); here != 1 || there != 1 {
			t.Errorf("counted %d and %d", here, there)
		}
	})
}

// TestMovedToAnotherEdge: who goes on at another edge is counted there, and no longer at the first, which may be full or have died; and the other way round when he comes back
// while the first still knows him.
func TestMovedToAnotherEdge(t *testing.T) {
	twoEdgesWith(t, []Limit{{Per: PerEdge, Max: 1}}, func(edges []*rig) {
		counted := func(first, second int) {
			edges[0].t.Helper()
			if a, b := edges[0].taken("edge=edge-0"), edges[0].taken("edge=edge-1"); a != first || b != second {
				edges[0].t.Fatalf("counted %d and %d, want %d and %d", a, b, first, second)
			}
		}
		p := edges[0].player("ann", "", home, "TV")
		p.want(p.start("news"), "")
		counted(1, 0)
		p.rig = edges[1]
		p.want(p.next(1), "")
		counted(0, 1)
		p.rig = edges[0] // which asks nobody
		plays(p.rig, 10, 2*tick, p)
		counted(1, 0)

		sits := edges[1].player("bob", "", phone, "TV")
		sits.want(sits.start("news"), "")
		p.rig = edges[1]
		plays(p.rig, 100, 2*tick, p, sits)
		counted(0, 2)
		edges[0].want(edges[0].player("eve", "", office, "TV").start("news"), "")
		edges[1].want(edges[1].player("joe", "", office, "Radio").start("news"), TooManySessions)
		for i := range 20 {
			p.want(p.next(200+i), "")
			sits.want(sits.next(200+i), "")
			time.Sleep(5 * time.Second)
		}
		counted(0, 2)
	})
}
