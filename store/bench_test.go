package store

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"earshot/listen"
	"earshot/session"
)

// The load of the benchmarks: so many sessions, of which each gets an event every 30 s, in batches such as the
// recorder's group commit makes under pressure.
const (
	benchSessions = 50_000
	benchBatch    = 4_000
)

func benchEvent(i int) listen.Event {
	n := i % benchSessions
	t := int64(1_700_000_000_000) + int64(i)*30_000/benchSessions
	return listen.Event{
		ID: fmt.Sprintf("edge-1-lx3f9a2c-%d", i), FromMS: t - 30_000, TimeMS: t, Stream: fmt.Sprintf("news/%d", n%4),
		Bytes: 480_000, MediaMS: 30_000,
		Who: listen.Who{Key: session.Key{ID: session.ID(fmt.Sprintf("%08x%014x", uint32(n)*2654435761, n)), Group: "news"},
			Kind: session.HLS, IP: "203.0.113.77", Country: "DE", Edge: "edge-1",
			UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"},
	}
}

func benchFill(b *testing.B, s *SQLite, n int) {
	b.Helper()
	for done := 0; done < n; {
		events := make([]listen.Event, min(benchBatch, n-done))
		for i := range events {
			events[i] = benchEvent(done + i)
		}
		if _, err := s.Append(b.Context(), events); err != nil {
			b.Fatal(err)
		}
		done += len(events)
	}
}

// report gives rates by the wall clock, checkpoints and disk included, and the processor time one item takes.
func report(b *testing.B, what string, n int, cpu time.Duration) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), what+"/s")
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(n), "cpu-ns/"+what)
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Run with -benchtime 2000000x for a rate that a growing database sustains.
func BenchmarkAppend(b *testing.B) {
	s := fresh(b)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	benchFill(b, s, b.N)
	report(b, "events", b.N, cpu)
}

// One pass of the finaliser that finds nothing to do, over 50,000 live sessions of 10 events each.
func BenchmarkIdleScan(b *testing.B) {
	s := fresh(b)
	benchFill(b, s, benchSessions*10)
	cpu := cpuTime()
	for b.Loop() {
		keys, err := s.Idle(b.Context(), time.UnixMilli(1_700_000_000_000), session.Key{}, 1000)
		if err != nil || len(keys) != 0 {
			b.Fatal(len(keys), err)
		}
	}
	report(b, "passes", b.N, cpu)
}

// Finalise sessions of 120 events (an hour) each, 100 a transaction.
func BenchmarkFinalise(b *testing.B) {
	const hour, batch = 120, 100
	s := fresh(b)
	var events []listen.Event
	for i := range b.N {
		for j := range hour {
			e := benchEvent(i)
			e.ID, e.Who.Key.Group = fmt.Sprintf("e-%d-%d", i, j), fmt.Sprint("g", i/benchSessions)
			e.TimeMS += int64(j) * 30_000
			events = append(events, e)
		}
		if len(events) >= benchBatch || i == b.N-1 {
			if _, err := s.Append(b.Context(), events); err != nil {
				b.Fatal(err)
			}
			events = events[:0]
		}
	}
	b.ResetTimer()
	cpu, later := cpuTime(), time.UnixMilli(1<<42)
	for done := 0; done < b.N; {
		keys, err := s.Idle(b.Context(), later, session.Key{}, batch)
		if err != nil || len(keys) == 0 {
			b.Fatal(len(keys), err)
		}
		closing := make([]listen.Closing, len(keys))
		for i, k := range keys {
			closing[i] = listen.Closing{Key: k, Reason: listen.Idle}
		}
		if _, err := s.Finalise(b.Context(), closing, later, time.Minute, later); err != nil {
			b.Fatal(err)
		}
		done += len(keys)
	}
	report(b, "sessions", b.N, cpu)
}
