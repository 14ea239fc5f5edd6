package session

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

const many = 100_000

// listener is a seat as the gate asks for it: two limits of his own, one of his stream, one of the edge.
func listener(i int) *Claim {
	user := fmt.Sprintf("user-%06d", i)
	return &Claim{TTL: time.Minute, Policy: EndOldest, Silence: 20 * time.Second, Cooldown: time.Minute, Sentence: time.Minute,
		Seat: Seat{Key: Key{NewID(), "news"}, Kind: HLS, Edge: "edge-1", UserID: user, DeviceID: fmt.Sprintf("device-%06d", i), DeviceType: "stb",
			Address: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Agent: fmt.Sprintf("player/%d", i%50),
			Owner: user + fmt.Sprintf("\x00device-%06d", i), Uses: []Use{{"user=" + user, 3}, {fmt.Sprint("stream=", i%100), many}, {"edge=edge-1", many}}}}
}

func crowd(b *testing.B, m *Memory) []Renewal {
	all := make([]Renewal, many)
	for i := range all {
		c := listener(i)
		held(b, m, c)
		all[i] = Renewal{Key: c.Seat.Key, TTL: time.Minute}
	}
	return all
}

func BenchmarkMemoryRenew(b *testing.B) {
	for _, sighted := range []bool{false, true} {
		b.Run(fmt.Sprintf("sighted=%v", sighted), func(b *testing.B) {
			m := NewMemory(many)
			all := crowd(b, m)
			for i := range all {
				if sighted {
					all[i].Sighting = Sighting{Face: 1, Pieces: []uint64{1, 2, 3}}
				}
			}
			m.Renew(context.Background(), "edge-1", all)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Renew(context.Background(), "edge-1", all); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many, "ns/seat")
		})
	}
}

// BenchmarkMemoryClaim is of a claim among 100,000 seats: of one's own seat again, of a new one and its release, and of one refused.
func BenchmarkMemoryClaim(b *testing.B) {
	m := NewMemory(2 * many)
	crowd(b, m)
	ctx := context.Background()
	again, fresh, refused := listener(many), listener(many+1), listener(many+2)
	again.Seat.Uses, fresh.Seat.Uses[1].Max, fresh.Seat.Uses[2].Max = nil, 2*many, 2*many
	refused.Policy = Reject
	held(b, m, again)
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Claim(ctx, again)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Claim(ctx, fresh)
			m.Release(ctx, "", fresh.Seat.Key)
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if a, err := m.Claim(ctx, refused); err != nil || a.Outcome != Refused {
				b.Fatal(a, err)
			}
		}
	})
}

// BenchmarkMemorySeats measures what 100,000 seats take, with the strings that are theirs alone.
func BenchmarkMemorySeats(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := NewMemory(many)
		for i := range many {
			held(b, m, listener(i))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/seat")
		runtime.KeepAlive(m)
	}
}

// BenchmarkMemorySweep is of 100,000 seats that were all renewed, and of as many that have all expired.
func BenchmarkMemorySweep(b *testing.B) {
	for _, expired := range []bool{false, true} {
		b.Run(fmt.Sprintf("expired=%v", expired), func(b *testing.B) {
			var longest time.Duration
			for b.Loop() {
				b.StopTimer()
				m := NewMemory(many)
				all := crowd(b, m)
				now := time.Now().UnixMilli() + time.Minute.Milliseconds() + 1
				if !expired {
					for i := range all {
						all[i].TTL = time.Hour
					}
					m.Renew(context.Background(), "edge-1", all)
				}
				b.StartTimer()
				for done := false; !done; {
					began := time.Now()
					m.mu.Lock()
					done = m.sweep(now)
					m.mu.Unlock()
					longest = max(longest, time.Since(began))
				}
				b.StopTimer()
				if n := map[bool]int{true: 0, false: many}[expired]; m.n != n {
					b.Fatalf("%d seats are left, want %d", m.n, n)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(longest.Microseconds()), "µs-locked")
		})
	}
}
