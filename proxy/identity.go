package proxy

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"earshot/playlist"
	"earshot/session"
)

// TrustedProxies tells whose word is taken for a client's address.
type TrustedProxies struct {
	Prefixes []netip.Prefix
	Header   string // X-Forwarded-For, or another that holds one address or a list in its form
}

// Address is the client's, as [Proxy] takes it.
func (t *TrustedProxies) Address(r *http.Request) netip.Addr { return t.address(r) }

// address is the client's: the peer's, or, from a trusted peer, the last address in the header that is not a trusted one
// itself. Anything else in the header is hearsay.
func (t *TrustedProxies) address(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	peer = peer.Unmap().WithZone("")
	if !t.trusts(peer) {
		return peer
	}
	values := r.Header.Values(t.Header)
	for i := len(values) - 1; i >= 0; i-- {
		hops := strings.Split(values[i], ",")
		for j := len(hops) - 1; j >= 0; j-- {
			hop, ok := parseHop(hops[j])
			if !ok {
				return peer
			}
			if peer = hop; !t.trusts(peer) {
				return peer
			}
		}
	}
	return peer
}

func (t *TrustedProxies) trusts(a netip.Addr) bool {
	for _, p := range t.Prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// identity is who a request says it is, in the order of DESIGN, decision 2.
type identity struct {
	key    session.Key    // empty ID: it says nothing
	grant  *session.Grant // nil: none that is valid
	text   string         // of the grant, as it came
	broken error          // why a grant that came was not taken
	app    *session.Seat  // of a session that an app made; nil: none did, as far as is known
	notice string         // what was wrong with an id that was not taken

	claimed session.ID // in the query, and not live here: an app may have made it. The live table is asked by adopt
}

// identify reads a request's claims on the group. A grant that fails its check is no grant (DESIGN, where no rule says otherwise); nor is one
// that was given before the stream was guarded.
func (p *Proxy) identify(r *http.Request, m *mount) identity {
	q := queryOf(r.URL.RawQuery)
	who := identity{key: session.Key{Group: m.group}}
	if q.grant != "" {
		g, err := p.opt.Signer.Verify(q.grant, session.ID(q.session))
		if err == nil && (g.Group != m.group || q.session == "") {
			err = errGrantElsewhere
		}
		if err == nil && !g.Proved && p.guards(m) {
			err = errGrantUnproved
		}
		if err == nil {
			who.key.ID, who.grant, who.text = session.ID(q.session), &g, q.grant
			return who
		}
		who.broken = err
		p.metrics.grantRejected(err)
	}
	if p.knows(q.session, &who) {
		return who
	}
	for _, claim := range [...]string{r.Header.Get(playlist.SessionParam), q.session, cmcdSession(r.Header.Get("CMCD-Session")), cmcdSession(q.cmcd)} {
		if claim == "" {
			continue
		}
		id, err := session.ParseID(claim)
		if err == nil && !session.IsBare(id) {
			who.key.ID, who.notice = id, ""
			return who
		}
		p.metrics.idRejected()
		if err == nil {
			err = session.ErrID
		}
		who.notice = err.Error()
	}
	return who
}

// Errors of a grant whose signature is good.
var (
	errGrantElsewhere = errors.New("grant of another stream")
	errGrantUnproved  = errors.New("grant of a listener who has not shown who he is")
)

// knows takes a query's id that is live here: a session goes on. Another may be one that an app made: to ask for that costs an exchange with the live table, and a
// guess is not worth it before its address has knocked.
func (p *Proxy) knows(text string, who *identity) bool {
	if text == "" {
		return false
	}
	key := session.Key{ID: session.ID(text), Group: who.key.Group}
	if _, ok := p.opt.Gate.Live(key); ok {
		who.key = key
		return true
	}
	if id, err := session.ParseID(text); err == nil && !session.IsBare(id) && p.opt.Apps {
		who.claimed = id
	}
	return false
}

// claims are our parameters in a query.
type claims struct{ session, grant, cmcd string }

func queryOf(raw string) (c claims) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		var field *string
		switch unescape(name) {
		case playlist.SessionParam:
			field = &c.session
		case playlist.GrantParam:
			field = &c.grant
		case playlist.CMCDParam:
			field = &c.cmcd
		default:
			continue
		}
		if *field == "" {
			*field = unescape(value)
		}
	}
	return c
}

// cmcdSession is the value of sid in a CMCD list (CTA-5004): key="text" pairs parted by commas.
func cmcdSession(list string) string {
	for list != "" {
		list = strings.TrimLeft(list, " ,")
		name, rest, _ := strings.Cut(list, "=")
		if i := strings.IndexByte(name, ','); i >= 0 { // a key without a value is true
			list = list[i:]
			continue
		}
		if !strings.HasPrefix(rest, `"`) {
			_, list, _ = strings.Cut(rest, ",")
			continue
		}
		value, tail := quoted(rest[1:])
		if name == "sid" {
			return value
		}
		list = tail
	}
	return ""
}

// quoted reads up to the closing quote, taking backslashes away.
func quoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

// bare is the identity of a listener who says nothing: the live session of his address, agent, what he asks for and what he shows, or a new id
// that he will share with nobody else.
func (p *Proxy) bare(r *http.Request, group, what string, proof uint64) session.Key {
	what = group + "\x00" + what
	if proof != 0 {
		what += "\x00" + strconv.FormatUint(proof, 36)
	}
	tag := p.opt.Signer.BareTag(p.opt.Trusted.address(r), r.UserAgent(), what)
	if id, ok := p.opt.Gate.Bare(tag, group); ok {
		return session.Key{ID: id, Group: group}
	}
	return session.Key{ID: session.NewBareID(tag, time.Now()), Group: group}
}
