package gate

import (
	"cmp"
	"context"
	"errors"
	"strings"
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
	s.Lease.Number = max(1, s.Lease.Number) // the question of the beginning was number 0
	r := &auth.Request{Path: s.Lease.Path, Host: s.Lease.Host, Address: l.Address, Agent: l.Agent, Group: s.Key.Group, Kind: string(s.Kind),
		SessionID: string(cmp.Or(s.Lease.Asked, s.Key.ID)), Number: s.Lease.Number, StreamClients: g.table.InGroup(s.Key.Group), TotalClients: g.table.Len()}
	was := auth.Identity{User: l.UserID, Device: l.DeviceID, DeviceType: l.DeviceType, Shared: s.Shared, Expires: s.Expires, Ends: s.Ends,
		MaxSessions: s.Ceiling, Ticket: s.Lease.Ticket}
	s.Lease.Number++
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
	r := g.removal(s)
	s.Lease.Ticket, s.Lease.Opened = "", 0 // he is told once
	s.Lease.Mu.Unlock()
	r.At = time.Now()
	r.Bytes, _, r.Duration = g.opt.Heard(s)
	if now, ok := g.table.Get(s.Key); !ok || now == s {
		g.opt.Auth.Ended(r)
	} else if r.Ticket != "" { // he has come back meanwhile, and has what else there is
		g.opt.Auth.Removed(r)
	}
}

// removal is that of a session. The caller holds the lease's lock.
func (g *Gate) removal(s *session.Session) auth.Removal {
	l := s.Listener()
	return auth.Removal{ID: s.Lease.Opened, SessionID: string(s.Key.ID), Group: s.Key.Group, Kind: string(s.Kind), Path: s.Lease.Path, Host: s.Lease.Host,
		User: l.UserID, Ticket: s.Lease.Ticket, Address: l.Address.String(), Agent: l.Agent}
}

// begun has a session's removal be kept from now on, and what an earlier process left of the session be its own. The caller holds the lease's lock.
func (g *Gate) begun(s *session.Session) {
	if g.opt.Auth != nil && g.opt.Auth.Asked() {
		s.Lease.Opened = g.opt.Auth.Begun(g.removal(s))
	}
}

// also is for a session that goes on, if the one who answers for its user was asked about it all the same.
func (g *Gate) also(s *session.Session, r *Request) {
	if g.opt.Auth == nil || !g.opt.Auth.Asked() || r.Identity.Ticket == "" {
		return
	}
	l := &s.Lease
	l.Mu.Lock()
	defer l.Mu.Unlock()
	if now, ok := g.table.Get(s.Key); !ok || now != s {
		g.Abandon(r) // it is over already
		return
	}
	if l.Ticket == "" {
		l.Ticket, l.Asked, l.Number, l.Again = r.Identity.Ticket, session.ID(strings.Clone(string(r.Asked))), 1, r.Identity.Again
		l.Path, l.Host = strings.Clone(r.Path), strings.Clone(r.Host)
		g.begun(s)
		return
	}
	again := g.removal(s)
	again.Ticket, again.Path, again.Host = r.Identity.Ticket, r.Path, r.Host
	g.opt.Auth.Also(again)
}

// goesOnLater tells whether a session may go on when this edge is started again: nobody tells it from one that is paused. It keeps its ticket until then.
func (g *Gate) goesOnLater(s *session.Session) bool {
	s.Lease.Mu.Lock()
	defer s.Lease.Mu.Unlock()
	return s.Lease.Over == "" && (s.Kind == session.HLS || s.Revived)
}

// Abandon is called for one who was authorised and has not come to be admitted.
func (g *Gate) Abandon(r *Request) {
	if g.opt.Auth == nil || !g.opt.Auth.Asked() || r.Identity.Ticket == "" {
		return
	}
	g.opt.Auth.Removed(auth.Removal{SessionID: string(cmp.Or(r.Asked, r.Key.ID)), Group: r.Key.Group, Kind: string(r.Kind), Path: r.Path, Host: r.Host,
		User: r.Identity.User, Ticket: r.Identity.Ticket, Address: r.Listener.Address.String(), Agent: r.Listener.Agent, At: time.Now()})
}
