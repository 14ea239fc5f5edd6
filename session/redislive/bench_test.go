package redislive

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/session"
)

const benchAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

// benchClaim is a listener like any other: a user under his limit, on one of a hundred streams under theirs.
func benchClaim(i int) *session.Claim {
	user := fmt.Sprint("user-", i)
	address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return &session.Claim{TTL: time.Hour, Policy: session.Reject, Silence: time.Minute, Seat: session.Seat{
		Key: session.Key{ID: session.NewID(), Group: fmt.Sprint("stream-", i%100)}, Kind: session.HLS, Edge: "edge-1", UserID: user, DeviceID: "tv",
		Address: address, Agent: benchAgent, Owner: user + "\x00tv",
		Uses: []session.Use{{Name: "user=" + user, Max: 3}, {Name: fmt.Sprint("stream=stream-", i%100), Max: 5000}}}}
}

// fill seats that many.
func fill(b *testing.B, table *Table, n int) []session.Key {
	b.Helper()
	keys := make([]session.Key, n)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				c := benchClaim(i)
				keys[i] = c.Seat.Key
				if a, err := table.Claim(context.Background(), c); err != nil || a.Outcome != session.Held {
					b.Errorf("%+v %v", a, err)
					return
				}
			}
		})
	}
	all.Wait()
	return keys
}

// info is a number that Redis tells of itself.
func (s *server) info(name string) float64 {
	for line := range strings.Lines(s.ask.Info(context.Background()).Val()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			f, _ := strconv.ParseFloat(v, 64)
			return f
		}
	}
	return 0
}

// BenchmarkAdmission is one admission after the other, with 10,000 seats there.
func BenchmarkAdmission(b *testing.B) {
	s := startServer(b)
	table := s.open(b, "bench")
	fill(b, table, 10_000)
	took := make([]time.Duration, 0, b.N)
	cpu := s.info("used_cpu_user") + s.info("used_cpu_sys")
	b.ResetTimer()
	b.ReportAllocs()
	for i := range b.N {
		begun := time.Now()
		if _, err := table.Claim(context.Background(), benchClaim(10_000+i%300_000)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	b.StopTimer()
	cpu = s.info("used_cpu_user") + s.info("used_cpu_sys") - cpu
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(cpu/float64(b.N)*1e6, "redis-cpu-µs")
}

// BenchmarkSweep renews 100,000 seats, with a sighting each, while another edge admits now and then.
func BenchmarkSweep(b *testing.B) {
	const n = 100_000
	s := startServer(b)
	table, other := s.open(b, "bench"), s.open(b, "bench")
	before := s.info("used_memory")
	keys := fill(b, table, n)
	seat := (s.info("used_memory") - before) / n
	all := make([]session.Renewal, n)
	for i, k := range keys {
		all[i] = session.Renewal{Key: k, TTL: time.Hour, Sighting: session.Sighting{Face: uint64(i + 1), Pieces: []uint64{1, 2, 3, 4}}}
	}
	stop := make(chan struct{})
	var worst time.Duration
	var took []time.Duration
	var admitting sync.WaitGroup
	admitting.Go(func() {
		for i := n; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			begun := time.Now()
			if _, err := other.Claim(context.Background(), benchClaim(i)); err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(begun))
			worst = max(worst, took[len(took)-1])
		}
	})
	cpu := s.info("used_cpu_user") + s.info("used_cpu_sys")
	b.ResetTimer()
	for range b.N {
		st, err := table.Renew(context.Background(), "edge-1", all)
		if err != nil || st[n-1].State != session.Kept {
			b.Fatalf("%+v %v", st[n-1], err)
		}
	}
	b.StopTimer()
	close(stop)
	admitting.Wait()
	cpu = s.info("used_cpu_user") + s.info("used_cpu_sys") - cpu
	slices.Sort(took)
	b.ReportMetric(cpu/float64(b.N), "redis-cpu-s/sweep")
	b.ReportMetric(seat, "B/seat")
	b.ReportMetric((s.info("used_memory")-before)/n, "B/seat-seen")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "claim-p99-µs")
	b.ReportMetric(float64(worst.Microseconds()), "claim-worst-µs")
}
