package relay

import (
	"sync/atomic"
	"time"

	"earshot/listen"
)

// trialTime is how long a player is given to make up its mind.
const trialTime = 1500 * time.Millisecond

// trial is the time in which who asked for a listener's connection may be a player that only looks: it closes the connection, and asks again
// for what it wants. He is sent what a listener is sent, and counts as one, from his first byte, if he is still there when it is over.
type trial struct {
	until time.Time
	admit func() (*listen.Account, error)
	asked bool

	account atomic.Pointer[listen.Account] // what admit has answered
}

// confirm makes a listener of one whose trial is over.
func (l *listener) confirm(now time.Time) {
	t := l.trial
	if t == nil || now.Before(t.until) {
		return
	}
	if a := t.account.Load(); a != nil {
		l.trial = nil
		l.account.Store(a)
		l.meter.charge(a)
		return
	}
	if t.asked {
		return
	}
	t.asked = true
	l.hub.relay.running.Go(func() { // whoever admits may have to wait
		a, err := t.admit()
		if err != nil {
			l.end(listen.Refused)
			return
		}
		t.account.Store(a)
		l.writer.call(l)
	})
}
