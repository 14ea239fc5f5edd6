package gate

import (
	"cmp"
	"context"
	"errors"
	"time"

	"earshot/auth"
	"earshot/session"
)

// askers is how many sessions are asked for at a time when their time has come.
const askers = 8

// dueAgain has the one who answers for a session's user be asked again, if it is time.
func (g *Gate) dueAgain(s *session.Session, now time.Time) {
	if !s.Lease.Mu.TryLock() {
		return // next time
	}
	defer s.Lease.Mu.Unlock()
	l := &s.Lease
	if l.Again.IsZero() || now.Before(l.Again) || l.Over != "" || now.Sub(s.Seen()) > g.opt.SeatTTL && g.sittings.count(s) == 0 {
		return
	}
	select {
	case g.owed <- s:
		l.Again = time.Time{} // until there is an answer
	default: // next time
	}
}

func (g *Gate) askAgain(ctx context.Context) {
	place := make(chan struct{}, askers)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-g.owed:
			place <- struct{}{}
			g.background.Go(func() {
				defer func() { <-place }()
				g.ask(ctx, s)
			})
		}
	}
}

func (g *Gate) ask(ctx context.Context, s *session.Session) {
	l := s.Listener()
	s.Lease.Mu.Lock()
	s.Lease.Number++
	r := &auth.Request{Path: s.Lease.Path, Host: s.Lease.Host, Address: l.Address, Agent: l.Agent, Group: s.Key.Group, Kind: string(s.Kind),
		SessionID: string(cmp.Or(s.Lease.Asked, s.Key.ID)), Number: s.Lease.Number, StreamClients: g.table.InGroup(s.Key.Group), TotalClients: g.table.Len()}
	was := auth.Identity{User: l.UserID, Device: l.DeviceID, DeviceType: l.DeviceType, Shared: s.Shared, Expires: s.Expires, Ends: s.Ends,
		MaxSessions: s.Ceiling, Ticket: s.Lease.Ticket}
	s.Lease.Mu.Unlock()
	id, err := g.opt.Auth.Again(ctx, r, was)
	s.Lease.Mu.Lock()
	defer s.Lease.Mu.Unlock()
	var no *auth.Refusal
	switch {
	case errors.As(err, &no):
		g.finish(s, notAllowed)
	case err != nil:
		s.Lease.Again = time.Now().Add(time.Minute)
	default:
		s.Lease.Again = id.Again
	}
}

// removed tells who answers for a session's user that it is over.
func (g *Gate) removed(s *session.Session) {
	if g.opt.Auth == nil || !g.opt.Auth.Asked() {
		return
	}
	s.Lease.Mu.Lock()
	ticket := s.Lease.Ticket
	s.Lease.Ticket = "" // he is told once
	s.Lease.Mu.Unlock()
	if ticket == "" {
		return
	}
	l := s.Listener()
	bytes, _, since := g.opt.Heard(s)
	g.opt.Auth.Removed(auth.Removal{SessionID: string(cmp.Or(s.Lease.Asked, s.Key.ID)), Group: s.Key.Group, Kind: string(s.Kind), Path: s.Lease.Path, Host: s.Lease.Host,
		User: l.UserID, Ticket: ticket, Address: l.Address.String(), Agent: l.Agent, Duration: since, Bytes: bytes, At: time.Now()})
}

// Abandon is called for one who was authorised and has not come to be admitted.
func (g *Gate) Abandon(r *Request) {
	if g.opt.Auth == nil || !g.opt.Auth.Asked() || r.Identity.Ticket == "" {
		return
	}
	g.opt.Auth.Removed(auth.Removal{SessionID: string(cmp.Or(r.Asked, r.Key.ID)), Group: r.Key.Group, Kind: string(r.Kind), Path: r.Path, Host: r.Host,
		User: r.Identity.User, Ticket: r.Identity.Ticket, Address: r.Listener.Address.String(), Agent: r.Listener.Agent, At: time.Now()})
}
