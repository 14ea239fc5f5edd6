package gate

import (
	"net/netip"
	"sync"
	"time"
)

// rates limits new sessions per address. It holds two generations of addresses: those seen since the last turn, and those of the
// turn before; who is in neither has been away long enough to start afresh. Its memory is bounded by maxAddresses.
type rates struct {
	perSecond float64

	mu       sync.Mutex
	turned   time.Time
	now, old map[netip.Addr]bucket
}

// bucket is a token bucket of perSecond tokens, refilled at perSecond.
type bucket struct {
	tokens float64
	at     time.Time
}

const (
	rateTurn     = 2 * time.Second // a bucket untouched for this long is full again
	maxAddresses = 1 << 17
)

func newRates(perSecond int) *rates {
	return &rates{perSecond: float64(perSecond), now: make(map[netip.Addr]bucket)}
}

// take takes one token of the address, or tells how long to wait for one.
func (r *rates) take(a netip.Addr, now time.Time) (wait time.Duration) {
	if r.perSecond <= 0 {
		return 0
	}
	a = Address(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) >= rateTurn || len(r.now) >= maxAddresses {
		r.old, r.now, r.turned = r.now, make(map[netip.Addr]bucket), now
	}
	b, ok := r.now[a]
	if !ok {
		b, ok = r.old[a]
	}
	if !ok {
		b = bucket{r.perSecond, now}
	}
	b.tokens = min(r.perSecond, b.tokens+now.Sub(b.at).Seconds()*r.perSecond)
	b.at = now
	if b.tokens < 1 {
		wait = time.Duration((1 - b.tokens) / r.perSecond * float64(time.Second))
	} else {
		b.tokens--
	}
	r.now[a] = b
	return wait
}
