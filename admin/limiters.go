package admin

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiters holds a token bucket per key, as two generations: those asked for since the last turn, and those of the turn before. A bucket
// that is in neither has had the time to fill up. Its memory is bounded: beyond maxLimiters keys a generation turns early, and who was
// in neither starts afresh.
type limiters[K comparable] struct {
	rate  rate.Limit
	burst int

	mu       sync.Mutex
	turned   time.Time
	now, old map[K]*rate.Limiter
}

const maxLimiters = 1 << 15

func newLimiters[K comparable](perSecond rate.Limit, burst int) *limiters[K] {
	return &limiters[K]{rate: perSecond, burst: burst, now: make(map[K]*rate.Limiter)}
}

// take takes one token of the key, or tells how long to wait for one.
func (l *limiters[K]) take(k K) (wait time.Duration) {
	now := time.Now()
	r := l.of(k, now).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *limiters[K]) of(k K, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full := time.Duration(float64(l.burst) / float64(l.rate) * float64(time.Second)); now.Sub(l.turned) >= full || len(l.now) >= maxLimiters {
		l.old, l.now, l.turned = l.now, make(map[K]*rate.Limiter), now
	}
	one, ok := l.now[k]
	if !ok {
		one, ok = l.old[k]
	}
	if !ok {
		one = rate.NewLimiter(l.rate, l.burst)
	}
	l.now[k] = one
	return one
}
