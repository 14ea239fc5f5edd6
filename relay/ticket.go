package relay

import (
	"sync/atomic"

	"earshot/listen"
)

// Ticket is a hold on one listener's connection, also while he may only be looking. Its zero value is ready to be given to one Join. Its methods
// may be called by anybody at any time, and do not wait; before he has joined and after he has left, those that change something do nothing.
type Ticket struct {
	listener atomic.Pointer[listener] // nil before and after
	had      atomic.Int64             // bytes of the body, when he left
}

// End has the connection leave at once, for that reason if it is not about to leave already. Other connections of the session stay.
func (t *Ticket) End(reason listen.Reason) {
	if l := t.listener.Load(); l != nil && reason != "" {
		l.end(reason)
	}
}

// Charge has what is sent from now on charged to another account. What was sent before stays with the one that it was charged to, and he
// hears on. Of one who may only be looking, what he is sent until he is taken for a listener is charged to the account that he is let in with.
func (t *Ticket) Charge(a *listen.Account) {
	if l := t.listener.Load(); l != nil && a != nil {
		l.charged.Store(a)
		l.writer.call(l)
	}
}

// Taken is how many bytes of the body have arrived: his kernel has acknowledged them, or, where ours cannot tell, they have left. It never
// becomes less: who is there takes more as long as there is more, and a connection that is dead does not.
func (t *Ticket) Taken() int64 {
	if l := t.listener.Load(); l != nil {
		return l.arrived()
	}
	return t.had.Load()
}

// Open reports whether he has joined, has not left and is not about to leave at once.
func (t *Ticket) Open() bool {
	l := t.listener.Load()
	return l != nil && !l.cut.Load()
}

func (t *Ticket) give(l *listener) {
	if t != nil {
		t.listener.Store(l)
	}
}

// void is called when he has left and had so many bytes.
func (t *Ticket) void(had int64) {
	if t != nil {
		t.had.Store(had)
		t.listener.Store(nil)
	}
}

// arrived is how much of the body he has for certain. The kernel is asked last: what is written meanwhile must not look taken. It then
// looks like less than it is, for a moment, so the most that was ever found stands.
func (l *listener) arrived() int64 {
	n := l.meter.written.Load()
	waiting, ok := l.sock.unacked()
	if l.sock == nil {
		waiting = l.meter.unsent()
	}
	if ok {
		for most := l.taken.Load(); n-waiting > most && !l.taken.CompareAndSwap(most, n-waiting); most = l.taken.Load() {
		}
	}
	return l.taken.Load()
}

// whose is the account that he is charged to, or is about to be; nil while he is on trial.
func (l *listener) whose() *listen.Account {
	a := l.account.Load()
	if to := l.charged.Load(); a != nil && to != nil {
		return to
	}
	return a
}
