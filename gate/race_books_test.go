package gate

import (
	"sync"
	"testing"

	"earshot/session"
)

// books are what a test knows of limits by itself: of each, how many seats are surely taken, and how many may be.
type books struct {
	t  *testing.T
	mu sync.Mutex
	of map[string]*book
}

type book struct {
	max    int
	surely int            // were granted, and nobody has begun to give them back
	maybe  int            // these, and those that are asked for, or whose return has not been confirmed
	others map[string]int // of who asks: the most seats that others may have had at one moment since he began to ask
}

func (b *books) each(uses []session.Use, do func(*book, session.Use)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range uses {
		if b.of[u.Name] == nil {
			b.of[u.Name] = &book{max: u.Max, others: make(map[string]int)}
		}
		do(b.of[u.Name], u)
	}
}

// asks is called before somebody asks for a seat.
func (b *books) asks(who string, uses []session.Use) {
	b.each(uses, func(k *book, _ session.Use) {
		for other, most := range k.others {
			k.others[other] = max(most, k.maybe)
		}
		k.others[who] = k.maybe
		k.maybe++
	})
}

// granted is called when he has got it.
func (b *books) granted(who string, uses []session.Use) {
	b.each(uses, func(k *book, u session.Use) {
		delete(k.others, who)
		if k.surely++; k.surely > k.max {
			b.t.Errorf("%s is given a seat under %q, which is full: %d of %d", who, u.Name, k.surely-1, k.max)
		}
	})
}

// refused is called when he has not. At some moment since he asked, others must have been able to fill a limit of his.
func (b *books) refused(who string, uses []session.Use) {
	excused := false
	b.each(uses, func(k *book, u session.Use) {
		excused = excused || k.others[who] >= k.max
		delete(k.others, who)
		k.maybe--
	})
	if !excused {
		b.t.Errorf("%s is refused, and under each of %v a seat was free", who, uses)
	}
}

// leaves is called before a seat is given back, and left when it surely has been.
func (b *books) leaves(uses []session.Use) {
	b.each(uses, func(k *book, _ session.Use) { k.surely-- })
}

func (b *books) left(uses []session.Use) {
	b.each(uses, func(k *book, _ session.Use) { k.maybe-- })
}

// compare compares with what the table says, when nobody asks for anything.
func (b *books) compare(when string, usage map[string]int) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, k := range b.of {
		if k.surely != k.maybe || usage[name] != k.surely {
			b.t.Errorf("%s: %q has %d seats taken; surely %d, at most %d", when, name, usage[name], k.surely, k.maybe)
		}
	}
}
