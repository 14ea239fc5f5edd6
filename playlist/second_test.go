package playlist

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A second HLS parser, for the tests alone. It was written from RFC 8216 and rfc8216bis and not from the
// package, and in another way, so that a mistake of one is not a mistake of both: lines, regular expressions and
// net/url instead of a scan, clear rather than fast. The properties that use it are in the second_*_test.go
// beside it.

// second is what it reads.
type second struct {
	kind     string // "master", "media", or "" where the tags do not settle it
	master   bool   // there are tags of a master
	tokens   []secondToken
	tags     []secondTag
	segments []secondSegment
	vars     map[string]secondVar
	wild     []int // numbers of lines in the table whose attribute list has quotes where RFC 8216, 4.2 has none
}

// secondToken is a URI: body[start:end], text, as it stands.
type secondToken struct {
	start, end int
	line       int
	tag, attr  string // of a URI line the tag that it belongs to ("EXTINF", "EXT-X-STREAM-INF" or ""), and no attr
	text       string
	quoted     bool // or a URI line: a comma is part of it
	secondText      // with its variables put in
}

type secondTag struct {
	name  string
	value string // if it is no attribute list
	attrs []secondAttr
}

type secondAttr struct {
	name, value string // of a URI in the table the number of the token
	quoted      bool
	start, end  int // of the value in the body, without quotes and spaces around it; 0 in a secondTag
}

type secondSegment struct {
	uri                        int // the number of its token, -1 for parts whose segment is to come
	duration, title, byteRange string
	pdt                        string
	discontinuity, gap         bool
	keys, parts                []int // numbers of tags
	mapTag                     int   // number of the tag, -1 is none
}

// secondURIs is the table of tags that carry URIs (docs: what is spliced); URI lines are the rest of it.
var secondURIs = map[string][]string{
	"EXT-X-I-FRAME-STREAM-INF": {"URI"},
	"EXT-X-IMAGE-STREAM-INF":   {"URI"},
	"EXT-X-MEDIA":              {"URI"},
	"EXT-X-MAP":                {"URI"},
	"EXT-X-PART":               {"URI"},
	"EXT-X-PRELOAD-HINT":       {"URI"},
	"EXT-X-RENDITION-REPORT":   {"URI"},
	"EXT-X-KEY":                {"URI"},
	"EXT-X-SESSION-KEY":        {"URI"},
	"EXT-X-SESSION-DATA":       {"URI"},
	"EXT-X-DATERANGE":          {"X-ASSET-URI", "X-ASSET-LIST", "X-URI"},
}

// secondLists have attributes, but no URI that the edge may touch.
var secondLists = []string{"EXT-X-DEFINE", "EXT-X-STREAM-INF", "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-START",
	"EXT-X-SKIP", "EXT-X-CONTENT-STEERING"}

// secondKindTags are those that settleKind looks at.
var secondKindTags = []string{"EXTINF", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-PART", "EXT-X-STREAM-INF",
	"EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA", "EXT-X-SESSION-KEY"}

var (
	secondTagRE  = regexp.MustCompile(`^#(EXT[^:]*)(?::(.*))?$`)
	secondAttrRE = regexp.MustCompile(`^[\x00- ]*([^=,"]*?)[\x00- ]*=[ \t]*(?:"([^"]*)"|([^",]*?))[ \t]*(?:,|$)`)
	secondOpenRE = regexp.MustCompile(`^[^=,"]*=[ \t]*"[^"]*$`) // a quote that never closes
	secondInfRE  = regexp.MustCompile(`^([^,]*)(?:,(.*))?$`)
)

type secondReader struct {
	*second
	base        *url.URL
	number      int  // of the line
	wildDefine  bool // from here on no variable is sure
	imports     map[string]string
	pending     secondSegment
	owner       string
	keys        []int
	afterMedia  bool // keys were used by a segment: the next EXT-X-KEY begins a new set
	sawInf      bool
	sawPlaylist bool
}

// secondSpace is what may stand around a URI: all that URL parsers take off before they read.
func secondSpace(r rune) bool { return r <= ' ' }

// readSecond reads a playlist. It reports nothing as an error.
func readSecond(body []byte, base *url.URL, imports map[string]string) *second {
	r := &secondReader{second: &second{vars: map[string]secondVar{}}, base: base, imports: imports}
	r.pending = secondSegment{uri: -1, mapTag: -1}
	at := len(body) - len(bytes.TrimPrefix(body, []byte("\ufeff")))
	for _, line := range strings.SplitAfter(string(body[at:]), "\n") {
		r.line(strings.TrimRightFunc(line, secondSpace), at)
		at += len(line)
		r.number++
	}
	if len(r.pending.parts) > 0 {
		r.segments = append(r.segments, r.pending)
	}
	r.settleKind()
	return r.second
}

func (r *secondReader) line(line string, at int) {
	if m := secondTagRE.FindStringSubmatchIndex(line); m != nil {
		name, value := line[m[2]:m[3]], ""
		if m[4] >= 0 {
			value = line[m[4]:m[5]]
			at += m[4]
		}
		r.tag(name, value, at)
		return
	}
	text := strings.TrimLeftFunc(line, secondSpace)
	if text == "" || text[0] == '#' {
		return
	}
	at += len(line) - len(text)
	r.uri(secondAttr{value: text, quoted: true, start: at, end: at + len(text)}, r.owner)
	if r.owner != "EXT-X-STREAM-INF" {
		r.pending.uri = len(r.tokens) - 1
		r.segments = append(r.segments, r.pending)
		r.pending = secondSegment{uri: -1, keys: r.keys, mapTag: r.pending.mapTag}
		r.afterMedia = true
	}
	r.owner = ""
}

