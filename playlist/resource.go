package playlist

import (
	"net/url"
	"strings"
)

// The query parameters that are the edge's own. They never go upstream and are no part of a name.
const (
	SessionParam = "X-Playback-Session-Id" // the session's id
	GrantParam   = "earshot"               // the edge's signed grant
	CMCDParam    = "CMCD"                  // Common Media Client Data (CTA-5004), query form
)

// Resource is the canonical name of what a URL addresses at the origin: scheme://host/path?query without user,
// fragment, default port and our own parameters. The host is in lower case. Path and query keep their bytes,
// but for those that no request line can carry (spaces, controls, a stray '%' and the like): these are
// percent-encoded, as a player does before it asks.
func Resource(u *url.URL) string {
	query := StripQuery(u.RawQuery, SessionParam, GrantParam, CMCDParam)
	path := requestPath(u)
	host := canonicalHost(u)
	var b strings.Builder
	b.Grow(len(u.Scheme) + 4 + len(host) + len(path) + len(query))
	b.WriteString(u.Scheme)
	b.WriteString("://")
	b.WriteString(host)
	b.WriteString(path)
	if query != "" {
		b.WriteByte('?')
		b.WriteString(escapeBytes(query, queryByte))
	}
	return b.String()
}

// requestPath is the escaped path of u. It begins with a slash.
func requestPath(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	p := u.EscapedPath()
	if u.RawPath != "" {
		raw := escapeBytes(u.RawPath, pathByte)
		if plain, err := url.PathUnescape(raw); err == nil && plain == u.Path {
			p = raw
		}
	}
	if p[0] != '/' {
		p = "/" + p
	}
	return p
}

func canonicalHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":")
}

// StripQuery removes the named parameters from a raw query. Names are compared percent-decoded and by case.
// Only '&' separates parameters; every other byte and separator stays as it is, so `a=b;c=d` is one parameter
// and an empty one between two separators survives.
func StripQuery(rawQuery string, names ...string) string {
	out, _ := stripTokens(rawQuery, false, names...)
	return out
}

// stripTokens is StripQuery that also tells how many parameters are left, and can be told that the first token
// is the rest of something before it and no parameter.
func stripTokens(query string, skipFirst bool, names ...string) (out string, left int) {
	var b []byte
	copied := false
	for start, first := 0, true; start <= len(query); first = false {
		end, next := len(query), len(query)+1
		if i := strings.IndexByte(query[start:], '&'); i >= 0 {
			end, next = start+i, start+i+1
		}
		tok := query[start:end]
		drop := !(first && skipFirst) && hasName(tok, names)
		if drop && !copied {
			copied = true
			b = append(make([]byte, 0, len(query)), query[:max(0, start-1)]...)
		}
		if !drop {
			if copied {
				if left > 0 {
					b = append(b, '&')
				}
				b = append(b, tok...)
			}
			left++
		}
		start = next
	}
	if !copied {
		return query, left
	}
	return string(b), left
}

func hasName(tok string, names []string) bool {
	name, _, _ := strings.Cut(tok, "=")
	for _, n := range names {
		if sameName(name, n) {
			return true
		}
	}
	return false
}

// sameName tells whether the percent-encoded raw means want.
func sameName(raw, want string) bool {
	for len(raw) > 0 && len(want) > 0 {
		c := raw[0]
		if isEscape(raw) {
			c = unhex(raw[1])<<4 | unhex(raw[2])
			raw = raw[2:]
		}
		if c != want[0] {
			return false
		}
		raw, want = raw[1:], want[1:]
	}
	return raw == "" && want == ""
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isUnreserved is the unreserved set of RFC 3986, 2.3.
func isUnreserved(c byte) bool {
	return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// pathByte tells what may stand in a path as it is; '%' is judged apart.
func pathByte(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@[]", c) >= 0
}

// queryByte tells what a player leaves as it is in a query: all but what the URL standard percent-encodes.
func queryByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`"#<>'`, c) < 0
}

// escapeBytes percent-encodes what keep refuses; a '%' that begins no escape becomes %25 where paths are meant,
// since no server would take it, and stays where queries are.
func escapeBytes(s string, keep func(byte) bool) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = keep(s[i])
	}
	if clean {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if keep(c) || c == '%' && isEscape(s[i:]) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return string(b)
}

// isEscape tells whether s begins with %XX.
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
