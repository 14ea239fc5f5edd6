package auth

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// shelf is a store in memory that keeps open removals, too.
type shelf struct {
	moody
	writes int
	opened map[int64]Removal
}

func (s *shelf) AddRemovals(ctx context.Context, all []Removal) error {
	if err := s.moody.AddRemovals(ctx, all); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for _, m := range all {
		if delete(s.opened, m.ID); m.Open {
			s.opened[m.ID] = m
		}
	}
	return nil
}

func (s *shelf) OpenRemovals(_ context.Context, after int64, limit int) (all []Removal, _ error) {
	if s.fails.Load() {
		return nil, errMoody
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.opened {
		if m.ID > after {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Removal) int { return int(a.ID - b.ID) })
	return all[:min(len(all), limit)], nil
}

// look reads what others write, too.
func (s *shelf) look(r *removals, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// pass lets time pass, and what is to happen then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// ticketed runs removals in a bubble.
func ticketed(t *testing.T, test func(t *testing.T, s *shelf, r *removals, start func(*removals), reg *prometheus.Registry, told map[string]int)) {
	synctest.Test(t, func(t *testing.T) {
		s, reg, told := &shelf{opened: map[int64]Removal{}}, prometheus.NewRegistry(), map[string]int{}
		r := newRemovals(s, func(_ context.Context, m *Removal) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			told[m.SessionID]++
			return nil
		}, (&logBook{}).logger(), NewMetrics(reg))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		test(t, s, r, func(r *removals) {
			go func() { defer close(ended); r.run(ctx) }()
		}, reg, told)
		cancel()
		<-ended
	})
}

// A session is in the store a second after it began, together with others; one that is over by then is written once.
func TestTicketsAreBatched(t *testing.T) {
	ticketed(t, func(t *testing.T, s *shelf, r *removals, start func(*removals), _ *prometheus.Registry, told map[string]int) {
		start(r)
		for i := range 100 {
			r.begin(Removal{SessionID: fmt.Sprint(i), Ticket: "t"})
			time.Sleep(time.Millisecond)
		}
		short := r.begin(Removal{SessionID: "short", Ticket: "t"})
		synctest.Wait()
		s.look(r, func() {
			if s.writes != 0 {
				t.Errorf("%d writes already", s.writes)
			}
		})
		pass(2 * openLag)
		s.look(r, func() {
			if s.writes != 1 || len(s.opened) != 101 {
				t.Errorf("%d writes of %d sessions", s.writes, len(s.opened))
			}
		})
		r.add(Removal{ID: short, SessionID: "short", Ticket: "t"})
		brief := r.begin(Removal{SessionID: "brief", Ticket: "t"})
		r.add(Removal{ID: brief, SessionID: "brief", Ticket: "t"})
		pass(2 * openLag)
		s.look(r, func() {
			if len(s.opened) != 100 || told["short"] != 1 || told["brief"] != 1 || len(s.all) != 0 {
				t.Errorf("%d are open, told %v", len(s.opened), told)
			}
		})
	})
}

// While the store fails what has begun waits, as much as there is room for, and is forgotten when it is over.
func TestTicketsAreBounded(t *testing.T) {
	ticketed(t, func(t *testing.T, s *shelf, r *removals, start func(*removals), reg *prometheus.Registry, told map[string]int) {
		s.fails.Store(true)
		r.room = 1000
		start(r)
		var ids []int64
		for i := range r.room + 3 {
			ids = append(ids, r.begin(Removal{SessionID: fmt.Sprint(i), Ticket: "t"}))
		}
		pass(time.Minute)
		s.look(r, func() {
			if n := count(t, reg, "earshot_auth_tickets_unkept_total"); n != 3 || len(r.open) != r.room {
				t.Errorf("%v are not kept, %d are", n, len(r.open))
			}
		})
		for i, id := range ids[:100] {
			r.add(Removal{ID: id, SessionID: fmt.Sprint(i), Ticket: "t"})
		}
		s.look(r, func() {
			if len(r.open) != r.room-100 {
				t.Errorf("%d are open", len(r.open))
			}
		})
		s.fails.Store(false)
		pass(10 * time.Minute)
		s.look(r, func() {
			if len(told) != 100 || len(s.opened) != r.room-100 || len(r.open) != 0 {
				t.Errorf("told of %d, %d are open, %d of them in memory", len(told), len(s.opened), len(r.open))
			}
		})
	})
}

// What an earlier process left is told of when it has waited, also what there was no room for in memory; though the store fails at the time.
func TestTicketsAreToldOf(t *testing.T) {
	ticketed(t, func(t *testing.T, s *shelf, r *removals, start func(*removals), _ *prometheus.Registry, told map[string]int) {
		const left = 3*openPage + 7
		for i := range left {
			r.begin(Removal{SessionID: fmt.Sprint(i), Group: "g", Ticket: "t"})
		}
		must(t, r.flush(t.Context()))
		pass(time.Second)
		next := newRemovals(s, r.tell, r.log, nil)
		next.idle, next.most = time.Minute, openPage
		must(t, next.restore(t.Context()))
		if len(next.waiting) != openPage {
			t.Fatalf("%d wait in memory", len(next.waiting))
		}
		start(next)
		next.resume(place{"3", "g"})
		next.begin(Removal{SessionID: "new", Ticket: "t"})
		pass(59 * time.Second)
		s.look(next, func() {
			if len(told) != 0 {
				t.Errorf("told of %d before their time", len(told))
			}
		})
		s.fails.Store(true)
		pass(time.Minute)
		s.fails.Store(false)
		pass(10 * time.Minute)
		s.look(next, func() {
			if len(told) != left-1 || told["3"] != 0 || told["new"] != 0 || len(next.held) != 1 || next.waiting != nil {
				t.Errorf("told of %d, want %d; %d are held", len(told), left-1, len(next.held))
			}
		})
		next.release(&Removal{SessionID: "3", Group: "g", At: time.Now()})
		pass(time.Minute)
		s.look(next, func() {
			for id, n := range told {
				if n != 1 {
					t.Errorf("told of %s %d times", id, n)
				}
			}
			if len(told) != left || len(next.held) != 0 || len(s.opened) != 1 {
				t.Errorf("told of %d, want %d; %d are held", len(told), left, len(next.held))
			}
		})
	})
}

// Where the backend counts questions it hears as many removals, for a session that it was asked about often.
func TestAskedAgain(t *testing.T) {
	for style, want := range map[string]int{"icecast": 1 + maxAlso, "json": 1} {
		store := &shelf{opened: map[int64]Removal{}}
		f := newFake(t, status(200))
		a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Style: style}, Removals: store})
		one := Removal{SessionID: "s", Group: "g", Ticket: "c=s"}
		one.ID = a.Begun(one)
		for range 2 * maxAlso {
			a.Also(Removal{SessionID: "s", Group: "g", Ticket: "c=s"})
		}
		one.At = time.Now()
		a.Ended(one)
		a.Ended(Removal{SessionID: "s", Group: "g", At: time.Now()}) // it was told already
		run(t, a)
		eventually(t, style, func() bool { return len(f.questions()) >= want && store.size() == 0 })
		if n := len(f.questions()); n != want {
			t.Errorf("%s: told %d times, want %d", style, n, want)
		}
	}
}
