package origin

import (
	"context"
	"sync"
)

// places bounds how many playlists are fetched at a time within a scope, so that one stream's listeners cannot take the places of another's.
type places struct {
	each int

	mu sync.Mutex
	of map[string]*place // by scope; only those in use
}

type place struct {
	taken chan struct{}
	users int
}

func newPlaces(each int) *places { return &places{each: each, of: make(map[string]*place)} }

// enter waits for a place in the scope. leave gives it back; it is nil when ctx is done first.
func (p *places) enter(ctx context.Context, scope string) (leave func()) {
	p.mu.Lock()
	at := p.of[scope]
	if at == nil {
		at = &place{taken: make(chan struct{}, p.each)}
		p.of[scope] = at
	}
	at.users++
	p.mu.Unlock()
	select {
	case at.taken <- struct{}{}:
		return func() {
			<-at.taken
			p.part(scope, at)
		}
	case <-ctx.Done():
		p.part(scope, at)
		return nil
	}
}

func (p *places) part(scope string, at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.users--; at.users == 0 {
		delete(p.of, scope)
	}
}
