package playlist

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// Variables of the second parser (rfc8216bis, 4.3 and 4.4.2.3).

// secondText is a text with its variables put in.
type secondText struct {
	full     string
	unknown  bool // it names a variable that was not defined before
	doubtful bool // it names one that readers may take differently
	hash     bool // a '#' comes from a variable
	named    bool // it has variables
}

// secondVar is a variable. It is doubtful when defined twice or without quotes, which rfc8216bis, 4.4.2.3 makes an
// error, or when its own value does not resolve.
type secondVar struct {
	value    string
	doubtful bool
}

var secondVarRE = regexp.MustCompile(`\{\$([A-Za-z0-9_-]+)\}`)

// secondMost bounds what variables may bring into a text, for a few definitions can make any size. What is cut is
// doubtful.
const secondMost = 16 << 10

func (s *secondReader) expand(text string) secondText {
	t := secondText{doubtful: s.wildDefine && secondVarRE.MatchString(text)}
	size := 0
	t.full = secondVarRE.ReplaceAllStringFunc(text, func(ref string) string {
		t.named = true
		v, ok := s.vars[ref[2:len(ref)-1]]
		if size += len(v.value); size > secondMost {
			t.doubtful = true
			return ""
		}
		t.unknown = t.unknown || !ok
		t.doubtful = t.doubtful || v.doubtful
		t.hash = t.hash || strings.Contains(v.value, "#")
		return v.value
	})
	return t
}

// define reads EXT-X-DEFINE: NAME with VALUE, IMPORT or QUERYPARAM.
func (r *secondReader) define(t secondTag) {
	attrs, twice, unquoted := map[string]string{}, false, false
	for _, a := range t.attrs {
		_, has := attrs[a.name]
		twice = twice || has
		unquoted = unquoted || !a.quoted
		attrs[a.name] = a.value
	}
	name, named := attrs["NAME"]
	query, queried := attrs["QUERYPARAM"]
	imported, imports := attrs["IMPORT"]
	v, ok := secondVar{doubtful: twice || unquoted}, false
	switch {
	case named && queried || named && imports || queried && imports:
		v.doubtful, ok = true, true
		name = strings.Join([]string{name, query, imported}, "")
		for _, n := range []string{attrs["NAME"], query, imported} {
			r.vars[n] = v
		}
	case named:
		_, ok = attrs["VALUE"]
		text := r.expand(attrs["VALUE"])
		v.value = text.full
		v.doubtful = v.doubtful || text.unknown || text.doubtful
		if !ok {
			v.doubtful, ok = true, true
		}
	case queried:
		name = query
		v.value, ok = r.queryParam(query)
	case imports:
		name = imported
		v.value, ok = r.imports[imported]
	}
	if _, has := r.vars[name]; has || strings.ContainsFunc(v.value, unicode.IsControl) { // RFC 8216, 4.1 has no controls
		v.doubtful = true
	}
	if ok || r.vars[name].doubtful || v.doubtful {
		r.vars[name] = v
	}
}

// queryParam is the value of a parameter of the playlist's own URL, if it is there once: players may take any of several. One with a quote or
// a line end could leave its quotes, and is not taken.
func (r *secondReader) queryParam(name string) (string, bool) {
	if r.base == nil {
		return "", false
	}
	var found []string
	for _, pair := range strings.Split(r.base.RawQuery, "&") {
		key, val, _ := strings.Cut(pair, "=")
		if k, err := url.PathUnescape(key); err == nil && k == name {
			found = append(found, val)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	v, err := url.PathUnescape(found[0])
	return v, err == nil && !strings.ContainsAny(v, "\"\r\n")
}
