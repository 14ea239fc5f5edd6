package proxy

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"earshot/gate"
	"earshot/origin"
	"earshot/playlist"
	"earshot/session"
)

// servePlaylist answers with a playlist in which every URI of ours carries the listener's session.
func (p *Proxy) servePlaylist(w *answer, r *http.Request, m *mount) error {
	if len(m.rest) > maxName {
		return notFound("no playlist has so long a path")
	}
	name := m.playlistName(r.URL.RawQuery)
	a, err := p.approach(r, m, func() string { return m.rest }, 0)
	defer p.abandon(&a)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return p.headPlaylist(w, r, m)
	}
	src := m.source(m.rest, m.upstreamQuery(r.URL.RawQuery))
	src.Target = p.timelines.target(m, lineName(name, false))
	pl, served, err := p.opt.Origin.Playlist(r.Context(), src)
	switch {
	case err != nil && hasDirective(r.URL.RawQuery):
		return reloadFailed(m.group, err)
	case err != nil:
		return fetchFailed(m.group, err)
	}
	return p.answerPlaylist(w, r, m, pl, served, name, &a)
}

func hasDirective(query string) bool { return playlist.StripQuery(query, directives...) != query }

// headPlaylist answers a HEAD: that the playlist is there. It begins no session.
func (p *Proxy) headPlaylist(w *answer, r *http.Request, m *mount) error {
	pl, served, err := p.opt.Origin.Playlist(r.Context(), m.source(m.rest, m.upstreamQuery(r.URL.RawQuery)))
	if err != nil {
		return fetchFailed(m.group, err)
	}
	playlistHead(w.Header(), pl, served)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (p *Proxy) answerPlaylist(w *answer, r *http.Request, m *mount, pl *origin.Playlist, served origin.Served, name string, a *admission) error {
	playlistHead(w.Header(), pl, served)
	if pl.Doc == nil { // .m3u that is no HLS playlist passes as it is
		return writeText(w, r, pl.Body)
	}
	if a.bare && pl.Doc.Kind == playlist.KindMaster {
		if err := p.anew(r, m, a); err != nil {
			return err
		}
	}
	if location, ok := m.movedQuery(r, pl); ok {
		w.Header().Set("Location", location)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	s, fresh, err := p.admit(r, a)
	if err != nil {
		return err
	}
	if fresh && s.Start() {
		p.begin(s, pl.Doc.Kind == playlist.KindMaster)
	}
	if a.who.notice != "" {
		w.Header().Set("Earshot-Notice", a.who.notice+"; another was minted")
	}
	text := texts.Get().(*[]byte)
	defer putText(w, text)
	*text, err = p.personalise(r.Context(), (*text)[:0], m, pl, served.Came, name, changedParams(r, pl), a.who, s)
	if err != nil {
		return fetchFailed(m.group, err)
	}
	return writeText(w, r, *text)
}

// A playlist beyond largePlaylist bytes takes long to plan and splice. Few are at it at a time, so that whoever plays something else has
// his share of the processor.
const (
	largePlaylist = 256 << 10
	maxLarge      = 2
)

// texts are buffers of personalised playlists; a listener's is sent, or on its way in the kernel, before another's is made in it.
var texts = sync.Pool{New: func() any { return new([]byte) }}

// maxText bounds what a buffer keeps between playlists.
const maxText = 1 << 20

// putText gives a buffer back, unless it was not sent: an HTTP/2 server may still read what it was given when the stream is reset.
func putText(w *answer, text *[]byte) {
	if cap(*text) <= maxText && !w.failed {
		texts.Put(text)
	}
}

// personalise appends a session's own copy of a playlist to dst; the group's timeline has learned of it then. It waits for no longer than ctx.
func (p *Proxy) personalise(ctx context.Context, dst []byte, m *mount, pl *origin.Playlist, came time.Time, name string, changed []string, who identity, s *session.Session) ([]byte, error) {
	says, values := p.descent(ctx, m, pl, name, who.grant)
	if len(pl.Body) > largePlaylist {
		select {
		case p.large <- struct{}{}:
			defer func() { <-p.large }()
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
	pl = p.learn(m, pl, came, name, &says, values)
	if len(changed) > 0 {
		var err error
		if pl, err = pl.Without(changed, values); err != nil {
			return dst, err
		}
	}
	plan := p.plan(m, pl)
	add := playlist.Additions{Session: string(s.Key.ID), Grant: p.sign(s, &who, says)}
	if who.grant != nil && who.grant.Role == session.RoleMaster && who.key == s.Key {
		add.MasterGrant = who.text
	}
	if plan.HasKeys() {
		add.KeyGrant = p.sign(s, &who, session.Grant{Role: session.RoleKey})
	}
	return plan.Splice(dst, &add), nil
}

// begin counts a session, and records that of a master.
func (p *Proxy) begin(s *session.Session, master bool) {
	who := p.who(s)
	if p.opt.Started != nil {
		p.opt.Started(who)
	}
	if master {
		p.opt.Book.Start(who)
	}
}

// sign completes a grant that says what a URI belongs to with whose it is. It begins when the grant of the request did, so that the URIs are
// the same from whichever edge they come.
func (p *Proxy) sign(s *session.Session, from *identity, says session.Grant) string {
	var g *session.Grant
	if from.grant != nil && from.key == s.Key {
		whole := *from.grant
		g = &whole
	} else {
		g = gate.GrantOf(s)
	}
	g.Role, g.Playlist, g.ByQuery, g.Master = says.Role, says.Playlist, says.ByQuery, says.Master
	return p.opt.Signer.Sign(s.Key.ID, g)
}

// descent is what the grant on a playlist's own URIs says of it, and the variables of the master that led to it. It may wait for that master.
func (p *Proxy) descent(ctx context.Context, m *mount, pl *origin.Playlist, name string, from *session.Grant) (says session.Grant, values map[string]string) {
	if pl.Doc.Kind == playlist.KindMaster {
		return session.Grant{Role: session.RoleMaster, Playlist: name}, nil
	}
	g := p.timelines.group(m).masters
	says = session.Grant{Role: uint8(playlist.RoleVariant), Playlist: name}
	var master string
	switch {
	case from == nil:
	case from.Role == session.RoleMaster:
		var role playlist.Role
		role, says.ByQuery = p.timelines.role(ctx, m, g, from.Playlist, name, pl.URL)
		says.Role, master = uint8(role), from.Playlist
	case namesPlaylist(from) && lineName(from.Playlist, from.ByQuery) == lineName(name, from.ByQuery):
		says.Role, says.ByQuery, master = from.Role, from.ByQuery, from.Master // it is asked for with what its own URIs carry
	}
	values, says.Master = p.timelines.variables(ctx, m, g, pl.Doc, pl.URL, master)
	return says, values
}

// learn takes what a playlist tells: a master its children and variables, a media playlist its timeline. It returns the playlist as it reads
// under its master.
func (p *Proxy) learn(m *mount, pl *origin.Playlist, came time.Time, name string, says *session.Grant, values map[string]string) *origin.Playlist {
	t := p.timelines.group(m)
	if pl.Doc.Kind == playlist.KindMaster {
		t.masters.learn(name, pl.Doc, m.clipped)
		return pl
	}
	pl = p.timelines.read(pl, values)
	t.learnMedia(lineName(name, says.ByQuery), playlist.Role(says.Role), pl.Doc.Media, came)
	return pl
}

// plan is where the playlist is spliced, for this mount.
func (p *Proxy) plan(m *mount, pl *origin.Playlist) *playlist.Plan {
	moved := m.moved(pl)
	return pl.Plan(m.prefix, moved, func() *playlist.Plan {
		plan := pl.Doc.Plan(p.routes.mapper(m), moved)
		p.metrics.leftAlone(plan.Foreign + plan.Unresolved)
		return plan
	})
}

// moved reports whether a playlist came from another directory than the client's URL stands for, so that its relative URIs
// mean something else to the client.
func (m *mount) moved(pl *origin.Playlist) bool {
	for _, base := range m.bases {
		if rest, ok := strings.CutPrefix(pl.Place, base); ok && rest == m.rest {
			return false // it is what was asked for, to the letter
		}
	}
	path, ok := m.edgePath(pl.URL)
	return !ok || directory(path) != directory(m.prefix+m.rest)
}

// changedParams names the parameters that a playlist reads from its URL and that are something else in the URL that the player has, because the
// origin redirected: what the variable is to the player, the edge must not guess.
func changedParams(r *http.Request, pl *origin.Playlist) (names []string) {
	for _, name := range pl.Doc.Params {
		ours, ok := playlist.Param(pl.URL.RawQuery, name)
		theirs, has := playlist.Param(r.URL.RawQuery, name)
		if ok && (!has || ours != theirs) {
			names = append(names, name)
		}
	}
	return names
}

// movedQuery is where a player must be sent for the sake of a playlist's variables: EXT-X-DEFINE:QUERYPARAM reads the URL that the origin
// redirected to (rfc8216bis, 4.4.2.3), and the player has not seen that redirect. Who has the parameter already is not sent again, whatever
// its value, or an origin that changes it each time would keep him on the way for ever.
func (m *mount) movedQuery(r *http.Request, pl *origin.Playlist) (location string, ok bool) {
	if len(pl.Doc.Params) == 0 {
		return "", false
	}
	for _, name := range pl.Doc.Params {
		ok = ok || hasParam(pl.URL.RawQuery, name) && !hasParam(r.URL.RawQuery, name)
	}
	path, mapped := m.edgePath(pl.URL)
	if !ok || !mapped || strings.HasPrefix(path, "//") { // it would name a host
		return "", false
	}
	location = path + "?" + pl.URL.RawQuery
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if playlist.StripQuery(pair, m.stream.ours...) != pair { // what shows who he is among them
			location += "&" + pair
		}
	}
	return location, true
}

func hasParam(query, name string) bool { return playlist.StripQuery(query, name) != query }

func directory(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

func playlistHead(h http.Header, pl *origin.Playlist, served origin.Served) {
	servedHead(h, served)
	contentType := pl.ContentType
	if pl.Doc != nil && !pl.Typed {
		contentType = "application/vnd.apple.mpegurl"
	}
	if contentType != "" {
		h["Content-Type"] = []string{contentType}
	}
	h["Cache-Control"] = forNobodyElse
	h["Vary"] = byEncoding
}

// Values of headers that are the same each time; nobody writes to them.
var (
	forNobodyElse = []string{"private, no-store"}
	byEncoding    = []string{"Accept-Encoding"}
)

// minGzip is the size below which compressing a playlist saves no packet.
const minGzip = 1400

var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// writeText sends a playlist, compressed where the client takes it.
func writeText(w *answer, r *http.Request, text []byte) error {
	if len(text) >= minGzip && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		packed := texts.Get().(*[]byte)
		defer putText(w, packed)
		if err := compress(packed, text); err == nil {
			w.Header().Set("Content-Encoding", "gzip")
			text = *packed
		}
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(http.StatusOK)
	w.Write(text) // an error means that the client has gone
	return nil
}

func compress(dst *[]byte, text []byte) error {
	buf := bytes.NewBuffer((*dst)[:0])
	defer func() { *dst = buf.Bytes() }()
	z := gzips.Get().(*gzip.Writer)
	defer gzips.Put(z)
	z.Reset(buf)
	if _, err := z.Write(text); err != nil {
		return err
	}
	return z.Close()
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3): gzip, or anything, unless its weight is zero.
func acceptsGzip(header string) bool {
	any := false
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return !weightless(params)
		case "*":
			any = !weightless(params)
		}
	}
	return any
}

// weightless tells whether parameters hold a weight of zero, or one that is none.
func weightless(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err != nil || q <= 0
		}
	}
	return false
}
