package relay

import (
	"runtime/debug"
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
	done  chan struct{} // closed when admit has answered; set when it is asked

	account atomic.Pointer[listen.Account] // what admit has answered
}

// confirm makes a listener of one whose trial is over, and charges whom it is to charge from now on.
func (l *listener) confirm(now time.Time) {
	l.decide(now)
	if a := l.charged.Load(); a != nil && l.trial == nil {
		l.meter.turn(a)
	}
}

func (l *listener) decide(now time.Time) {
	t := l.trial
	if t == nil || now.Before(t.until) {
		return
	}
	if a := t.account.Load(); a != nil {
		l.admitted(a)
		return
	}
	if t.asked {
		return
	}
	t.asked, t.done = true, make(chan struct{})
	l.hub.relay.running.Go(func() { // whoever admits may have to wait
		defer close(t.done)
		if a := l.ask(t); a != nil {
			t.account.Store(a)
			l.writer.call(l)
		} else {
			l.end(listen.Refused)
		}
	})
}

func (l *listener) admitted(a *listen.Account) {
	l.trial = nil
	l.account.Store(a)
	l.meter.charge(a)
}

// ask is nil if he may not listen. It is called outside of any request, where a panic would end the process.
func (l *listener) ask(t *trial) (a *listen.Account) {
	defer func() {
		if p := recover(); p != nil {
			l.hub.relay.opt.Log.Error("admission of a listener panicked: he is cut", "stream", l.hub.mount.Key, "panic", p,
				"stack", string(debug.Stack()))
			a = nil
		}
	}()
	if !l.hub.seat(l) {
		return nil
	}
	a, err := t.admit()
	if err != nil {
		return nil
	}
	return a
}

// await waits for the answer for one who leaves while it is asked for: he was there when his trial was over. What has not been sent is known
// by then, and the connection is closed.
func (l *listener) await() {
	t := l.trial
	if t == nil || !t.asked {
		return
	}
	l.conn.Close()
	<-t.done
	if a := t.account.Load(); a != nil {
		l.admitted(a)
	}
}
