package proxy

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/grafana/regexp"

	"earshot/relay"
)

// Stream is one configured stream.
type Stream struct {
	Group string // group key of HLS; may name captures of Match as ${name}
	Key   string // stream key of ICY

	Path  string         // at the edge: a prefix that ends in "/" for HLS, the whole path for ICY
	Match *regexp.Regexp // instead of Path: matches the beginning of the path

	HLS []string // prefixes at the origins, in failover order; may name captures
	ICY []string // mounts at the origins, in failover order

	Mount    relay.Mount // of ICY; Key and Origins are filled in
	Overflow string      // of ICY: URL where listeners are sent for whom there is no room; may name captures
	Query    []string    // parameters that go upstream; nil: all but ours
	Follow   []string    // hosts that the origin may redirect to

	Open bool // nobody need show who he is

	via  string   // Follow, as caches tell it from another's
	ours []string // parameters that do not go upstream
}

// mount is a stream as one request meets it, captures expanded.
type mount struct {
	stream *Stream
	group  string   // what sessions are filed under
	prefix string   // at the edge, escaped; "/" at its end for HLS
	bases  []string // the prefix at the origins
	rest   string   // of the path, escaped, below the prefix

	overflow string // where listeners are sent for whom there is no room; empty: nowhere

	clipped bool // the query was too long to be part of the playlist's name
}

// routes finds the stream that a path belongs to. It takes paths as the client wrote them: nothing is cleaned, joined
// or redirected on the way (http.ServeMux does all three).
type routes struct {
	icy      map[string]*Stream
	prefixes []*Stream // longest first
	patterns []*Stream // in order of configuration

	fixed    []prefix  // at the origins, of the streams with a path
	reversed []reverse // of the streams with a pattern
}

func newRoutes(streams []*Stream) *routes {
	r := &routes{icy: make(map[string]*Stream)}
	for _, s := range streams {
		s.via, s.ours = strings.Join(s.Follow, ","), ourParams
		switch {
		case s.Match != nil:
			r.patterns = append(r.patterns, s)
		case len(s.ICY) > 0:
			r.icy[s.Path] = s
		default:
			r.prefixes = append(r.prefixes, s)
		}
	}
	slices.SortStableFunc(r.prefixes, func(a, b *Stream) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	for _, s := range r.prefixes {
		r.fixed = append(r.fixed, prefixes(s.Path, s.HLS)...)
	}
	for _, s := range r.patterns {
		r.reversed = append(r.reversed, reversals(s)...)
	}
	return r
}

// find returns the mount for an escaped path, or nil.
func (r *routes) find(path string) *mount {
	if s, ok := r.icy[upperEscapes(path)]; ok {
		return s.fixed()
	}
	for _, s := range r.prefixes {
		if rest, ok := strings.CutPrefix(path, s.Path); ok {
			return s.mount(s.Group, s.Path, rest, s.HLS)
		}
	}
	for _, s := range r.patterns {
		if m := s.match(path); m != nil {
			return m
		}
	}
	return nil
}

// fixed is the mount of an ICY stream that has a path.
func (s *Stream) fixed() *mount {
	return &mount{stream: s, group: s.Key, prefix: s.Path, bases: s.ICY, overflow: s.Overflow}
}

func (s *Stream) mount(group, prefix, rest string, bases []string) *mount {
	return &mount{stream: s, group: group, prefix: prefix, rest: rest, bases: bases}
}

// match tries a pattern. What it matches at the beginning of the path is the prefix; the rest goes to the origin.
func (s *Stream) match(path string) *mount {
	at := s.Match.FindStringSubmatchIndex(path)
	if at == nil || at[0] != 0 {
		return nil
	}
	expand := func(template string) string {
		return string(s.Match.ExpandString(nil, template, path, at))
	}
	prefix, rest := path[:at[1]], path[at[1]:]
	key, bases := s.Group, s.HLS
	if len(s.ICY) > 0 {
		if rest != "" {
			return nil
		}
		key, bases = s.Key, s.ICY
	}
	if key = expand(key); len(key) > maxKey || strings.Contains(key, "%") {
		return nil // no channel is called that, and another spelling of one would count as another
	}
	m := s.mount(key, prefix, rest, expandAll(bases, expand))
	if s.Overflow != "" {
		m.overflow = expandAll([]string{s.Overflow}, expand)[0]
	}
	return m
}

// maxKey bounds group and stream keys, in bytes; the configuration holds those it names to the same.
const maxKey = 128

// expandAll fills captures into URLs. In a query they are escaped once more: a capture may hold what parts parameters.
func expandAll(templates []string, expand func(string) string) []string {
	out := make([]string, len(templates))
	for i, t := range templates {
		path, query, ok := strings.Cut(t, "?")
		if out[i] = expand(path); ok {
			out[i] += "?" + queryReserved.Replace(expand(strings.ReplaceAll(query, "&", "\x00")))
		}
	}
	return out
}

// queryReserved escapes what a capture may hold and a query parts its parameters by; the template's own ampersands stand as NULs.
var queryReserved = strings.NewReplacer("&", "%26", ";", "%3B", "+", "%2B", "\x00", "&")

// plain is an escaped path in which what need not be escaped is not (RFC 3986, 6.2.2.2), so that each path has one spelling.
func plain(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil && unreserved(byte(c)) {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// upperEscapes is an escaped path whose escapes are in upper case, as the configured ones are (RFC 3986, 6.2.2.1). What goes on to an origin stays
// as it came: it may be signed.
func upperEscapes(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	out := []byte(path)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], bytes.ToUpper(out[i+1:i+3]))
		}
	}
	return string(out)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// safe refuses paths that would lead out of the prefix once the origin resolves them, or break a line of its log.
func safe(u *url.URL) bool {
	dots, other := 0, false // what the segment holds so far
	for i := range len(u.Path) {
		switch c := u.Path[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case c == '/' || c == '\\':
			if climbs(dots, other) {
				return false
			}
			dots, other = 0, false
		case c == '.':
			dots++
		default:
			other = true
		}
	}
	return !climbs(dots, other)
}

// climbs reports whether a segment of so many dots, and other bytes or not, is "." or "..".
func climbs(dots int, other bool) bool { return !other && (dots == 1 || dots == 2) }

// follow reports whether a redirect of this mount may lead to u: to one of its own origins, or to a host named in the configuration, there
// to the ports of its own origins and the usual ones unless the name has a port.
func (m *mount) follow(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	usual := portOf(u) == usualPort(u.Scheme)
	known := usual
	for _, base := range m.bases {
		b, err := url.Parse(base)
		if err != nil {
			continue
		}
		own := portOf(b) == portOf(u)
		downgrade := b.Scheme == "https" && u.Scheme == "http"
		upgrade := usual && portOf(b) == usualPort(b.Scheme) // from http to https, mostly
		if strings.EqualFold(b.Hostname(), u.Hostname()) && !downgrade && (own || upgrade) {
			return true
		}
		known = known || own
	}
	return slices.ContainsFunc(m.stream.Follow, func(host string) bool {
		f := url.URL{Host: host}
		return strings.EqualFold(f.Hostname(), u.Hostname()) && (f.Port() == portOf(u) || f.Port() == "" && known)
	})
}

// portOf is the port of a URL, by default its scheme's.
func portOf(u *url.URL) string { return cmp.Or(u.Port(), usualPort(u.Scheme)) }

func usualPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
