package auth

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// credentials are what a request holds that may prove something.
type credentials struct {
	token      string // bearer, query parameter or path segment
	basic      bool
	user, pass string // of Basic
}

func (a *Auth) credentials(r *Request) (c credentials) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(r.Authorization), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		c.token = rest
	case strings.EqualFold(scheme, "Basic") && len(rest) <= maxToken:
		if b, err := base64.StdEncoding.DecodeString(rest); err == nil {
			c.user, c.pass, c.basic = strings.Cut(string(b), ":")
		}
	}
	if c.token == "" {
		c.token, _ = param(r.RawQuery, a.param)
	}
	if c.token == "" {
		c.token = r.PathToken
	}
	return c
}

// any is what a backend that judges for itself is shown as the token.
func (c *credentials) any() string {
	if c.token == "" && c.basic {
		return c.user + ":" + c.pass
	}
	return c.token
}

// param is the value of a query parameter, and how many times it is there. The first one counts.
func param(rawQuery, name string) (value string, times int) {
	for rawQuery != "" {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		key, v, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(key, "%+") {
			var err error
			if key, err = url.QueryUnescape(key); err != nil {
				continue
			}
		}
		if key != name {
			continue
		}
		if times++; times > 1 {
			continue
		}
		if strings.ContainsAny(v, "%+") {
			u, err := url.QueryUnescape(v)
			if err == nil {
				v = u
			} // else it stays as it is, and proves nothing
		}
		value = v
	}
	return value, times
}

// CutPath takes a token out of a path: a segment "<param>=<token>", or one that has the form of a JWT. rest is the path without it.
func (a *Auth) CutPath(path string) (token, rest string) {
	if a.tokens == nil {
		return "", path
	}
	for at := 0; at < len(path) && path[at] == '/'; {
		end := len(path)
		if i := strings.IndexByte(path[at+1:], '/'); i >= 0 {
			end = at + 1 + i
		}
		if t := a.segmentToken(path[at+1 : end]); t != "" {
			if rest = path[:at] + path[end:]; rest == "" {
				rest = "/"
			}
			return t, rest
		}
		at = end
	}
	return "", path
}

// segmentToken is the token that a segment holds, or nothing.
func (a *Auth) segmentToken(segment string) string {
	if strings.HasPrefix(segment, "eyJ") {
		if isJWT(segment) {
			return segment
		}
		return ""
	}
	// A client may have escaped the sign, or more.
	if strings.IndexByte(segment, '%') >= 0 {
		u, err := url.PathUnescape(segment)
		if err != nil {
			return ""
		}
		segment = u
	}
	if key, v, ok := strings.Cut(segment, "="); ok && key == a.param {
		return v
	}
	return ""
}

// isJWT reports whether s has the form of a signed token: three parts in base64url, of which the first begins a JSON object.
func isJWT(s string) bool {
	if !strings.HasPrefix(s, "eyJ") || len(s) > maxToken {
		return false
	}
	dots, last := 0, -1
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if dots++; dots > 2 || i == last+1 {
				return false
			}
			last = i
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == 2 && last < len(s)-1
}
