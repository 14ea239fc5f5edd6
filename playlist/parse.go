package playlist

import (
	"bytes"
	"slices"
	"strings"
)

// ref is a URI in the body: [start, end) without quotes and surrounding space.
type ref struct {
	start, end int32
	use        use
}

// parser takes a body in, line by line.
type parser struct {
	doc   *Document
	vars  variables
	media *mediaBuilder // becomes Document.Media if the document is of KindMedia
	err   error

	named int // bytes of Resources made so far

	// The URI named last: byte-range segments name one resource many times.
	lastRaw []byte
	lastRes string
}

func (p *parser) line(start, end int) {
	from, to := trim(p.doc.Body, start, end)
	switch {
	case from == to:
	case p.doc.Body[from] != '#':
		p.uriLine(from, to)
	case from == start:
		p.tag(from, to)
	}
}

// uriLine takes in a line that is neither blank nor begins with '#' (RFC 8216, 4.1).
func (p *parser) uriLine(start, end int) {
	res := p.uri(ref{int32(start), int32(end), useLine}, true)
	switch p.doc.Kind {
	case KindMedia:
		if !p.media.segment(res) {
			p.err = ErrTooLarge
		}
	case KindMaster:
		p.child(res, RoleVariant)
	}
}

func (p *parser) tag(start, end int) {
	line := p.doc.Body[start:end]
	name, at := tagName(line)
	t, known := tags[string(name)]
	if !known {
		return
	}
	res := ""
	named := len(t.uris) > 0 && (t.without == nil || !t.without(line[at:]))
	for list := (attrs{line, at}); named; {
		a, ok := list.next()
		if !ok {
			break
		}
		if a.start == a.end || !among(t.uris, a.name) {
			continue
		}
		r := ref{int32(start + a.start), int32(start + a.end), t.use}
		if a.broken {
			p.refuse(r)
			continue
		}
		res = p.uri(r, a.quoted)
	}
	if t.read != nil {
		t.read(p, line[at:], res)
	}
}

func among(names []string, name []byte) bool {
	for _, n := range names {
		if string(name) == n {
			return true
		}
	}
	return false
}

// uri keeps a URI for the plan and returns the Resource that it addresses, or "" if nothing needs it, it does
// not resolve, or it is not of the web. Variables stand only in URI lines and quoted strings (rfc8216bis, 4.3).
func (p *parser) uri(r ref, quoted bool) string {
	raw := p.doc.Body[r.start:r.end]
	if bytes.Contains(raw, []byte("{$")) {
		return p.uriWithVariables(r, string(raw), quoted)
	}
	p.keep(r)
	if !r.use.named() {
		return ""
	}
	if p.lastRaw == nil || !bytes.Equal(raw, p.lastRaw) {
		p.lastRaw, p.lastRes = raw, p.name(string(raw))
	}
	if r.use == useKey {
		p.key(p.lastRes)
	}
	return p.lastRes
}

func (p *parser) uriWithVariables(r ref, raw string, quoted bool) string {
	x, referred := p.vars.expand(raw)
	if !referred {
		x = plainText(raw)
	}
	x.text = strings.TrimFunc(x.text, func(r rune) bool { return r <= ' ' })
	x.ok = x.ok && (quoted || !referred) && x.text != "" && x.text[0] != '#'
	p.keepExpanded(r, x)
	if !x.ok {
		return ""
	}
	res := p.name(x.text)
	if r.use == useKey {
		p.key(res)
	}
	return res
}

// name is the Resource of a URI. A long base under many short URIs is bounded here.
func (p *parser) name(uri string) string {
	res := p.doc.resolver.resource(uri)
	if p.named += len(res); p.named > maxNamed+16*len(p.doc.Body) {
		p.err = ErrTooLarge
	}
	return res
}

// refuse keeps a URI that cannot be read, so that it is counted.
func (p *parser) refuse(r ref) { p.keepExpanded(r, expansion{}) }

func (p *parser) keepExpanded(r ref, x expansion) {
	if p.doc.expanded == nil {
		p.doc.expanded = make(map[int]expansion)
	}
	p.doc.expanded[len(p.doc.refs)] = x
	p.keep(r)
}

func (p *parser) keep(r ref) {
	if len(p.doc.refs) >= maxURIs {
		p.err = ErrTooLarge
		return
	}
	p.doc.refs = append(p.doc.refs, r)
}

func (p *parser) key(res string) {
	if res == "" {
		return
	}
	if p.doc.Keys == nil {
		p.doc.Keys = make(map[string]struct{})
	}
	p.doc.Keys[res] = struct{}{}
}

// child takes in a playlist that a master names.
func (p *parser) child(res string, role Role) {
	d := p.doc
	if res == "" || d.Kind != KindMaster {
		return
	}
	if i, ok := d.childAt[res]; ok {
		if role == RoleVariant {
			d.Children[i].Role = role
		}
		return
	}
	if d.childAt == nil {
		d.childAt = make(map[string]int)
	}
	d.childAt[res] = len(d.Children)
	d.Children = append(d.Children, Child{URL: res, Role: role})
}

// closedCaptions are in the video: an EXT-X-MEDIA of that type names no playlist (rfc8216bis, 4.4.6.1).
func closedCaptions(value []byte) bool {
	for list := (attrs{value, 0}); ; {
		a, ok := list.next()
		if !ok {
			return false
		}
		if string(a.name) == "TYPE" {
			return string(value[a.start:a.end]) == "CLOSED-CAPTIONS"
		}
	}
}

func (p *parser) readChild(_ []byte, res string)   { p.child(res, RoleRendition) }
func (p *parser) readIFrames(_ []byte, res string) { p.child(res, RoleIFrame) }

// readDefine takes in EXT-X-DEFINE (rfc8216bis, 4.4.2.3). What IMPORT names stays unknown until the master's
// values are there (Document.Import).
func (p *parser) readDefine(value []byte, _ string) {
	var name, param, imported string
	var val []byte
	hasValue := false
	for list := (attrs{value, 0}); ; {
		a, ok := list.next()
		if !ok {
			break
		}
		if a.broken {
			return
		}
		text := value[a.start:a.end]
		switch string(a.name) {
		case "NAME":
			name = string(text)
		case "VALUE":
			val, hasValue = text, true
		case "QUERYPARAM":
			param = string(text)
		case "IMPORT":
			imported = string(text)
		}
	}
	switch {
	case name != "" && hasValue:
		p.vars.define(name, string(val))
	case param != "":
		if addName(&p.doc.Params, param) {
			p.vars.fromQuery(param)
		}
	case imported != "":
		if addName(&p.doc.Imports, imported) {
			p.vars.fromMaster(imported)
		}
	}
}

// addName tells whether a name is new, and not one too many.
func addName(names *[]string, name string) bool {
	if len(*names) >= maxImports || slices.Contains(*names, name) {
		return false
	}
	*names = append(*names, name)
	return true
}
