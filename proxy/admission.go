package proxy

import (
	"context"
	"hash/maphash"
	"net/http"
	"net/url"
	"strings"

	"earshot/gate"
	"earshot/session"
)

// admission is a request on its way through the gate.
type admission struct {
	who     identity
	bare    bool             // it says nothing of itself, and no live session is its own
	proof   uint64           // of what it shows of its listener; 0: nothing that anybody asks for
	session *session.Session // that it belongs to; nil: it is to be admitted
	request *gate.Request    // then
}

// approach finds out whose request it is, and whether he may be served. what names the thing a bare request belongs to; no other is asked for it. A request
// that would begin a session knocks at the gate, and shows who makes it. piece names the media that it asks for; 0: a playlist.
func (p *Proxy) approach(r *http.Request, m *mount, what func() string, piece uint64) (a admission, err error) {
	a.who = p.identify(r, m)
	a.proof = p.proof(r, m, &a)
	starts := piece == 0 && a.who.grant == nil && p.leads(m)
	switch {
	case a.who.key.ID != "":
	case starts:
		a.who.key.ID = session.NewID() // at once, so that whoever is asked about the session is asked by its name
	default:
		a.who.key = p.bare(r, m.group, what(), a.proof)
		a.bare, starts = true, false
	}
	return a, p.pass(r, m, &a, session.HLS, piece, starts)
}

// leads tells whether a path is a master's, as far as this edge has seen. Who asks for one begins to play; a media playlist is asked for again and again.
func (p *Proxy) leads(m *mount) bool {
	t, ok := p.timelines.find(m)
	return ok && len(t.masters.known(m.rest)) > 0
}

// pass has a request of a session that is known renewed, and one of another looked at.
func (p *Proxy) pass(r *http.Request, m *mount, a *admission, kind session.Kind, piece uint64, starts bool) error {
	l := p.listener(r)
	s, known := p.opt.Gate.Live(a.who.key)
	if known { // by the id in a header, which no app puts there while it plays another
		a.who.claimed = ""
	}
	if known && !s.Revived && (a.who.grant != nil || !p.guards(m) || showsAgain(s, a.proof, &l)) {
		v := p.opt.Gate.Renew(r.Context(), s, gate.Visit{Address: l.Address, Agent: l.Agent, Piece: piece, Starts: starts, Terminate: codes(r)})
		if v.Action != gate.Allow {
			return refusal(v)
		}
		a.session = v.Session
		return nil
	}
	a.request = p.request(r, a, kind, l, starts)
	if a.who.grant == nil {
		if err := p.begins(r, m, a, known); err != nil {
			return err
		}
	}
	if v := p.opt.Gate.Look(a.request); v.Action != gate.Allow {
		return refusal(v)
	}
	return nil
}

// showsAgain tells whether a listener shows what a session began with. Where that was nothing, because whoever answered for him wanted nothing, his address and
// agent must be the session's.
func showsAgain(s *session.Session, proof uint64, l *session.Listener) bool {
	return s.Showed && proof == s.Proof && (proof != 0 || s.Face() == session.FaceOf(l.Address, l.Agent))
}

func (p *Proxy) request(r *http.Request, a *admission, kind session.Kind, l session.Listener, starts bool) *gate.Request {
	return &gate.Request{Key: a.who.key, Kind: kind, Listener: l, Grant: a.who.grant, Proof: a.proof, Starts: starts, Path: r.URL.EscapedPath(),
		Host: r.Host, Terminate: codes(r), App: a.who.app}
}

// begins is for one who comes without a grant. Whoever else is asked about him is asked when he has knocked.
func (p *Proxy) begins(r *http.Request, m *mount, a *admission, known bool) error {
	if !p.guards(m) {
		if !known {
			if v := p.opt.Gate.Knock(a.request.Listener.Address); v.Action != gate.Allow {
				return refusal(v)
			}
		}
		p.adopt(r, a)
		return nil
	}
	if a.who.broken != nil && a.proof == 0 { // on a stream that is guarded, a grant that fails its check is no way in
		return refusal(p.opt.Gate.Refuse(gate.Verdict{Code: gate.GrantInvalid, Detail: a.who.broken.Error()}))
	}
	id, v := p.opt.Gate.Authorise(r.Context(), p.asks(r, m, a), !known)
	if v.Action != gate.Allow {
		return refusal(v)
	}
	a.request.Identity, a.request.Authorised, a.request.Asked = id, true, a.who.key.ID
	p.adopt(r, a)
	if s, ok := p.opt.Gate.Live(a.who.key); ok && s.Listener().UserID != id.User || a.who.app != nil && a.who.app.UserID != id.User {
		a.who.key.ID, a.request.App = session.NewID(), nil // an id is no authority: it names another user's session
		a.request.Key = a.who.key
	}
	return nil
}

