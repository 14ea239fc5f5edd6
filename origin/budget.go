package origin

import "sync"

// budget bounds the retries that one origin's failures may cost the others: each first request of the origin pays in a fifth of a
// retry. So an origin that fails always adds a fifth to the load of those behind it, after a first burst.
type budget struct {
	mu     sync.Mutex
	fifths int
}

const (
	retryCosts  = 5      // fifths
	budgetBurst = 50 * 5 // fifths: what a budget begins with and never exceeds
)

func (b *budget) deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fifths = min(b.fifths+1, budgetBurst)
}

// withdraw pays for a retry, or refuses it.
func (b *budget) withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fifths < retryCosts {
		return false
	}
	b.fifths -= retryCosts
	return true
}
