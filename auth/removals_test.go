package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// moody is a store that can be made to fail.
type moody struct {
	inMemory
	fails atomic.Bool
}

var errMoody = errors.New("the disk is full")

func (m *moody) AddRemovals(ctx context.Context, all []Removal) error {
	if m.fails.Load() {
		return errMoody
	}
	return m.inMemory.AddRemovals(ctx, all)
}

func (m *moody) DueRemovals(ctx context.Context, now time.Time, limit int) ([]Removal, error) {
	if m.fails.Load() {
		return nil, errMoody
	}
	return m.inMemory.DueRemovals(ctx, now, limit)
}

func (m *moody) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

func sessionsOf(t *testing.T, asked []string) map[string]int {
	seen := map[string]int{}
	for _, s := range asked {
		var q jsonQuestion
		must(t, json.Unmarshal([]byte(s), &q))
		seen[q.SessionID]++
	}
	return seen
}

// Removals outlive a backend that is away, and the process.
func TestRemovalsSurvive(t *testing.T) {
	store := &moody{}
	f := newFake(t, status(503))
	opt := Options{Callback: &Callback{URL: f.URL}, Removals: store}
	first, err := New(opt)
	must(t, err)
	stop := run(t, first)
	const n = 100
	for i := range n / 2 {
		first.Removed(Removal{SessionID: fmt.Sprint(i)})
	}
	eventually(t, "an attempt", func() bool { return len(f.questions()) > 0 })
	stop()
	for i := n / 2; i < n; i++ { // after Run, before Close: what the edge's shutting down ends
		first.Removed(Removal{SessionID: fmt.Sprint(i)})
	}
	first.Close()
	if store.size() != n {
		t.Fatalf("%d are kept", store.size())
	}
	back := newFake(t, status(200))
	opt.Callback.URL = back.URL
	store.mu.Lock()
	for id, r := range store.all { // as if the time of those that were tried had come
		r.Next = time.Now()
		store.all[id] = r
	}
	store.mu.Unlock()
	run(t, newAuth(t, opt))
	eventually(t, "all are told", func() bool { return store.size() == 0 })
	told := sessionsOf(t, back.questions())
	for i := range n {
		if told[fmt.Sprint(i)] != 1 {
			t.Errorf("%d was told %d times", i, told[fmt.Sprint(i)])
		}
	}
}

// While the store fails removals wait in memory, as many as there is room for; the others are counted. Nobody who hands one in waits.
func TestStoreFails(t *testing.T) {
	store := &moody{}
	store.fails.Store(true)
	f := newFake(t, status(200))
	reg := prometheus.NewRegistry()
	var book logBook
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL}, Removals: store, Metrics: NewMetrics(reg), Log: book.logger()})
	stop := run(t, a)
	began := time.Now()
	for i := range maxRemovals + 10 {
		a.Removed(Removal{SessionID: fmt.Sprint(i)})
	}
	if d := time.Since(began); d > time.Minute { // had each waited for the store, it would be hours
		t.Errorf("it took %v", d)
	}
	if lost, waiting := count(t, reg, "earshot_auth_removals_lost_total"), count(t, reg, "earshot_auth_removals_waiting"); lost != 10 || waiting != maxRemovals {
		t.Errorf("%v lost, %v waiting", lost, waiting)
	}
	store.fails.Store(false)
	stop()
	if n := store.size(); n+len(f.questions()) < maxRemovals {
		t.Errorf("%d are kept", n)
	}
}

// What cannot be delivered is tried again, less and less often, and given up after seven days.
func TestRemovalsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moody{}
		reg := prometheus.NewRegistry()
		var mu sync.Mutex
		var tries []time.Time
		r := newRemovals(store, func(context.Context, *Removal) error {
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, time.Now())
			return errors.New("away")
		}, (&logBook{}).logger(), NewMetrics(reg))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()
		began := time.Now()
		r.add(Removal{SessionID: "s"})
		time.Sleep(removalLife - time.Hour)
		mu.Lock()
		if n := len(tries); n < int((removalLife-time.Hour)/removalLast)*8/10 || n > int(removalLife/removalLast)*3/2 || store.size() != 1 {
			t.Errorf("%d tries", n)
		}
		if first := tries[0].Sub(began); first > time.Second {
			t.Errorf("first tried after %v", first)
		}
		if second := tries[1].Sub(began); second > 15*time.Second {
			t.Errorf("tried again after %v", second)
		}
		mu.Unlock()
		time.Sleep(2 * time.Hour)
		if n := count(t, reg, "earshot_auth_removals_lost_total"); n != 1 || store.size() != 0 {
			t.Errorf("%v given up, %d kept", n, store.size())
		}
		cancel()
		<-done
	})
}

// One that the backend cannot stand does not keep it from the others.
func TestOneBadRemoval(t *testing.T) {
	var bad atomic.Int32
	store := &moody{}
	f := newFake(t, nil)
	f.says(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }) // which it was told
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL}, Removals: store})
	tell := a.removals.tell
	a.removals.tell = func(ctx context.Context, r *Removal) error {
		if r.SessionID == "bad" {
			bad.Add(1)
			return errors.New("500")
		}
		return tell(ctx, r)
	}
	a.Removed(Removal{SessionID: "bad"})
	for i := range 200 {
		a.Removed(Removal{SessionID: fmt.Sprint(i)})
	}
	run(t, a)
	eventually(t, "all others", func() bool { return store.size() == 1 })
	if n := bad.Load(); n != 1 {
		t.Errorf("tried %d times", n)
	}
	if n := len(f.questions()); n != 200 {
		t.Errorf("%d told", n)
	}
}

func TestInMemoryIsBounded(t *testing.T) {
	s := &inMemory{}
	all := make([]Removal, maxRemovals)
	for i := range all {
		all[i].ID = int64(i + 1)
	}
	must(t, s.AddRemovals(t.Context(), all))
	if err := s.AddRemovals(t.Context(), make([]Removal, 1)); !errors.Is(err, errFull) {
		t.Error(err)
	}
}
