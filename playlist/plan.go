package playlist

import (
	"net/url"
	"strings"
)

// Mapper decides what is ours. Given the absolute URL that a URI resolves to, it returns the escaped path at
// the edge, without a query, that stands for it; or ok=false if the URL is not ours, and the URI is left alone.
type Mapper func(u *url.URL) (edgePath string, ok bool)

// Plan tells where in a playlist a session's parameters go. It is computed once for a version of the playlist
// and a mount, and shared by all sessions: it is immutable.
type Plan struct {
	Foreign    int  // URIs of the web that the Mapper does not own, left alone
	Unresolved int  // URIs with an unknown variable, a broken quote or a form players disagree on, left alone
	HasBOM     bool // the body begins with a byte order mark, which RFC 8216, 4.1 forbids; it is passed on

	text  []byte      // the body, with our old parameters gone and edge paths in place
	cuts  []cut       // where to insert, ascending
	count [owners]int // cuts of each owner
}

// cut is a place in the text where parameters go.
type cut struct {
	at   int
	kind cutKind
}

// cutKind says whose grant goes in, and what joins the parameters to the URI.
type cutKind uint8

const cutAmp cutKind = 1 // the URI has a query already: '&' rather than '?'

func (k cutKind) owner() owner { return owner(k >> 1) }

// owner is who gives the grant that a URI carries.
type owner uint8

const (
	ofPlaylist owner = iota // Additions.Grant
	ofMaster                // Additions.MasterGrant
	ofKeys                  // Additions.KeyGrant
	owners
)

// owner: what several playlists of a master name must be written alike in all of them. A rendition report equals
// what the master gave (rfc8216bis, 4.4.5.4); a date range keeps its attributes wherever it stands (4.4.5.1);
// EXT-X-KEY equals EXT-X-SESSION-KEY, or a key would be fetched anew with each playlist.
func (u use) owner() owner {
	switch u {
	case useReport, useData:
		return ofMaster
	case useKey:
		return ofKeys
	}
	return ofPlaylist
}

// HasKeys tells whether a key's URI is among those that are spliced, so that a KeyGrant is of use.
func (p *Plan) HasKeys() bool { return p.count[ofKeys] > 0 }

// Plan computes the splice of this version for one mount. With rebase the document came from another directory
// than the client's URL maps to, so that relative URIs mean something else to the client: those of ours become
// paths at the edge, others absolute URLs. Without it a relative URI stays relative.
func (d *Document) Plan(m Mapper, rebase bool) *Plan {
	pl := &planner{doc: d, mapper: m, rebase: rebase, plan: &Plan{HasBOM: d.bom}}
	pl.plan.cuts = make([]cut, 0, len(d.refs))
	for i, r := range d.refs {
		pl.uri(i, r)
	}
	if pl.out == nil {
		pl.plan.text = d.Body
	} else {
		pl.plan.text = append(pl.out, d.Body[pl.done:]...)
	}
	return pl.plan
}

// planner builds a Plan. Until something of the body has to change, out is nil and the plan's text is the body
// itself.
type planner struct {
	doc    *Document
	mapper Mapper
	rebase bool
	plan   *Plan

	out  []byte
	done int // how much of the body is in out

	edge *resolver // the playlist's own place at the edge, once it is asked for
}

func (pl *planner) uri(i int, r ref) {
	j := pl.doc.judge(i, pl.mapper)
	switch {
	case j.fate == unresolved, pl.tears(r, &j):
		pl.plan.Unresolved++
	case j.fate == foreign:
		pl.plan.Foreign++
		if pl.rebase && j.form != formAbsolute {
			pl.replace(r, absoluteURL(j.url)+fragmentOf(j.text))
		}
	case j.fate == notOfTheWeb:
	case pl.staysRelative(&j) && strings.HasPrefix(j.text, "#"):
		pl.fragmentOnly(r, &j)
	case pl.staysRelative(&j):
		pl.inPlace(r, j.raw, j.expansion)
	default:
		pl.rewrite(r, j.path, j.url, j.text)
	}
}

// tears tells whether what would stand in for a URI without quotes holds a comma, which would end it (RFC 8216, 4.2).
func (pl *planner) tears(r ref, j *judgement) bool {
	if r.use == useLine || j.url == nil || !strings.Contains(j.path+j.url.Path+j.url.RawQuery, ",") {
		return false
	}
	if pl.staysRelative(j) && (j.text[0] != '#' || !strings.Contains(j.url.RawQuery, ",")) {
		return false // nothing is written that was not there
	}
	at := int(r.start)
	for at > 0 && pl.doc.Body[at-1] <= ' ' {
		at--
	}
	return at == 0 || pl.doc.Body[at-1] != '"'
}

// staysRelative: a relative URI does, unless it climbs to what lies elsewhere at the edge, or its dots are written as escapes, which not
// all players take for dots.
func (pl *planner) staysRelative(j *judgement) bool {
	switch {
	case pl.rebase || j.form > formDotted:
		return false
	case j.form == formRelative:
		return true
	}
	return !strings.Contains(j.text, "%2e") && !strings.Contains(j.text, "%2E") && pl.atEdge(j.text) == j.path
}

