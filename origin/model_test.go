package origin

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/origin/blob"
)

// The model: things at an origin that change, fail and break as chance has it, and listeners who ask for them in every way and leave when they
// like, in made-up time. Whatever they get must be what the origin had, and not too long ago; and when all is over nothing is left behind.

var (
	modelSeed   = flag.Uint64("model.seed", 0, "of the one round of TestModel to run; 0: several")
	modelRounds = flag.Int("model.rounds", 0, "of TestModel; 0: as many as take seconds")
)

// frugal checks that nothing was fetched while what was there was fresh.
func (m *model) frugal() {
	last := map[string]time.Time{}
	for _, f := range m.fetches {
		lifetime := f.target.lifetime
		if f.target.playlist {
			lifetime = modelTarget / 2
		}
		if before, ok := last[f.key]; ok && !f.target.alone && f.arrived.Before(before.Add(lifetime-tolerance)) {
			m.t.Errorf("%s was fetched again after %v, and is fresh for %v", f.key, f.arrived.Sub(before), lifetime)
		}
		if f.done {
			last[f.key] = f.headed
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 2))
		room, err := blob.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		disks := []int64{0, 1 << 20, 8 << 20}
		m := newModel(t, seed, Options{Room: room, Disk: disks[r.IntN(3)], Log: nil}, []int64{300_000, 1 << 20, 9 << 20}[r.IntN(3)])
		done := make(chan struct{})
		var listeners, changes sync.WaitGroup
		for i := range 30 {
			listeners.Go(func() { m.listen(rand.New(rand.NewPCG(seed, uint64(100+i))), 25) })
		}
		changes.Go(func() { m.change(done) })
		listeners.Wait()
		close(done)
		changes.Wait()
		after(time.Minute) // what goes on without anybody
		if err := m.c.cache.audit(); err != nil {
			t.Error(err)
		}
		if m.calm {
			m.frugal()
		}
		m.c.Close()
		empty(t, m.c)
		if t.Failed() {
			t.Logf("run it again: go test ./origin -run TestModel -model.seed=%d", seed)
		}
	})
}

// TestModel runs the model. -model.rounds=1000 looks harder.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		runModel(t, *modelSeed)
		return
	}
	rounds := 20
	if testing.Short() {
		rounds = 6
	}
	if *modelRounds > 0 {
		rounds = *modelRounds
	}
	first := uint64(time.Now().UnixNano()) &^ 3
	t.Logf("seeds from %d", first)
	for i := range rounds {
		if runModel(t, first+uint64(i)); t.Failed() {
			return
		}
	}
}
