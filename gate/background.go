package gate

import "sync"

// background is what goes on that nobody waits for until the end. A WaitGroup would not do: listeners may still come while the end is waited for.
type background struct {
	mu   sync.Mutex
	n    int
	none sync.Cond
}

func (b *background) init() { b.none.L = &b.mu }

// Go has something go on.
func (b *background) Go(do func()) {
	b.mu.Lock()
	b.n++
	b.mu.Unlock()
	go func() {
		defer b.done()
		do()
	}()
}

func (b *background) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n--; b.n == 0 {
		b.none.Broadcast()
	}
}

// Wait returns when nothing goes on.
func (b *background) Wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.n > 0 {
		b.none.Wait()
	}
}
