package proxy

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"earshot/gate"
	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// Query parameter and header of time-shifted listening. The header is an item of RFC 8941: the seconds behind live at which the listener
// begins, and, where that is not what he asked for, the parameter requested with what he did.
const (
	offsetParam  = "offset"
	offsetHeader = "Earshot-Offset"
)

// maxOffset bounds what is asked for; beyond it is surely none of seconds.
const maxOffset = 366 * 24 * time.Hour

// visitor is a listener on his way in.
type visitor struct {
	mount     *mount
	hub       *relay.Hub
	info      relay.Info
	visit     gate.Visit
	session   *session.Session // nil: he may only be looking, and admit is asked later
	fresh     bool             // the session is new
	sitting   *gate.Sitting    // of the session's connection
	ticket    *relay.Ticket    // of the connection
	admission *admission
	admit     func() (*listen.Account, error)
	from      relay.Place
	offset    string // value of offsetHeader; "": he has not asked for one
}

// enter opens the stream for a listener and lets him in, or puts that off where he may only be looking.
func (p *Proxy) enter(r *http.Request, m *mount, a *admission) (v *visitor, err error) {
	l := p.listener(r)
	v = &visitor{mount: m, admission: a, ticket: new(relay.Ticket), visit: gate.Visit{Address: l.Address, Agent: strings.Clone(l.Agent)}}
	if v.hub, v.info, err = p.opt.Relay.Open(r.Context(), m.relayMount()); err != nil {
		p.opt.Relay.Forget(v.hub)
		return nil, noEntry(m, err)
	}
	if err := v.seek(r); err != nil {
		return nil, err
	}
	if looks(r) {
		v.admit = p.admitLater(r.WithContext(context.WithoutCancel(r.Context())), v, a)
		return v, nil
	}
	if v.session, v.fresh, err = p.admit(r, a); err != nil {
		return nil, err
	}
	v.sits(p)
	return v, nil
}

// admitLater is the admission of one who may only be looking. He has joined when it is asked.
func (p *Proxy) admitLater(r *http.Request, v *visitor, a *admission) func() (*listen.Account, error) {
	return func() (*listen.Account, error) {
		s, fresh, err := p.admit(r, a)
		if err != nil {
			return nil, err
		}
		v.session, v.fresh = s, fresh
		v.sits(p)
		v.joined(p)
		v.mount, v.admission, v.admit = nil, nil, nil // he stays, perhaps for hours, and what he came with need not
		return p.account(s), nil
	}
}

// sits has the gate look after the connection from now on. What the gate keeps of it for as long keeps nothing of the request.
func (v *visitor) sits(p *Proxy) {
	ticket := v.ticket
	v.sitting = p.opt.Gate.Sit(v.session, gate.Seated{Visit: v.visit, Taken: ticket.Taken,
		Cut: func(why gate.Code) { ticket.End(cmp.Or(reasons[why], listen.Refused)) },
		Move: func(s *session.Session) {
			if s.Start() {
				p.begin(s, false)
			}
			ticket.Charge(p.account(s))
		}})
}

// reasons are why connections are cut, as the books have it.
var reasons = map[gate.Code]listen.Reason{gate.Ended: listen.Ended, gate.Banned: listen.Banned, gate.Blackout: listen.Blackout,
	gate.TooManySessions: listen.Evicted, gate.ChooseSession: listen.Evicted, gate.EdgeFull: listen.Refused, gate.NotAllowed: listen.Refused}

// joined counts a session with its first listener. What has come between his admission and now finds him.
func (v *visitor) joined(p *Proxy) {
	if v.session == nil {
		return // he may only be looking
	}
	if v.session.Start() {
		p.begin(v.session, false)
	}
	v.sitting.Check()
}

// leaves is called when the connection is closed.
func (v *visitor) leaves(p *Proxy) {
	if v.sitting != nil {
		v.sitting.Leave()
	} else {
		p.abandon(v.admission)
	}
}

// leaving is leaves for one who may stay for hours: it keeps nothing of his request if he has been let in.
func (v *visitor) leaving(p *Proxy) func() {
	if v.sitting != nil {
		return v.sitting.Leave
	}
	return func() { v.leaves(p) }
}

// turnedAway forgets a session that was never heard: the listener who began it was not let in.
func (v *visitor) turnedAway(p *Proxy) {
	v.leaves(p)
	if !v.fresh {
		return
	}
	if a, ok := p.opt.Book.Find(v.session.Key); !ok || p.opt.Book.Discard(a) {
		p.opt.Gate.Release(v.session.Key)
	}
}

// asksToJoin is what the two ways to join have in common.
func (p *Proxy) asksToJoin(r *http.Request, v *visitor) relay.Join {
	j := relay.Join{Stream: v.mount.group, From: v.from, Admit: v.admit, Ticket: v.ticket}
	if v.session != nil {
		j.Account = p.account(v.session)
	}
	if wantsMetadata(r, v.info) {
		j.MetaInt = metaInt
	}
	return j
}

// seek goes to where the listener asks to begin.
func (v *visitor) seek(r *http.Request) error {
	text, asked := parameter(r.URL.RawQuery, offsetParam)
	if !asked {
		return nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0 && seconds <= maxOffset.Seconds()) || strings.ContainsAny(text, "xXpP_") {
		return &Problem{Status: http.StatusBadRequest, Code: "bad-offset", Detail: "offset is a number of seconds behind live, such as 90"}
	}
	v.offset = "0"
	if seconds > 0 {
		v.from = v.hub.Seek(time.Duration(seconds * float64(time.Second)))
		v.offset = tenths(v.from.Behind.Seconds())
	}
	if v.from.Clamped {
		v.offset += ";requested=" + tenths(seconds)
	}
	return nil
}

func tenths(seconds float64) string {
	return strconv.FormatFloat(math.Round(seconds*10)/10, 'f', -1, 64)
}

// parameter is the first of that name in a query.
func parameter(raw, name string) (value string, ok bool) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if n, v, _ := strings.Cut(pair, "="); unescape(n) == name {
			return unescape(v), true
		}
	}
	return "", false
}

// looks reports whether a request is a player's look at what is there, before it asks for what it wants: iOS and Safari ask for the first two
// bytes, and close the connection when they have the head.
func looks(r *http.Request) bool {
	spec, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(r.Header.Get("Range"))), "bytes=0-")
	if !ok {
		return false
	}
	last, err := strconv.ParseUint(spec, 10, 64)
	return err == nil && last < 1024
}
