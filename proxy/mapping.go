package proxy

import (
	"net/url"
	"strings"

	"github.com/grafana/regexp"
	"github.com/grafana/regexp/syntax"

	"earshot/playlist"
)

// prefix is what lies below a URL at an origin, and where it lies at the edge.
type prefix struct {
	origin string // as below compares it
	edge   string // escaped path
}

func prefixes(edge string, bases []string) []prefix {
	var ps []prefix
	for _, base := range bases {
		if u, err := url.Parse(base); err == nil {
			ps = append(ps, prefix{place(u), edge})
		}
	}
	return ps
}

// place is a URL as two of them are compared: host in lower case, no default port, no escape that need not be, no query.
func place(u *url.URL) string {
	name, _, _ := strings.Cut(playlist.Resource(u), "?")
	return plain(name)
}

// edgePath is the path at the edge for a place at the origin.
func (p prefix) edgePath(place string) (string, bool) {
	rest, ok := strings.CutPrefix(place, p.origin)
	return p.edge + rest, ok
}

// edgePath maps a URL of the mount's own origins to the path at the edge that serves it.
func (m *mount) edgePath(u *url.URL) (string, bool) {
	if !safe(u) {
		return "", false
	}
	at := place(u)
	for _, p := range prefixes(m.prefix, m.bases) {
		if path, ok := p.edgePath(at); ok {
			return path, true
		}
	}
	return "", false
}

// mapper maps URLs of any configured origin: first by the mount itself, then by the other streams.
func (r *routes) mapper(m *mount) playlist.Mapper {
	own := prefixes(m.prefix, m.bases)
	return func(u *url.URL) (string, bool) {
		if !safe(u) {
			return "", false
		}
		at := place(u)
		for _, p := range own {
			if path, ok := p.edgePath(at); ok && r.staysIn(m, path) {
				return path, true
			}
		}
		for _, p := range r.fixed {
			if path, ok := p.edgePath(at); ok && r.leads(path, at) {
				return path, true
			}
		}
		for i := range r.reversed {
			if path, ok := r.reversed[i].edgePath(at); ok && r.leads(path, at) {
				return path, true
			}
		}
		return "", false
	}
}

// staysIn tells whether a request for a path below the mount's prefix would be routed to the mount.
func (r *routes) staysIn(m *mount, path string) bool {
	found := r.find(path)
	return found != nil && found.stream == m.stream && found.prefix == m.prefix
}

// leads tells whether a request for the path would be routed to that place at the origin: another stream's path or pattern may take it.
func (r *routes) leads(path, place string) bool {
	m := r.find(path)
	if m == nil || len(m.stream.HLS) == 0 {
		return false
	}
	for _, p := range prefixes("", m.bases) {
		if rest, ok := p.edgePath(place); ok && rest == m.rest {
			return true
		}
	}
	return false
}

// reverse is a pattern's stream seen from one of its origins.
type reverse struct {
	origin *regexp.Regexp // what the template may have become
	path   []piece        // the pattern, as what it matches
}

// piece is a part of a pattern: text, or a capture by its name.
type piece struct{ text, capture string }

// template is a capture in an origin's URL.
var template = regexp.MustCompile(`\$\{(\w+)\}`)

// reversals are there if the pattern is made of plain text and captures alone, and all of these stand in the origin's URL. For another, URLs
// of the origin do not tell what the path was.
func reversals(s *Stream) []reverse {
	path, inner, ok := pieces(s.Match.String())
	if !ok {
		return nil
	}
	var rs []reverse
	for _, base := range s.HLS {
		if re := templatePattern(base, inner); re != nil {
			rs = append(rs, reverse{re, path})
		}
	}
	return rs
}

// pieces takes a pattern apart; inner is what each capture matches.
func pieces(pattern string) (path []piece, inner map[string]string, ok bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, nil, false
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	inner = make(map[string]string)
	for _, part := range parts {
		switch part.Op {
		case syntax.OpBeginText, syntax.OpEmptyMatch:
		case syntax.OpLiteral:
			path = append(path, piece{text: string(part.Rune)})
		case syntax.OpCapture:
			path = append(path, piece{capture: part.Name})
			inner[part.Name] = part.Sub[0].String()
		default:
			return nil, nil, false
		}
	}
	return path, inner, true
}

// hole stands for a capture while the rest of a template is brought into the form of a place. No place that is mapped holds it: see safe.
const hole = "%00"

// templatePattern matches the beginning of a place at the origin; nil if a capture of the path is not in the template.
func templatePattern(base string, inner map[string]string) *regexp.Regexp {
	u, err := url.Parse(template.ReplaceAllLiteralString(base, hole))
	if err != nil {
		return nil
	}
	texts := strings.Split(place(u), hole)
	captures := template.FindAllStringSubmatch(base, -1)
	if len(texts) != len(captures)+1 {
		return nil // one is where no place has anything: in a query, in a password
	}
	var b strings.Builder
	b.WriteString("^" + regexp.QuoteMeta(texts[0]))
	named := make(map[string]bool)
	for i, capture := range captures {
		name := capture[1]
		if named[name] {
			b.WriteString("(?:" + inner[name] + ")")
		} else {
			b.WriteString("(?P<" + name + ">" + inner[name] + ")")
		}
		named[name] = true
		b.WriteString(regexp.QuoteMeta(texts[i+1]))
	}
	for name := range inner {
		if !named[name] {
			return nil
		}
	}
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil
	}
	return re
}

// edgePath is a path at the edge that may stand for a place at the origin; whether it does, routes.leads tells.
func (r *reverse) edgePath(place string) (string, bool) {
	at := r.origin.FindStringSubmatchIndex(place)
	if at == nil {
		return "", false
	}
	var b strings.Builder
	for _, p := range r.path {
		if p.capture == "" {
			b.WriteString(p.text)
			continue
		}
		i := 2 * r.origin.SubexpIndex(p.capture)
		b.WriteString(place[at[i]:at[i+1]])
	}
	b.WriteString(place[at[1]:])
	return b.String(), true
}
