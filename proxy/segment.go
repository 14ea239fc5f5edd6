package proxy

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"earshot/listen"
	"earshot/origin"
	"earshot/playlist"
	"earshot/session"
)

// serveMedia sends a segment, part, init section or key as it comes from the origin, and meters it. What turns out to be a playlist by its type is
// answered as one.
func (p *Proxy) serveMedia(w *answer, r *http.Request, m *mount, c *conn) (requestKind, error) {
	in := reference{}
	a, err := p.approach(r, m, func() string {
		in = p.belongs(r, m)
		return in.within(m)
	}, session.PieceOf(m.rest, r.Header.Get("Range")))
	defer p.abandon(&a)
	if err != nil {
		return segmentKind, err
	}
	switch g := a.who.grant; {
	case g != nil && namesPlaylist(g):
		in = reference{name: g.Playlist, line: lineName(g.Playlist, g.ByQuery), role: playlist.Role(g.Role), master: g.Master}
	case !a.bare:
		in = p.belongs(r, m)
	}
	what := in.within(m)
	query := m.upstreamQuery(r.URL.RawQuery)
	src := m.source(m.rest, query)
	src.Target = p.timelines.target(m, in.line)
	src.Listed = func() bool { return p.timelines.lists(m, in.line, query) }
	media, err := p.opt.Origin.Open(r.Context(), r.Method, src, r.Header)
	if errors.Is(err, origin.ErrPlaylist) {
		return playlistKind, p.unnamedPlaylist(w, r, m, &a)
	}
	if err != nil {
		return segmentKind, fetchFailed(m.group, err)
	}
	defer media.Body.Close()
	mediaHead(w.Header(), media)
	if r.Method == http.MethodHead || media.Status == http.StatusNotModified || media.Status == http.StatusRequestedRangeNotSatisfiable {
		w.WriteHeader(media.Status)
		return segmentKind, nil
	}
	s, fresh, err := p.admit(r, &a)
	if err != nil {
		return segmentKind, err
	}
	if fresh && s.Start() {
		p.begin(s, false)
	}
	place := &placer{timelines: p.timelines, metrics: p.metrics, timeline: p.timelines.group(m), mount: m, in: in,
		resources: m.resources(m.rest, query), media: isMedia(media.Header.Get("Content-Type"), m.rest), began: time.Now()}
	place.base, place.total = extent(media)
	place.document = isDocument(media.Header.Get("Content-Type"))
	place.small = !place.media && place.total >= 0 && place.total <= maxKeySize // of all of it, whatever range was asked for
	place.key = place.small && a.who.grant != nil && a.who.grant.Role == session.RoleKey
	place.class() // asks for the playlist at once where this edge has not seen it
	held := c.hold(w.ResponseWriter)
	transfer := p.account(s).Open(listen.Body{Stream: streamKey(m.group, what), Length: media.Length,
		Placer: place, Unsent: held.asked()})
	held.sends(transfer)
	w.WriteHeader(media.Status)
	p.send(w, r, media, transfer)
	return segmentKind, nil
}

// unnamedPlaylist answers with what is a playlist by its type and not by its path.
func (p *Proxy) unnamedPlaylist(w *answer, r *http.Request, m *mount, a *admission) error {
	if r.Method == http.MethodHead {
		return p.headPlaylist(w, r, m)
	}
	pl, served, err := p.opt.Origin.Playlist(r.Context(), m.source(m.rest, m.upstreamQuery(r.URL.RawQuery)))
	if err != nil {
		return fetchFailed(m.group, err)
	}
	return p.answerPlaylist(w, r, m, pl, served, m.playlistName(r.URL.RawQuery), a)
}

// maxKeySize is the most that a key has: those of AES-128 are 16 bytes long, those of other systems are documents.
const maxKeySize = 4096