// uri notes a token. In text without quotes no variable stands (rfc8216bis, 4.3).
func (r *secondReader) uri(a secondAttr, tag string) int {
	k := secondToken{start: a.start, end: a.end, tag: tag, attr: a.name, text: a.value, quoted: a.quoted, line: r.number}
	if a.quoted {
		k.secondText = r.expand(a.value)
	} else {
		k.secondText = secondText{full: a.value, unknown: secondVarRE.MatchString(a.value)}
	}
	r.tokens = append(r.tokens, k)
	return len(r.tokens) - 1
}

func (r *secondReader) tag(name, value string, at int) {
	t := secondTag{name: name, value: value}
	if uses, ok := secondURIs[name]; ok || slices.Contains(secondLists, name) {
		t.value = ""
		var end listEnd
		t.attrs, end = attributes(value, at)
		r.wildDefine = r.wildDefine || name == "EXT-X-DEFINE" && end != listWhole
		if ok && end == listWild {
			r.wild = append(r.wild, r.number)
		}
		if name == "EXT-X-MEDIA" && t.get("TYPE") == "CLOSED-CAPTIONS" { // rfc8216bis, 4.4.6.1: no URI
			uses = nil
		}
		for i, a := range t.attrs {
			if slices.Contains(uses, a.name) && a.value != "" {
				t.attrs[i].value = fmt.Sprint("token ", r.uri(a, name))
			}
			t.attrs[i].start, t.attrs[i].end = 0, 0
		}
	}
	r.tags = append(r.tags, t)
	r.note(t, len(r.tags)-1)
}

// listEnd is how an attribute list ends.
type listEnd int

const (
	listWhole listEnd = iota
	listOpen          // with a quote that never closes: what is behind it is nothing
	listWild          // it has a quote elsewhere than around a whole value: there is no saying where attributes end
)

// attributes reads an attribute list. What is no NAME=VALUE is passed over.
func attributes(s string, at int) (out []secondAttr, end listEnd) {
	for s != "" {
		m := secondAttrRE.FindStringSubmatchIndex(s)
		if m == nil {
			if secondOpenRE.MatchString(s) {
				return out, listOpen
			}
			name, rest, _ := strings.Cut(s, ",")
			if strings.ContainsAny(name, `"=`) {
				return nil, listWild
			}
			s, at = rest, at+len(s)-len(rest)
			continue
		}
		a := secondAttr{name: s[m[2]:m[3]], quoted: m[4] >= 0}
		from, to := m[6], m[7]
		if a.quoted {
			from, to = m[4], m[5]
		}
		from += len(s[from:to]) - len(strings.TrimLeftFunc(s[from:to], secondSpace))
		to = from + len(strings.TrimRightFunc(s[from:to], secondSpace))
		a.value, a.start, a.end = s[from:to], at+from, at+to
		out = append(out, a)
		s, at = s[m[1]:], at+m[1]
	}
	return out, listWhole
}

// note keeps what a tag says of the segments and of the playlist.
func (r *secondReader) note(t secondTag, number int) {
	p := &r.pending
	switch t.name {
	case "EXTINF":
		m := secondInfRE.FindStringSubmatch(t.value)
		p.duration, p.title = m[1], m[2]
		r.owner, r.sawInf = t.name, true
	case "EXT-X-BYTERANGE":
		p.byteRange = t.value
	case "EXT-X-PROGRAM-DATE-TIME":
		p.pdt = t.value
	case "EXT-X-DISCONTINUITY":
		p.discontinuity = true
	case "EXT-X-GAP":
		p.gap = true
	case "EXT-X-KEY":
		if r.afterMedia {
			r.keys, r.afterMedia = nil, false
		}
		r.keys = append(slices.Clone(r.keys), number)
		p.keys = r.keys
	case "EXT-X-MAP":
		p.mapTag = number
	case "EXT-X-PART":
		p.parts = append(p.parts, number)
		r.sawPlaylist = true
	case "EXT-X-DEFINE":
		r.define(t)
	case "EXT-X-STREAM-INF":
		r.owner, r.master = t.name, true
	case "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA", "EXT-X-SESSION-KEY":
		r.master = true
	case "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE":
		r.sawPlaylist = true
	}
}

// settleKind: nothing does where a tag lacks its value. Else EXTINF decides, as it does for players; tags of both
// kinds without it (rfc8216bis, 4.1 forbids them together) settle nothing.
func (r *secondReader) settleKind() {
	bare := slices.ContainsFunc(r.tags, func(t secondTag) bool {
		return t.value == "" && t.attrs == nil && slices.Contains(secondKindTags, t.name)
	})
	switch {
	case bare:
	case r.sawInf || r.sawPlaylist && !r.master:
		r.kind = "media"
	case r.master && !r.sawPlaylist:
		r.kind = "master"
	}
}
