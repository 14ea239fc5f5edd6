package playlist

import (
	"bytes"
	"net/url"
)

// fate is what becomes of a URI.
type fate uint8

const (
	spliced     fate = iota // it is ours
	foreign                 // it is of the web, and the Mapper does not own it
	unresolved              // nobody can say what it addresses, or players disagree
	notOfTheWeb             // data:, skd: and the like
)

// judgement is a URI with all that a splice has to know of it.
type judgement struct {
	raw string // as it stands in the body
	expansion
	url  *url.URL // what it addresses; nil if that is unresolved or not of the web
	form form
	path string // at the edge, if it is ours
	fate fate
}

// judge decides on the i-th URI of the body.
func (d *Document) judge(i int, m Mapper) (j judgement) {
	r := d.refs[i]
	j.raw = string(d.Body[r.start:r.end])
	x, special := d.expanded[i]
	if !special {
		x = plainText(j.raw)
	}
	j.expansion = x
	if !x.ok {
		j.fate = unresolved
		return j
	}
	j.url, j.form = d.resolver.resolve(x.text)
	switch {
	case j.url == nil && j.form == formBroken:
		j.fate = unresolved
		return j
	case j.url == nil:
		j.fate = notOfTheWeb
		return j
	}
	path, ours := m(j.url)
	switch {
	case !ours:
		j.fate = foreign
	case len(path) > 1 && isSlash(path[0]) && isSlash(path[1]):
		j.form, j.fate = formBroken, unresolved // as a reference it would name a host
	}
	j.path = path
	return j
}

// LeftAlone is a URI that a splice does not touch, for a report.
type LeftAlone struct {
	Raw string // as it stands in the playlist
	URL string // what it addresses, without user and fragment; "" if that cannot be said
	Tag string // where it stands; "" for a URI line
}

// LeftAlone names the URIs that a Plan counts as Foreign or Unresolved, in order.
func (d *Document) LeftAlone(m Mapper) []LeftAlone {
	var left []LeftAlone
	for i, r := range d.refs {
		j := d.judge(i, m)
		if j.fate != foreign && j.fate != unresolved {
			continue
		}
		l := LeftAlone{Raw: j.raw, Tag: d.tagAt(int(r.start))}
		if j.url != nil {
			l.URL = absoluteURL(j.url)
		}
		left = append(left, l)
	}
	return left
}

// tagAt is the name of the tag on the line around a place; "" if there is none.
func (d *Document) tagAt(at int) string {
	start := bytes.LastIndexByte(d.Body[:at], '\n') + 1
	end, _ := lineEnd(d.Body, start)
	name, _ := tagName(d.Body[start:end])
	return string(name)
}