// adopt takes the id in the query for an app's session, if it is one.
func (p *Proxy) adopt(r *http.Request, a *admission) {
	if a.who.claimed == "" {
		return
	}
	if seat, ok := p.opt.Gate.AppSeat(r.Context(), a.who.claimed); ok {
		a.who.key.ID, a.who.app, a.who.notice = a.who.claimed, &seat, ""
		a.request.Key, a.request.App = a.who.key, a.who.app
	}
	a.who.claimed = ""
}

// anew has a bare request for a master begin a session of its own, as each does; only what is polled is one session while it is. Who asks, and by what
// he showed it, stays.
func (p *Proxy) anew(r *http.Request, m *mount, a *admission) error {
	a.who.key.ID = session.NewID()
	if a.request != nil {
		a.request.Key, a.request.Starts = a.who.key, true
		return nil
	}
	a.session = nil
	a.request = p.request(r, a, session.HLS, p.listener(r), true)
	return p.begins(r, m, a, true)
}

// asks is a listener as who he is is found out.
func (p *Proxy) asks(r *http.Request, m *mount, a *admission) *gate.Caller {
	return &gate.Caller{Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Authorization: r.Header.Get("Authorization"), PathToken: pathToken(r),
		Address: a.request.Listener.Address, Agent: a.request.Listener.Agent, Referer: r.Referer(), Host: r.Host, Group: m.group, Kind: string(a.request.Kind),
		SessionID: string(a.who.key.ID)}
}

// admit passes the gate. The session it returns has begun; fresh tells whether it did so now, and not with a grant that
// another edge, or this one before a restart, has given.
func (p *Proxy) admit(r *http.Request, a *admission) (s *session.Session, fresh bool, err error) {
	if a.session != nil {
		return a.session, false, nil
	}
	v := p.opt.Gate.Admit(r.Context(), a.request)
	if v.Action != gate.Allow {
		return nil, false, refusal(v)
	}
	a.session = v.Session
	fresh = v.Fresh && a.who.grant == nil
	if v.Fresh && !fresh {
		v.Session.Start()
	}
	return v.Session, fresh, nil
}

// abandon is called when a request is over. One whose listener was authorised and not admitted had no session.
func (p *Proxy) abandon(a *admission) {
	if a.request != nil && a.session == nil {
		p.opt.Gate.Abandon(a.request)
	}
}

// guards tells whether a stream's listeners must show who they are.
func (p *Proxy) guards(m *mount) bool { return !m.stream.Open && p.opt.Gate.Guarded() }

// Where a listener names the sessions that may be ended for him: a header, or a parameter.
const (
	terminateHeader = "X-Terminate"
	terminateParam  = "terminate"
)

// codes are the termination codes that a request names.
func codes(r *http.Request) []string {
	text := r.Header.Get(terminateHeader)
	if text == "" && strings.Contains(r.URL.RawQuery, terminateParam) {
		text, _ = parameter(r.URL.RawQuery, terminateParam)
	}
	if text == "" {
		return nil
	}
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

// proof stands for the credentials of a request; 0: there are none, or nobody asks for any.
func (p *Proxy) proof(r *http.Request, m *mount, a *admission) uint64 {
	if a.who.grant != nil || !p.guards(m) {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(p.seed)
	shown := false
	show := func(text string) {
		shown = shown || text != ""
		h.WriteString(text)
		h.WriteByte(0)
	}
	show(r.Header.Get("Authorization"))
	show(pathToken(r))
	for _, name := range p.opt.Credentials {
		value, _ := parameter(r.URL.RawQuery, name)
		show(value)
	}
	if !shown {
		return 0
	}
	return h.Sum64() | 1
}

// tokenKey is where a token that stood in the path is kept on a request's way to its handler.
type tokenKey struct{}

func pathToken(r *http.Request) string {
	token, _ := r.Context().Value(tokenKey{}).(string)
	return token
}

// cutPath takes a token out of the path.
func (p *Proxy) cutPath(r *http.Request) *http.Request {
	if p.opt.CutPath == nil {
		return r
	}
	token, rest := p.opt.CutPath(r.URL.EscapedPath())
	if token == "" {
		return r
	}
	out := r.WithContext(context.WithValue(r.Context(), tokenKey{}, token))
	u := *r.URL
	u.Path, u.RawPath = rest, ""
	if plain, err := url.PathUnescape(rest); err == nil {
		u.Path, u.RawPath = plain, rest
	}
	out.URL = &u
	return out
}
