package gate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"earshot/session"
)

func value(t testing.TB, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// crowded is a gate with so many sessions under a limit.
func crowded(tb testing.TB, n int) (*Gate, []*session.Session) {
	tb.Helper()
	g := New(Options{Table: session.NewTable(n + 10), Limits: perUser(3), SeatTTL: time.Hour})
	all := make([]*session.Session, n)
	for i := range all {
		r := &Request{Key: session.Key{ID: session.NewID(), Group: "news"}, Kind: session.HLS,
			Listener: session.Listener{Address: (&player{address: home}).at(), Agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120"}}
		r.Identity.User = fmt.Sprint("user", i)
		v := g.Admit(context.Background(), r)
		if v.Action != Allow {
			tb.Fatal(v.Code, v.Detail)
		}
		all[i] = v.Session
	}
	return g, all
}

// TestRenewAllocatesNothing: what every segment costs.
func TestRenewAllocatesNothing(t *testing.T) {
	g, all := crowded(t, 10)
	l := all[3].Listener()
	v := Visit{Address: l.Address, Agent: l.Agent, Piece: 7}
	if n := testing.AllocsPerRun(1000, func() {
		if g.Renew(context.Background(), all[3], v).Action != Allow {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRenew is what a segment costs at the gate, in turn for each of 100,000 sessions, so that nothing of them is in the processor's cache; then with finding the
// session, by a key that is not there either.
func BenchmarkRenew(b *testing.B) {
	g, all := crowded(b, 100_000)
	l := all[0].Listener()
	v := Visit{Address: l.Address, Agent: l.Agent, Piece: 7}
	for _, found := range []bool{true, false} {
		b.Run(fmt.Sprintf("found=%v", found), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s := all[i]
				if !found {
					s, _ = g.Live(s.Key)
				}
				if g.Renew(context.Background(), s, v).Action != Allow {
					b.Fatal("refused")
				}
				i = (i + 7919) % len(all)
			}
		})
	}
}

// BenchmarkSweep renews 100,000 seats, as the ticker does three times within seat_ttl.
func BenchmarkSweep(b *testing.B) {
	g, _ := crowded(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		g.renewAll(context.Background())
	}
}

// BenchmarkAdmit is a session with a seat, and its release.
func BenchmarkAdmit(b *testing.B) {
	g, _ := crowded(b, 10_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := &Request{Key: session.Key{ID: session.ID(fmt.Sprint(i)), Group: "news"}, Kind: session.HLS}
		r.Identity.User = fmt.Sprint("user", i%1000)
		v := g.Admit(context.Background(), r)
		if v.Action != Allow || !v.Session.Lease.Seated {
			b.Fatal(v.Code, v.Detail)
		}
		g.Release(v.Session.Key)
		g.background.Wait() // for the seat
		i++
	}
}
