package auth

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxToken   = 8 << 10 // bytes of a token
	maxText    = 256     // of a user, a device, a device type
	maxMessage = 300     // of what a backend says to a listener
)

// plain reports whether s may be a name: short, and of printable characters only.
func plain(s string) bool {
	if len(s) > maxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// clean is s without what is not printable, on one line, in at most limit bytes.
func clean(s string, limit int) string {
	var b strings.Builder
	space := true
	for _, r := range s {
		if unicode.IsSpace(r) {
			r = ' '
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) || r == ' ' && space {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		space = r == ' '
		b.WriteRune(r)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// clip is the first n bytes of s at most, whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// name is a user, device or device type as JSON has it: a text, or a whole number. Nothing, null and "" are no name.
func name(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, plain(v)
	case json.Number:
		s := v.String()
		return s, len(s) <= maxText && !strings.ContainsAny(s, ".eE")
	}
	return "", false
}

// match reports whether s is of the pattern, in which * stands for any characters.
func match(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
