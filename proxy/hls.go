package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"earshot/gate"
	"earshot/origin"
	"earshot/playlist"
	"earshot/session"
)

// The names of our parameters, and of the delivery directives that belong to a request and not to a playlist (RFC 8216bis, 6.2.5).
var (
	ourParams  = []string{playlist.SessionParam, playlist.GrantParam, playlist.CMCDParam, "offset"}
	directives = []string{"_HLS_msn", "_HLS_part", "_HLS_skip", "_HLS_push", "_HLS_report"}
)

// upstreamQuery is what of a client's query goes to the origin.
func (m *mount) upstreamQuery(raw string) string {
	raw = playlist.StripQuery(raw, ourParams...)
	if m.stream.Query == nil || raw == "" {
		return raw
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name = unescape(name); slices.Contains(m.stream.Query, name) || slices.Contains(directives, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// source is what a path below the mount's prefix, with its query, is at the origins.
func (m *mount) source(rest, query string) origin.Source {
	if query != "" {
		query = "?" + query
	}
	src := origin.Source{Scope: m.prefix, URLs: make([]string, len(m.bases)), Follow: m.follow, Via: m.stream.via}
	for i, base := range m.bases {
		src.URLs[i] = base + rest + query
	}
	return src
}

// resources are the names that a path below the prefix may have in the origins' playlists.
func (m *mount) resources(rest, query string) []string {
	src := m.source(rest, query)
	names := make([]string, 0, len(src.URLs))
	for _, text := range src.URLs {
		if u, err := url.Parse(text); err == nil {
			names = append(names, playlist.Resource(u))
		}
	}
	return names
}

// playlistName is what grants call a playlist: its path below the mount's prefix and what of its query the origin wants, so that any edge
// can fetch it.
func (m *mount) playlistName(query string) string {
	query = playlist.StripQuery(m.upstreamQuery(query), directives...)
	if len(m.rest)+len(query) >= maxName {
		m.clipped = query != ""
		query = ""
	}
	if query == "" {
		return m.rest
	}
	return m.rest + "?" + query
}

// maxName bounds what a grant says of a playlist, in bytes.
const maxName = 512

// lineName is what timelines call a playlist: its path. The query mostly holds what differs from listener to listener, and the
// playlist is the same; it is part of the name only where the master tells playlists apart by it.
func lineName(name string, byQuery bool) string {
	path, query, _ := strings.Cut(name, "?")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if byQuery {
		return path + "?" + query
	}
	return path
}

// streamKey is the key of the stream that a playlist's segments belong to: the group key and the playlist's path.
func streamKey(group, line string) string {
	path, _, _ := strings.Cut(line, "?")
	key := group + "/" + path
	if len(key) > maxStreamKey {
		key = key[:maxStreamKey]
	}
	return strings.ToValidUTF8(key, "")
}

const maxStreamKey = 256

// admission is a request on its way through the gate.
type admission struct {
	who  identity
	bare bool // it says nothing of itself, and no live session is its own
	new  bool // its session begins with it
}

// approach finds out whose request it is. what names the thing a bare request belongs to; no other is asked for it. A request that would begin
// a session knocks at the gate.
func (p *Proxy) approach(r *http.Request, m *mount, what func() string) (admission, error) {
	a := admission{who: p.identify(r, m.group)}
	switch {
	case a.who.grant != nil:
		return a, nil
	case a.who.key.ID != "":
		a.new = !p.opt.Gate.Known(a.who.key)
	default:
		var live bool
		a.who.key, live = p.bare(r, m.group, what())
		a.bare, a.new = true, !live
	}
	if a.new {
		if v := p.opt.Gate.Knock(p.opt.Trusted.address(r)); v.Action != gate.Allow {
			return a, refusal(v)
		}
	}
	return a, nil
}

// admit passes the gate. The session it returns has begun; fresh tells whether it did so now, and not with a grant that
// another edge, or this one before a restart, has given.
func (p *Proxy) admit(r *http.Request, a admission, kind session.Kind) (s *session.Session, fresh bool, err error) {
	req := gate.Request{Key: a.who.key, Kind: kind, Listener: p.listener(r)}
	if g := a.who.grant; g != nil {
		req.Issued = g.Issued
		req.Listener.UserID, req.Listener.DeviceID, req.Listener.DeviceType = g.UserID, g.DeviceID, g.DeviceType
	}
	v := p.opt.Gate.Admit(req)
	if v.Action != gate.Allow {
		return nil, false, refusal(v)
	}
	fresh = v.Fresh && a.who.grant == nil
	if v.Fresh && !fresh {
		v.Session.Start()
	}
	return v.Session, fresh, nil
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}
