package relay

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// beatEvery is how often listeners of a hub are woken, each time another of the turns. A listener thus sends once
	// in turns*beatEvery, all that has come since: what sending costs is the calls, more than the bytes.
	beatEvery = 250 * time.Millisecond
	turns     = 4

	// smallBurst is the burst with which a player may not have enough in hand to wait for his turn.
	smallBurst = 32 << 10
)

// bell wakes all who wait for it.
type bell struct{ next atomic.Pointer[chan struct{}] }

func newBell() *bell {
	b := new(bell)
	b.ring()
	return b
}

// wait is closed when the bell rings next. Who takes it before he looks misses nothing.
func (b *bell) wait() <-chan struct{} { return *b.next.Load() }

func (b *bell) ring() {
	fresh := make(chan struct{})
	if old := b.next.Swap(&fresh); old != nil {
		close(*old)
	}
}

// beat wakes the listeners of a hub by the clock, so that the source does not have to.
type beat struct {
	eager *bell        // every beat: for those who have had less than a burst, or have a small one
	turn  [turns]*bell // the others
	early chan struct{}
}

func newBeat() *beat {
	b := &beat{eager: newBell(), early: make(chan struct{}, 1)}
	for i := range b.turn {
		b.turn[i] = newBell()
	}
	return b
}

// nudge wakes everybody soon. It does not block.
func (b *beat) nudge() {
	select {
	case b.early <- struct{}{}:
	default:
	}
}

func (b *beat) all() {
	b.eager.ring()
	for _, t := range b.turn {
		t.ring()
	}
}

func (b *beat) run(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	defer b.all()
	for n := 0; ; n = (n + 1) % turns {
		select {
		case <-ctx.Done():
			return
		case <-b.early:
			b.all()
		case <-tick.C:
			b.eager.ring()
			b.turn[n].ring()
		}
	}
}
