package redislive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"earshot/session"
)

// TestWindow: it fills a long way, leaves little to wait where the way is short, and begins anew after a failure.
func TestWindow(t *testing.T) {
	const script = 3 * time.Millisecond
	for _, c := range []struct {
		way      time.Duration
		from, to int
	}{{0, windowLeast, 5}, {10 * time.Millisecond, 5, 12}, {50 * time.Millisecond, 14, windowMost}} {
		w := newWindow()
		for range 1000 {
			w.enter()
			w.leave(max(c.way+script, time.Duration(w.size)*script), true) // Redis runs one after the other
		}
		if w.size < c.from || w.size > c.to {
			t.Errorf("a way of %v: %d under way, want %d to %d", c.way, w.size, c.from, c.to)
		}
		w.enter()
		if w.leave(time.Second, false); w.size != windowFirst || w.under != 0 {
			t.Errorf("after a failure: %d of %d", w.under, w.size)
		}
	}
}

// TestFarRenewals: over a long way many exchanges are under way at once, and each answer is its own seat's.
func TestFarRenewals(t *testing.T) {
	t.Parallel()
	s, far := startServer(t), newWay(t)
	far.leadTo(s.addr())
	far.delay.Store(int64(25 * time.Millisecond))
	near := s.open(t, "far")
	table := openAt(t, Options{URL: "redis://" + far.addr(), Deployment: "far", Timeout: 10 * time.Second})
	all := make([]session.Renewal, 40*batch)
	for i := range all {
		c := seatClaim(fmt.Sprint(i))
		c.Seat.Uses = nil
		all[i] = session.Renewal{Key: c.Seat.Key, TTL: time.Hour}
		switch i % 40 {
		case 0:
			mustClaim(t, near, c, session.Held)
		case 1:
			if err := near.End(context.Background(), session.Ending{Key: c.Seat.Key, Reason: fmt.Sprint("why", i), For: time.Hour}); err != nil {
				t.Fatal(err)
			}
		case 2:
			all[i].Key.ID = "" // nobody has a seat without one
		}
	}
	st, err := table.Renew(context.Background(), "e", all)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range st {
		want := session.Standing{}
		switch i % 40 {
		case 0:
			want.State = session.Kept
		case 1:
			want = session.Standing{State: session.Over, Reason: fmt.Sprint("why", i)}
		}
		if got.State != want.State || got.Reason != want.Reason {
			t.Fatalf("%d: %+v, want %+v", i, got, want)
		}
	}
	if most := far.most.Load(); most < 4 || most > windowMost {
		t.Errorf("%d under way at once", most)
	}
}

// TestStuckRenewals: a Redis that stands still is asked by few of the many who renew, each for its timeout, and not by the rest.
func TestStuckRenewals(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	metrics := NewMetrics(prometheus.NewRegistry())
	table := openAt(t, Options{URL: s.url(), Metrics: metrics})
	all := make([]session.Renewal, 5*batch)
	for i := range all {
		all[i] = session.Renewal{Key: session.Key{ID: session.ID(fmt.Sprint(i)), Group: "g"}, TTL: time.Hour}
	}
	eventually(t, 20*time.Second, "Redis does not answer", func() bool { _, err := table.Renew(context.Background(), "e", all); return err == nil })
	before := metrics.asked(t)
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	var calls sync.WaitGroup
	for range 200 {
		calls.Go(func() {
			if _, err := table.Renew(context.Background(), "e", all); !errors.Is(err, session.ErrLive) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if asked := metrics.asked(t) - before; asked < 1 || asked > 3*windowMost {
		t.Errorf("it was asked %v times", asked)
	}
}

// asked is how many renewals were asked for in vain.
func (m *Metrics) asked(t *testing.T) float64 {
	var out dto.Metric
	if err := m.calls.WithLabelValues("renew", "error").(prometheus.Metric).Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue()
}

// BenchmarkFarSweep renews 20,000 seats in calls as the gate makes them, over ways of some length there and back, and says what 100,000 take.
func BenchmarkFarSweep(b *testing.B) {
	b.Run("server", func(b *testing.B) {
		s, far := startServer(b), newWay(b)
		far.leadTo(s.addr())
		sweepFar(b, "redis://"+far.addr(), []*way{far})
	})
	b.Run("cluster", func(b *testing.B) {
		var ways []*way
		for range 6 {
			ways = append(ways, newWay(b))
		}
		sweepFar(b, startClusterBehind(b, ways).url(), ways)
	})
}

func sweepFar(b *testing.B, url string, ways []*way) {
	const n, call, atOnce = 20_000, 500, 4
	table := openAt(b, Options{URL: url, Deployment: "bench", Timeout: 5 * time.Second})
	eventually(b, 20*time.Second, "nobody is let in", func() bool { _, err := table.Claim(context.Background(), benchClaim(1)); return err == nil })
	all := make([]session.Renewal, n)
	for i, k := range fill(b, table, n) {
		all[i] = session.Renewal{Key: k, TTL: time.Hour, Sighting: session.Sighting{Face: uint64(i + 1)}}
	}
	for _, trip := range []time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(fmt.Sprint(trip), func(b *testing.B) {
			for _, w := range ways {
				w.delay.Store(int64(trip / 2))
				w.most.Store(0)
			}
			table := openAt(b, Options{URL: url, Deployment: "bench", Timeout: 5 * time.Second}) // which knows no other way
			b.ResetTimer()
			for range b.N {
				var calls sync.WaitGroup
				turns := make(chan struct{}, atOnce)
				for i := 0; i < n; i += call {
					turns <- struct{}{}
					calls.Go(func() {
						defer func() { <-turns }()
						if _, err := table.Renew(context.Background(), "edge-1", all[i:i+call]); err != nil {
							b.Error(err)
						}
					})
				}
				calls.Wait()
			}
			var most int64
			for _, w := range ways {
				most = max(most, w.most.Load())
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*100_000/n, "s/100000")
			b.ReportMetric(float64(most), "at-once")
		})
	}
}
