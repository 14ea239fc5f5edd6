package gate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/auth"
	"earshot/blackout"
	"earshot/session"
)

// TestEverythingAtOnce: many come, roam, share ids, sit, leave, are ended and banned while rules come and go. When all have gone, nothing is left of them.
func TestEverythingAtOnce(t *testing.T) {
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
	if err != nil {
		t.Fatal(err)
	}
	live := session.NewMemory(10_000)
	g := New(Options{Table: session.NewTable(10_000), Live: live, Signer: signer, Limits: []Limit{{Per: PerUser, Max: 3}, {Per: PerAddress, Max: 5}},
		OnLimit: session.EndOldest, SeatTTL: 60 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.Run(ctx); close(done) }()

	began := time.Now()
	id := func(rng *rand.Rand) session.ID {
		return session.ID(fmt.Sprint(time.Since(began)/(100*time.Millisecond), "/", rng.IntN(4)))
	} // what was ended stays so
	var all sync.WaitGroup
	end := time.Now().Add(700 * time.Millisecond)
	worker := func(do func(rng *rand.Rand)) {
		seed := rand.Uint64()
		all.Go(func() {
			for rng := rand.New(rand.NewPCG(seed, 1)); time.Now().Before(end); {
				do(rng)
			}
		})
	}
	visitOf := func(rng *rand.Rand) Visit {
		return Visit{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(6))}), Agent: fmt.Sprint("agent", rng.IntN(3)), Piece: uint64(rng.IntN(5)) + 1}
	}
	come := func(rng *rand.Rand, kind session.Kind) Verdict {
		v := visitOf(rng)
		k := session.Key{ID: id(rng), Group: fmt.Sprint("g", rng.IntN(2))}
		if s, ok := g.Live(k); ok {
			return g.Renew(ctx, s, v)
		}
		r := &Request{Key: k, Kind: kind, Listener: session.Listener{Address: v.Address, Agent: v.Agent},
			Identity: auth.Identity{User: fmt.Sprint("user", rng.IntN(3))}}
		if v := g.Look(r); v.Action != Allow {
			return v
		}
		return g.Admit(ctx, r)
	}
	var parted, cut atomic.Int64
	for range 4 {
		worker(func(rng *rand.Rand) { come(rng, session.HLS) })
		worker(func(rng *rand.Rand) {
			v := come(rng, session.ICY)
			if v.Action != Allow {
				time.Sleep(time.Millisecond)
				return
			}
			var n atomic.Int64
			over := make(chan struct{})
			var once sync.Once
			sit := g.Sit(v.Session, Seated{Visit: visitOf(rng), Taken: func() int64 { return n.Add(1) },
				Cut: func(Code) { once.Do(func() { cut.Add(1); close(over) }) }, Move: func(*session.Session) { parted.Add(1) }})
			sit.Check()
			select {
			case <-over:
			case <-time.After(time.Duration(rng.IntN(80)) * time.Millisecond):
			}
			sit.Leave()
		})
	}
	worker(func(rng *rand.Rand) {
		_, _ = g.End(ctx, id(rng)) // it may not be there
		time.Sleep(30 * time.Millisecond)
	})
	worker(func(rng *rand.Rand) {
		b, err := g.Ban(ctx, Ban{User: fmt.Sprint("user", rng.IntN(3)), Until: time.Now().Add(time.Hour)}, "")
		if err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Millisecond)
		if err := g.Unban(ctx, b.ID); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	})
	worker(func(rng *rand.Rand) {
		r, err := g.AddRule(ctx, blackout.Rule{Streams: []string{"g1"}, Where: blackout.Audience{Network: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}}}, false)
		if err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Millisecond)
		if err := g.EndRule(ctx, r.ID); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	})
	all.Wait()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		g.Sweep(func(*session.Session) bool { return true })
		seats, err := live.Seats(ctx, "", "", 100)
		n := len(g.sittings.sessions())
		if err == nil && n+len(seats) == 0 {
			break
		}
		if time.Now().After(until) {
			t.Errorf("%d sessions have connections still, and %d seats are taken: %v", n, len(seats), err)
			break
		}
	}
	t.Logf("%d parted, %d cut", parted.Load(), cut.Load())
	cancel()
	<-done
}
