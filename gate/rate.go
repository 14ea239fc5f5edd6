package gate

import (
	"net/netip"
	"sync"
	"time"
)

// rates limits something per address: new sessions, or what does not hold. It holds two generations of addresses: those seen since the last turn, and those of the
// turn before; who is in neither has been away long enough to start afresh. Its memory is bounded by maxAddresses.
type rates struct {
	perSecond, burst float64       // none per second: no limit
	turn             time.Duration // a bucket untouched for this long is full again

	mu       sync.Mutex
	turned   time.Time
	now, old map[netip.Addr]bucket
}

// bucket is a token bucket of burst tokens, refilled at perSecond.
type bucket struct {
	tokens float64
	at     time.Time
}

const maxAddresses = 1 << 17

func newRates(perSecond, burst int) *rates {
	r := &rates{perSecond: float64(perSecond), burst: float64(burst), turn: 2 * time.Second, now: make(map[netip.Addr]bucket)}
	if perSecond > 0 {
		r.turn = max(r.turn, time.Duration(burst/perSecond+1)*time.Second)
	}
	return r
}

// take takes one token of the address, or tells how long to wait for one.
func (r *rates) take(a netip.Addr, now time.Time) (wait time.Duration) {
	if r.perSecond <= 0 {
		return 0
	}
	a = Address(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) >= r.turn || len(r.now) >= maxAddresses {
		r.old, r.now, r.turned = r.now, make(map[netip.Addr]bucket), now
	}
	b := r.at(a, now)
	if wait = r.lacks(b); wait == 0 {
		b.tokens--
	}
	r.now[a] = b
	return wait
}

// wait is how long until there is a token for the address, and takes none.
func (r *rates) wait(a netip.Addr, now time.Time) time.Duration {
	if r.perSecond <= 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lacks(r.at(Address(a), now))
}

// give gives a token back that was taken a moment ago.
func (r *rates) give(a netip.Addr) {
	a = Address(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.now[a]; ok {
		b.tokens = min(r.burst, b.tokens+1)
		r.now[a] = b
	}
}

// at is an address's bucket as it is now. The caller holds mu.
func (r *rates) at(a netip.Addr, now time.Time) bucket {
	b, ok := r.now[a]
	if !ok {
		b, ok = r.old[a]
	}
	if !ok {
		return bucket{r.burst, now}
	}
	return bucket{min(r.burst, b.tokens+now.Sub(b.at).Seconds()*r.perSecond), now}
}

// lacks is how long until a bucket has a token.
func (r *rates) lacks(b bucket) time.Duration {
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1 - b.tokens) / r.perSecond * float64(time.Second))
}
