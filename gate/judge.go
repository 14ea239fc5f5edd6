package gate

import (
	"net/netip"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// rules are what everybody is judged by. They are replaced whole.
type rules struct {
	compiled *blackout.Rules
	first    []blackout.Rule // added before those of the configuration
	last     []blackout.Rule // added after them
	users    map[string]Ban
	faces    map[listener]Ban
	bans     []Ban
}

// listener is a banned one without a user. No agent: all at the address.
type listener struct {
	address netip.Addr
	agent   string
}

// subject is who is judged.
type subject struct {
	key      session.Key
	listener *session.Listener
	how      string // he would be refused: [refused] or [cut]
}

// judge applies bans and blackouts.
func (g *Gate) judge(who subject, now time.Time) Verdict {
	r := g.rules.Load()
	l := who.listener
	if b, ok := r.banned(l, now); ok {
		return Verdict{Code: Banned, Detail: b.Reason}
	}
	place := g.place(l.Address)
	v := r.compiled.Judge(who.key.Group, blackout.Listener{Address: l.Address, Place: place, DeviceType: l.DeviceType}, now)
	if v.Rule == nil || v.Action == blackout.Allow {
		return Verdict{Action: Allow}
	}
	g.witness(who, v.Rule, place, now)
	return Verdict{Code: Blackout, Rule: v.Rule.ID, Detail: v.Rule.Message}
}

func (r *rules) banned(l *session.Listener, now time.Time) (Ban, bool) {
	if len(r.bans) == 0 {
		return Ban{}, false
	}
	b, ok := r.users[l.UserID]
	if !ok || l.UserID == "" {
		if b, ok = r.faces[listener{l.Address, l.Agent}]; !ok {
			b, ok = r.faces[listener{address: l.Address}]
		}
	}
	return b, ok && now.Before(b.Until)
}

func (g *Gate) place(a netip.Addr) blackout.Place {
	if g.opt.Geo == nil || !a.IsValid() {
		return blackout.Place{}
	}
	return g.opt.Geo.Lookup(a)
}

// move has every session be judged again.
func (g *Gate) move() {
	g.stamp.Add(1)
	select {
	case g.moved <- struct{}{}:
	default:
	}
}

// watchClock moves on when a rule's window opens or closes, or a ban ends, and has those judged who ask for nothing.
func (g *Gate) watchClock(done <-chan struct{}) {
	for {
		var alarm <-chan time.Time
		now := time.Now()
		if next := g.rules.Load().compiled.Next(now); !next.IsZero() {
			alarm = time.After(next.Sub(now))
		}
		select {
		case <-done:
			return
		case <-alarm:
			g.stamp.Add(1)
		case <-g.moved:
		}
		g.judgeSeated()
	}
}
