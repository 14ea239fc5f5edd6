package gate

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/session"
)

// broken is a live table that cannot be reached while down is set, as one behind a network is.
type broken struct {
	session.Live
	down   atomic.Bool
	claims atomic.Int64
}

func (b *broken) err() error {
	if !b.down.Load() {
		return nil
	}
	return fmt.Errorf("%w: down", session.ErrLive)
}

func (b *broken) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	b.claims.Add(1)
	if err := b.err(); err != nil {
		return session.Answer{}, err
	}
	return b.Live.Claim(ctx, c)
}

func (b *broken) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.Live.Renew(ctx, edge, all)
}

func (b *broken) Release(ctx context.Context, edge string, keys ...session.Key) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Live.Release(ctx, edge, keys...)
}

func (b *broken) Board(ctx context.Context) ([]session.Note, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.Live.Board(ctx)
}

func (b *broken) Post(ctx context.Context, n session.Note) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Live.Post(ctx, n)
}

// TestDegraded: the live table is gone for five minutes. What happens then is the policy's to say, and when it is back
// it knows who listens, without being asked more often than there are sessions.
func TestDegraded(t *testing.T) {
	for _, policy := range []LiveError{LiveAllow, LiveDeny, LiveLast} {
		t.Run(string(policy), func(t *testing.T) {
			table := session.NewTable(1000)
			metrics := NewMetrics(prometheus.NewRegistry(), table)
			live := &broken{Live: session.NewMemory(1000)}
			door(t, Options{Table: table, Many: true, Live: live, Limits: perUser(2), OnLiveError: policy, Metrics: metrics}, func(r *rig) {
				var old []*player
				for i := range 50 {
					p := r.player(fmt.Sprint("user", i), "tv", home, "TV")
					r.want(p.start("news"), "")
					old = append(old, p)
				}
				radio, v := r.player("radio", "car", phone, "Radio").connect("kpcc")
				r.want(v, "")
				live.down.Store(true)
				code := map[LiveError]Code{LiveDeny: EdgeFull}[policy]
				for round := range 30 {
					flow(10*time.Second, radio)
					for i, p := range old {
						v := p.next(round)
						if policy != LiveDeny {
							r.want(v, "")
						} else if i == 0 && round > 8 {
							r.want(v, EdgeFull)
						}
					}
				}
				third := r.player("user0", "phone", phone, "Phone")
				r.want(third.start("news"), code)
				if policy == LiveLast { // this edge knows of two of user0's sessions now
					r.want(r.player("user0", "tablet", phone, "Tablet").start("news"), TooManySessions)
				}
				if n := counted(t, metrics, policy); n == 0 {
					t.Error("no decision was counted as degraded")
				}
				if policy == LiveDeny {
					return
				}
				live.down.Store(false)
				live.claims.Store(0)
				flow(time.Minute, radio)
				for i, p := range old {
					r.want(p.next(100+i), "")
				}
				third.next(1)
				flow(25*time.Second, radio)
				usage, err := r.Usage(r.t.Context(), "", 100)
				if err != nil || len(usage) != 51 {
					t.Errorf("%d users count when it is back, %v", len(usage), err)
				}
				if n := live.claims.Load(); n > 2*52 {
					t.Errorf("%d claims for 52 sessions", n)
				}
				r.want(r.player("user0", "tablet", phone, "Tablet").start("news"), TooManySessions)
				if radio.cut.Load() != nil {
					t.Error("the connection was cut")
				}
			})
		})
	}
}

func counted(t *testing.T, m *Metrics, p LiveError) float64 {
	t.Helper()
	c, err := m.degradations.GetMetricWithLabelValues(string(p))
	if err != nil {
		t.Fatal(err)
	}
	return value(t, c)
}

// TestBanWhileDegraded: a ban holds here at once, and is told to the others when they can be told.
func TestBanWhileDegraded(t *testing.T) {
	live := &broken{Live: session.NewMemory(1000)}
	door(t, Options{Many: true, Live: live}, func(r *rig) {
		live.down.Store(true)
		ann := r.player("ann", "tv", home, "TV")
		r.want(ann.start("news"), "")
		if _, err := r.Ban(r.t.Context(), Ban{User: "ann", Until: time.Now().Add(time.Hour)}, ""); err != nil {
			r.t.Fatal(err)
		}
		r.want(ann.next(1), Banned)
		live.down.Store(false)
		time.Sleep(time.Minute)
		notes, err := live.Live.Board(r.t.Context())
		if err != nil || len(notes) != 2 || notes[0].Kind != banNote {
			t.Errorf("on the board: %+v, %v", notes, err)
		}
		r.want(ann.next(2), Banned)
	})
}
