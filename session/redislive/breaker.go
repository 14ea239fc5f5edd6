package redislive

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// breaker has calls fail at once for a while after one found that Redis cannot be reached. Then one call at a time tries, as it is; the first that is
// answered ends it. So a listener waits for the timeout at most about once a second, and most do not at all.
type breaker struct {
	log     *slog.Logger
	metrics *Metrics

	mu     sync.Mutex
	down   error     // what the last call found; nil: all is well
	until  time.Time // nobody tries before
	trying bool      // somebody does
}

// Calls fail at once for between pause and twice that: edges do not come back in step.
const pause = 500 * time.Millisecond

var errUnasked = errors.New("not asked: a moment ago it failed")

// enter asks to go in. Who may must leave, or abandon.
func (b *breaker) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down == nil {
		return nil
	}
	if b.trying || time.Now().Before(b.until) {
		return errUnasked
	}
	b.trying = true
	return nil
}

// leave says how it went.
func (b *breaker) leave(err error) {
	b.mu.Lock()
	was := b.down
	b.down, b.trying = err, false
	if err != nil {
		b.until = time.Now().Add(pause + rand.N(pause))
	}
	b.mu.Unlock()
	switch {
	case was == nil && err != nil:
		b.metrics.reachable(false)
		b.log.Error("the live table cannot be reached", "err", err)
	case was != nil && err == nil:
		b.metrics.reachable(true)
		b.log.Info("the live table can be reached again")
	}
}

// abandon says that nothing was found out.
func (b *breaker) abandon() {
	b.mu.Lock()
	b.trying = false
	b.mu.Unlock()
}

// answered reports whether an error came from a Redis that works: it is not out of reach, it objects. One that lets nobody in, or takes no writes, is as good as none.
func answered(err error) bool {
	var e redis.Error
	if !errors.As(err, &e) {
		return errors.Is(err, errReply)
	}
	for _, prefix := range []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "TRYAGAIN", "BUSY ", "MOVED", "ASK",
		"NOAUTH", "WRONGPASS", "NOPERM", "OOM", "MISCONF", "ERR AUTH", "ERR Protocol error", "ERR max number of clients"} {
		if strings.HasPrefix(e.Error(), prefix) {
			return false
		}
	}
	return true
}
