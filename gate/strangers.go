package gate

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"earshot/auth"
)

// strangers are those at addresses that have shown more of what does not hold than is their share. Who shows what does hold is never refused for it: a
// household has one address, and one of its devices may go mad. What they show is looked at nonetheless, one thing at a time for each address, so that
// guessing costs the edge no more than that, and everybody else nothing; one who shows a good token waits for a moment.
type strangers struct {
	wrong  *rates // what did not hold
	proofs lines  // to what can be verified here
	asks   lines  // to the backend
}

const (
	wrongRate, wrongBurst = 5, 50           // per second, and address
	asksAtOnce            = 4               // of one stranger's address: a backend takes its time
	asksWithin            = 5 * time.Second // a stranger's turn has come, or he is told to come back
)

func (s *strangers) init() {
	s.wrong = newRates(wrongRate, wrongBurst)
	s.proofs.init(1)
	s.asks.init(asksAtOnce)
}

// beyond tells whether an address is beyond its share.
func (s *strangers) beyond(a netip.Addr) bool { return s.wrong.wait(a, time.Now()) > 0 }

// verify has a check made that costs no more than the edge's own time.
func (s *strangers) verify(ctx context.Context, a netip.Addr, check func() error) error {
	if !s.beyond(a) {
		return check()
	}
	leave, err := s.proofs.enter(ctx, a)
	if err != nil {
		return err
	}
	defer leave()
	return check()
}

// stranger charges the address with what did not hold. Beyond its share the refusal is another: it says when to come back.
func (g *Gate) stranger(a netip.Addr, v Verdict) Verdict {
	if wait := g.strangers.wrong.take(a, time.Now()); wait > 0 {
		return Verdict{Code: RateLimited, RetryAfter: wait, Detail: "too many tokens from this address that do not hold"}
	}
	return v
}

// prove finds out who a listener is, as far as that can be found out here.
func (g *Gate) prove(ctx context.Context, r *Caller) (id auth.Identity, v Verdict) {
	err := g.strangers.verify(ctx, r.Address, func() (err error) {
		id, err = g.opt.Auth.Prove(ctx, r)
		return err
	})
	switch {
	case err == nil:
		return id, Verdict{Action: Allow}
	case ctx.Err() != nil: // he has left
		return id, Verdict{Action: Deny, Code: NotAllowed}
	}
	if v = g.unauthorised(err); v.Code != TokenRequired { // who shows nothing cost nothing
		v = g.stranger(r.Address, v)
	}
	return id, g.refuse(v)
}

// askBackend asks the backend. A question costs more than this edge's own time: new sessions of an address knock before it, and strangers have to stand in line for a while.
func (g *Gate) askBackend(ctx context.Context, r *Caller, id auth.Identity, begins bool) (auth.Identity, Verdict) {
	if g.strangers.beyond(r.Address) {
		within, cancel := context.WithTimeout(ctx, asksWithin)
		leave, err := g.strangers.asks.enter(within, r.Address)
		cancel()
		if err != nil {
			return id, g.refuse(Verdict{Code: RateLimited, RetryAfter: time.Second})
		}
		defer leave()
	}
	if begins {
		if v := g.Knock(r.Address); v.Action != Allow {
			return id, v
		}
	}
	r.StreamClients, r.TotalClients = g.table.InGroup(r.Group), g.table.Len()
	id, err := g.opt.Auth.Ask(ctx, r, id)
	if err == nil {
		return id, Verdict{Action: Allow}
	}
	var no *auth.Refusal
	if errors.As(err, &no) && no.Cause == nil { // it said so, and did not fail
		g.strangers.wrong.take(r.Address, time.Now())
		if begins {
			g.rate.give(r.Address) // he has begun nothing
		}
	}
	return id, g.refuse(g.unauthorised(err))
}

// lines are where addresses wait for their turn, each for its own.
type lines struct {
	wide int // so many of an address at a time

	mu  sync.Mutex
	all map[netip.Addr]*line
}

type line struct {
	turn chan struct{}
	in   int // waiting, or at it; guarded by the lines' mu
}

func (l *lines) init(wide int) { l.wide, l.all = wide, make(map[netip.Addr]*line) }

// enter waits for the address's turn. leave ends it.
func (l *lines) enter(ctx context.Context, a netip.Addr) (leave func(), err error) {
	a = Address(a)
	l.mu.Lock()
	one := l.all[a]
	if one == nil {
		one = &line{turn: make(chan struct{}, l.wide)}
		l.all[a] = one
	}
	one.in++
	l.mu.Unlock()
	out := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.in--; one.in == 0 {
			delete(l.all, a)
		}
	}
	select {
	case one.turn <- struct{}{}:
		return func() { <-one.turn; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}