// belongs names the playlist that lists what is asked for, as far as this edge has seen.
func (p *Proxy) belongs(r *http.Request, m *mount) reference {
	t, ok := p.timelines.find(m)
	if !ok {
		return reference{}
	}
	for _, resource := range m.resources(m.rest, m.upstreamQuery(r.URL.RawQuery)) {
		if name, role, ok := t.Find(resource); ok {
			return reference{name: name, line: name, role: role}
		}
	}
	return reference{}
}

// within is what a request for media belongs to: the playlist that lists it, or else its directory.
func (in reference) within(m *mount) string {
	if in.line != "" {
		return in.line
	}
	return directory(m.rest)
}

// namesPlaylist tells whether a grant says which media playlist a URI stands in.
func namesPlaylist(g *session.Grant) bool {
	return g.Role != session.RoleMaster && g.Role != session.RoleKey
}

func mediaHead(h http.Header, m *origin.Media) {
	maps.Copy(h, m.Header)
	servedHead(h, m.Served)
	if m.Length >= 0 && m.Status != http.StatusNotModified {
		h["Content-Length"] = []string{strconv.FormatInt(m.Length, 10)}
	}
}

// servedHead says how the edge came by an answer.
func servedHead(h http.Header, s origin.Served) {
	h["Cache-Status"] = []string{s.CacheStatus()}
	if s.Age > 0 || s.Status != origin.Bypass {
		h["Age"] = []string{s.AgeHeader()}
	}
}

// extent is where the body begins in its resource and how long that is, −1 if it is unknown.
func extent(m *origin.Media) (base, total int64) {
	if m.Status != http.StatusPartialContent {
		return 0, m.Length
	}
	// Content-Range: bytes 0-499/1234 (RFC 9110, 14.4)
	from, rest, _ := strings.Cut(strings.TrimPrefix(m.Header.Get("Content-Range"), "bytes "), "-")
	_, size, _ := strings.Cut(rest, "/")
	base, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	if err != nil || base < 0 {
		return 0, -1
	}
	total, err = strconv.ParseInt(strings.TrimSpace(size), 10, 64)
	if err != nil || total < base {
		return base, -1
	}
	return base, total
}

// isMedia tells media from what else lies beside it, by type and, where the type says nothing, by name.
func isMedia(contentType, path string) bool {
	if strings.HasPrefix(contentType, "audio/") || strings.HasPrefix(contentType, "video/") {
		return true
	}
	i := strings.LastIndexByte(path, '.')
	switch strings.ToLower(path[i+1:]) {
	case "ts", "aac", "mp3", "ac3", "ec3", "m4s", "m4a", "m4v", "mp4", "cmfa", "cmfv":
		return true
	}
	return false
}

// isDocument tells data that playlists point to from media: EXT-X-SESSION-DATA and X-ASSET-LIST are JSON (rfc8216bis, 4.4.6.4 and D.2).
func isDocument(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "application/json" || strings.HasSuffix(t, "+json")
}

// send sends the body and meters it. When the origin breaks off, or the listener leaves, the answer is cut: a body that is
// short must look short.
func (p *Proxy) send(w *answer, r *http.Request, m *origin.Media, t *listen.Transfer) {
	c, told := connOf(r), false
	defer func() {
		if !told { // a panic
			t.Broke()
		}
		c.finished(t)
	}()
	_, err := listen.NewWriter(cork(w.ResponseWriter, r, c), t).ReadFrom(m.Body)
	told = true
	switch {
	case err == nil:
		t.Finish(false)
	case errors.Is(err, listen.ErrWrite), r.Context().Err() != nil: // the listener has left, and the fetch ends with him
		if r.ProtoMajor < 2 {
			t.Finish(true)
		} else {
			t.Broke() // the stream; what the connection was given of it leaves, or is lost with the connection
		}
		w.cut = true
		p.metrics.responseCut()
	default:
		http.NewResponseController(w.ResponseWriter).Flush() // what was counted must leave
		t.Broke()
		w.cut = true
	}
}