// atEdge is the path that a relative URI means to a client at the edge.
func (pl *planner) atEdge(text string) string {
	if pl.edge == nil {
		path, ours := pl.mapper(pl.doc.Base)
		if !ours {
			return ""
		}
		base := &url.URL{Scheme: "http", Host: "edge"}
		setPath(base, escapeBytes(path, pathByte))
		r := newResolver(base)
		pl.edge = &r
	}
	u, _ := pl.edge.resolve(text)
	if u == nil {
		return ""
	}
	return requestPath(u)
}

// inPlace leaves the URI as it is written, but for parameters of ours that it already carries. Where those hide
// in a variable's value, or the fragment does, the resolved text has to stand in for the raw one.
func (pl *planner) inPlace(r ref, raw string, x expansion) {
	s := shape(raw, x.tail)
	if x.text != raw {
		if full := shape(x.text, -1); !x.inRaw || full.dropped != s.dropped {
			pl.replace(r, full.text)
			pl.insert(r, len(pl.out)-len(full.text)+full.at, full.amp)
			return
		}
	}
	if s.dropped == 0 {
		pl.insert(r, pl.position(int(r.start)+s.at), s.amp)
		return
	}
	pl.replace(r, s.text)
	pl.insert(r, len(pl.out)-len(s.text)+s.at, s.amp)
}

// fragmentOnly: such a reference keeps the base's query (RFC 3986, 5.2.2), which has to be written out once it has one of its own.
func (pl *planner) fragmentOnly(r ref, j *judgement) {
	s := shape(j.text, -1)
	if j.url.RawQuery != "" {
		s = shape("?"+j.url.RawQuery+j.text, -1)
	}
	pl.replace(r, s.text)
	pl.insert(r, len(pl.out)-len(s.text)+s.at, s.amp)
}

// rewrite puts the path at the edge in the URI's place; its query and fragment stay.
func (pl *planner) rewrite(r ref, path string, u *url.URL, text string) {
	if u.RawQuery != "" || strings.Contains(beforeFragment(text), "?") {
		path += "?" + u.RawQuery
	}
	s := shape(path+fragmentOf(text), -1)
	pl.replace(r, s.text)
	pl.insert(r, len(pl.out)-len(s.text)+s.at, s.amp)
}

// replace puts text in the place of a URI.
func (pl *planner) replace(r ref, text string) {
	if pl.out == nil {
		pl.out = make([]byte, 0, len(pl.doc.Body)+256)
	}
	pl.out = append(pl.out, pl.doc.Body[pl.done:r.start]...)
	pl.out = append(pl.out, text...)
	pl.done = int(r.end)
}

// position is where a place of the body is in the plan's text.
func (pl *planner) position(at int) int {
	if pl.out == nil {
		return at
	}
	return len(pl.out) + at - pl.done
}

func (pl *planner) insert(r ref, at int, amp bool) {
	o := r.use.owner()
	k := cutKind(o << 1)
	if amp {
		k |= cutAmp
	}
	pl.plan.cuts = append(pl.plan.cuts, cut{at, k})
	pl.plan.count[o]++
}

// shaped is a URI ready to be added to.
type shaped struct {
	text    string
	at      int  // where parameters go
	amp     bool // there is a query already
	dropped int  // how many of our parameters were taken out
}

// shape takes our own parameters out of a URI. tail is where the query goes on in a URI whose query begins in a
// variable's value, else -1. An empty query ("a?") stays a query, so that taking ours out gives it back.
func shape(uri string, tail int) shaped {
	end := len(beforeFragment(uri))
	body, fragment := uri[:end], uri[end:]
	start, inside := tail, tail >= 0 && tail <= end // a fragment has no query in it (RFC 3986, 3.5)
	if !inside {
		start = strings.IndexByte(body, '?') + 1
		if start == 0 {
			return shaped{text: uri, at: end}
		}
	}
	query, left := stripTokens(body[start:], inside, SessionParam, GrantParam)
	dropped := strings.Count(body[start:], "&") + 1 - left
	if dropped == 0 {
		return shaped{text: uri, at: end, amp: true}
	}
	body = body[:start] + query
	if left == 0 {
		body = body[:start-1]
	}
	return shaped{text: body + fragment, at: len(body), amp: left > 0, dropped: dropped}
}

func beforeFragment(uri string) string {
	s, _, _ := strings.Cut(uri, "#")
	return s
}

func fragmentOf(uri string) string { return uri[len(beforeFragment(uri)):] }

// absoluteURL writes a URL out as it is, without user and fragment.
func absoluteURL(u *url.URL) string {
	s := u.Scheme + "://" + u.Host + requestPath(u)
	if u.RawQuery != "" || u.ForceQuery {
		s += "?" + u.RawQuery
	}
	return s
}
