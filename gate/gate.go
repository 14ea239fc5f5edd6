// Package gate is the one door: every play passes it, whether a player asks or an app's API. It answers with a
// [Verdict] and keeps the live table of seats.
//
// Admission comes before the origin is asked, so that a flood costs the edge no fetches: new sessions are limited
// per address and second, and over the whole edge (DESIGN, decision 15).
package gate

import (
	"net/netip"
	"strings"
	"time"

	"earshot/session"
)

// Gate admits and renews sessions. It is safe for concurrent use.
type Gate struct {
	table   *session.Table
	rate    *rates
	metrics *Metrics
}

// Options of a Gate.
type Options struct {
	Table         *session.Table
	NewPerAddress int // new sessions per second from one address (one /64 of IPv6); 0 is no limit
	Metrics       *Metrics
}

// New makes a Gate.
func New(opt Options) *Gate {
	return &Gate{table: opt.Table, rate: newRates(opt.NewPerAddress), metrics: opt.Metrics}
}

// Request is one listener asking to play.
type Request struct {
	Key      session.Key
	Kind     session.Kind
	Listener session.Listener
	Issued   time.Time // from a grant; zero: the session begins now
}

// Knock asks whether a listener at that address may begin a new session now. It costs the origin nothing, and nothing is
// held for who is turned away.
func (g *Gate) Knock(address netip.Addr) Verdict {
	if g.table.Full() {
		return g.refuse(Verdict{Code: EdgeFull, RetryAfter: fullRetry})
	}
	if wait := g.rate.take(address, time.Now()); wait > 0 {
		return g.refuse(Verdict{Code: RateLimited, RetryAfter: wait})
	}
	return Verdict{Action: Allow}
}

// Admit lets a session begin or go on. Who begins one has knocked, or holds a grant that proves that it began elsewhere.
func (g *Gate) Admit(r Request) Verdict {
	now := time.Now()
	if s, ok := g.table.Get(r.Key); ok {
		s.Touch(now)
		return Verdict{Action: Allow, Session: s}
	}
	issued := r.Issued
	if issued.IsZero() {
		issued = now
	}
	// What the table keeps must not keep the request's head alive, which may be a thousand times larger.
	r.Key.ID = session.ID(strings.Clone(string(r.Key.ID)))
	r.Listener.Agent = strings.Clone(r.Listener.Agent)
	s, fresh, err := g.table.Admit(&session.Session{Key: r.Key, Kind: r.Kind, Listener: r.Listener, Issued: issued}, now)
	if err != nil {
		return g.refuse(Verdict{Code: EdgeFull, RetryAfter: fullRetry})
	}
	return Verdict{Action: Allow, Session: s, Fresh: fresh}
}

// fullRetry is when a full edge may have room again.
const fullRetry = 10 * time.Second

// Release frees the seat of a session. Nothing is denied to it: it may begin again.
func (g *Gate) Release(k session.Key) { g.table.Remove(k) }

func (g *Gate) refuse(v Verdict) Verdict {
	g.metrics.refused(v.Code)
	return v
}

// Bare is the id of the live session that a listener without id or grant belongs to.
func (g *Gate) Bare(tag, group string) (session.ID, bool) { return g.table.Bare(tag, group) }

// Known reports whether the live table has the session.
func (g *Gate) Known(k session.Key) bool {
	_, ok := g.table.Get(k)
	return ok
}

// Address is the part of an address that one household has to itself: all of IPv4, a /64 of IPv6.
func Address(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}
