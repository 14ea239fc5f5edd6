package playlist

import (
	"bytes"
	"net/url"
	"strings"
)

// variables are the EXT-X-DEFINE values known so far (rfc8216bis, 4.3 and 4.4.2.3). A reference is {$NAME}.
//
// A value may refer to other variables, so that a few lines could ask for gigabytes: budget is how many bytes
// of text may still be made, and a reference beyond it does not resolve.
type variables struct {
	values map[string]string
	master map[string]string // of the multivariant playlist, for EXT-X-DEFINE:IMPORT
	query  string
	budget int
}

func newVariables(base *url.URL, size int, master map[string]string) variables {
	return variables{master: master, query: base.RawQuery, budget: 4*size + 64<<10}
}

// expansion is a URI with its variables resolved.
type expansion struct {
	text string // the URI as a player will read it
	ok   bool   // every reference resolved

	// Where the raw text can be spliced, inRaw is true. The query may then begin inside a variable's value: tail
	// is the position in the raw text after the reference to it, else -1.
	inRaw bool
	tail  int
}

// plainText is a URI without variables.
func plainText(uri string) expansion { return expansion{text: uri, ok: true, inRaw: true, tail: -1} }

func (v *variables) define(name, value string) {
	x, referred := v.expand(value)
	if referred && !x.ok {
		delete(v.values, name)
		return
	}
	if referred {
		value = x.text
	}
	v.set(name, value)
}

// fromMaster defines a variable as the master does. Its value is text already: references in it are resolved.
func (v *variables) fromMaster(name string) {
	if value, ok := v.master[name]; ok {
		v.set(name, value)
	}
}

// fromQuery defines a variable by a parameter of the playlist's own URL, percent-decoded. One that could end
// the quoted string it stands in is refused, and so is one that is there several times: players may take any.
func (v *variables) fromQuery(param string) {
	if value, ok := Param(v.query, param); ok {
		v.set(param, value)
	}
}

// Param is the percent-decoded value of a parameter in a raw query, and whether there is one, of one meaning.
func Param(rawQuery, name string) (value string, ok bool) {
	for tok := range strings.SplitSeq(rawQuery, "&") {
		n, raw, _ := strings.Cut(tok, "=")
		if !sameName(n, name) {
			continue
		}
		text, err := url.PathUnescape(raw)
		if err != nil || ok {
			return "", false
		}
		value, ok = text, true
	}
	return value, ok
}

func (v *variables) set(name, value string) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '"' || r == 0x7f }) {
		return
	}
	if v.values == nil {
		v.values = make(map[string]string)
	}
	v.values[name] = value
}

// expand resolves the references in s; referred is false if there are none.
func (v *variables) expand(s string) (x expansion, referred bool) {
	var out strings.Builder
	x = expansion{ok: true, inRaw: true, tail: -1}
	query := false // a '?' has been seen
	for at := 0; ; {
		start, end, name := nextReference(s, at)
		if start < 0 {
			x.ok = x.ok && v.spend(len(s)-at)
			if x.ok {
				out.WriteString(s[at:])
				x.text = out.String()
			}
			return x, referred
		}
		referred = true
		val, known := v.values[name]
		if !known || !v.spend(start-at+len(val)) {
			x.ok = false
			return x, true
		}
		out.WriteString(s[at:start])
		out.WriteString(val)
		query = query || strings.Contains(s[at:start], "?")
		if !query && strings.Contains(val, "?") {
			query, x.tail = true, end
		}
		x.inRaw = x.inRaw && !strings.Contains(val, "#")
		at = end
	}
}

// resolved is a quoted string with its references resolved; one that cannot be stays as it is.
func (v *variables) resolved(quoted []byte) []byte {
	if !bytes.Contains(quoted, []byte("{$")) {
		return quoted
	}
	if x, referred := v.expand(string(quoted)); referred && x.ok {
		return []byte(x.text)
	}
	return quoted
}

// spend takes n bytes from the budget.
func (v *variables) spend(n int) bool {
	v.budget -= n
	return v.budget >= 0
}

// nextReference finds the first {$NAME} at or after at; start is -1 if there is none.
func nextReference(s string, at int) (start, end int, name string) {
	for {
		i := strings.Index(s[at:], "{$")
		if i < 0 {
			return -1, -1, ""
		}
		start = at + i
		end = start + 2
		for end < len(s) && isNameByte(s[end]) {
			end++
		}
		if end < len(s) && s[end] == '}' && end > start+2 {
			return start, end + 1, s[start+2 : end]
		}
		at = end
	}
}

func isNameByte(c byte) bool {
	return isAlnum(c) || c == '-' || c == '_'
}
