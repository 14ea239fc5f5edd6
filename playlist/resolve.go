package playlist

import (
	"net/url"
	"strings"
)

// form is how a reference is written, which decides what a splice may leave of it (RFC 3986, 4.2).
type form uint8

const (
	formRelative form = iota // a path below the base's directory, or only a query
	formDotted               // a relative path with a ".." segment
	formRooted               // an absolute path
	formAbsolute             // with a scheme, or //host
	formOther                // of another scheme than http(s): data:, skd:, urn:
	formBroken               // nothing that all players would understand alike
)

// resolver resolves references against one base URL by RFC 3986, 5.2. It refuses less than net/url does: a
// stray '%' or a space in a path is percent-encoded as players do, and the reference still resolves.
type resolver struct {
	base   *url.URL
	dir    string // escaped path of the base up to and including the last slash
	prefix string // Resource of the base's directory, or "" if the base is not of the web
}

func newResolver(base *url.URL) resolver {
	path := removeDots(requestPath(base))
	r := resolver{base: base, dir: path[:strings.LastIndexByte(path, '/')+1]}
	if isWeb(base.Scheme) && base.Host != "" {
		r.prefix = base.Scheme + "://" + canonicalHost(base) + r.dir
	}
	return r
}

func isWeb(scheme string) bool { return scheme == "http" || scheme == "https" }

// resource is the Resource that ref addresses, or "" if that is not of the web.
func (r *resolver) resource(ref string) string {
	if r.prefix != "" && isPlain(ref) {
		return r.prefix + ref
	}
	u, _ := r.resolve(ref)
	if u == nil {
		return ""
	}
	return Resource(u)
}

// isPlain tells a relative path that needs no thought: unreserved bytes and slashes, no dot segments.
func isPlain(ref string) bool {
	if ref == "" || ref[0] == '/' {
		return false
	}
	for i := 0; i < len(ref); i++ {
		c := ref[i]
		if !isUnreserved(c) && c != '/' || c == '.' && (i == 0 || ref[i-1] == '/') {
			return false
		}
	}
	return true
}

// resolve returns the absolute URL, or nil for formOther and formBroken. ref must be trimmed.
func (r *resolver) resolve(ref string) (*url.URL, form) {
	ref = dropBreaks(ref)
	ref, _, _ = strings.Cut(ref, "#")
	scheme, rest := cutScheme(ref)
	switch {
	case scheme != "" && !isWeb(scheme):
		return nil, formOther
	case scheme != "":
		if !strings.HasPrefix(rest, "//") {
			return nil, formBroken
		}
		return absolute(scheme, rest)
	case strings.HasPrefix(ref, "//"):
		return absolute(r.base.Scheme, ref)
	case r.prefix == "", len(ref) > 1 && isSlash(ref[0]) && isSlash(ref[1]):
		return nil, formBroken // some players take \ for /, so this may name a host
	}
	u := &url.URL{Scheme: r.base.Scheme, User: r.base.User, Host: r.base.Host}
	path, query, hasQuery := strings.Cut(ref, "?")
	f := formRelative
	switch {
	case path == "" && !hasQuery:
		setPath(u, requestPath(r.base))
		u.RawQuery = escapeBytes(r.base.RawQuery, queryByte) // as it may be written into a playlist: the base is a client's
		return u, f
	case path == "":
		setPath(u, requestPath(r.base))
	case path[0] == '/':
		f = formRooted
		setPath(u, removeDots(escapeBytes(path, pathByte)))
	default:
		if climbs(path) {
			f = formDotted
		}
		setPath(u, removeDots(r.dir+escapeBytes(path, pathByte)))
	}
	u.RawQuery, u.ForceQuery = query, hasQuery && query == ""
	return u, f
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// dropBreaks removes tabs and line breaks, which URL parsers of browsers do not see.
func dropBreaks(s string) string {
	if strings.ContainsAny(s, "\t\r\n") {
		return strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
	}
	return s
}

// cutScheme splits a reference after its scheme (RFC 3986, 3.1), which comes in lower case, without the colon.
// What has a colon but no valid scheme before it is a relative path, though the standard wants ./ before it.
func cutScheme(ref string) (scheme, rest string) {
	for i := 0; i < len(ref); i++ {
		switch c := ref[i]; {
		case c == ':' && i > 0:
			return strings.ToLower(ref[:i]), ref[i+1:]
		case isAlnum(c) && (i > 0 || c > '9'):
		case i > 0 && (c == '+' || c == '-' || c == '.'):
		default:
			return "", ref
		}
	}
	return "", ref
}

// absolute resolves what follows the scheme: //authority/path?query.
func absolute(scheme, rest string) (*url.URL, form) {
	rest = rest[2:]
	n := strings.IndexAny(rest, "/?\\")
	if n < 0 {
		n = len(rest)
	}
	u, err := url.Parse(scheme + "://" + rest[:n])
	if err != nil || u.Host == "" || !isWeb(u.Scheme) || n < len(rest) && rest[n] == '\\' {
		return nil, formBroken
	}
	path, query, _ := strings.Cut(rest[n:], "?")
	if path == "" {
		path = "/"
	}
	setPath(u, removeDots(escapeBytes(path, pathByte)))
	u.RawQuery = query
	return u, formAbsolute
}

// setPath sets the path from its canonical escaped form.
func setPath(u *url.URL, escaped string) {
	u.Path, u.RawPath = escaped, ""
	for i := 0; i < len(escaped); i++ {
		if c := escaped[i]; !isUnreserved(c) && c != '/' {
			if plain, err := url.PathUnescape(escaped); err == nil {
				u.Path, u.RawPath = plain, escaped
			}
			return
		}
	}
}

// climbs tells whether a path has a ".." segment.
func climbs(path string) bool {
	if !strings.ContainsAny(path, ".%") {
		return false
	}
	for seg := range strings.SplitSeq(path, "/") {
		if dots(seg) == 2 {
			return true
		}
	}
	return false
}

// dots is 1 for a "." segment and 2 for "..", also where a dot is percent-encoded, as the URL standard has it.
func dots(seg string) int {
	n := 0
	for seg != "" {
		switch {
		case seg[0] == '.':
			seg = seg[1:]
		case len(seg) >= 3 && seg[0] == '%' && seg[1] == '2' && (seg[2] == 'e' || seg[2] == 'E'):
			seg = seg[3:]
		default:
			return 0
		}
		if n++; n > 2 {
			return 0
		}
	}
	return n
}

// removeDots is remove_dot_segments of RFC 3986, 5.2.4, on an absolute path.
func removeDots(path string) string {
	if !strings.Contains(path, "/.") && !strings.Contains(path, "/%2") {
		return path
	}
	out := make([]byte, 0, len(path))
	for rest := path; rest != ""; {
		seg := rest[1:]
		if i := strings.IndexByte(seg, '/'); i >= 0 {
			seg = seg[:i]
		}
		rest = rest[1+len(seg):]
		switch dots(seg) {
		case 2:
			for n := len(out); n > 0; {
				n--
				if out[n] == '/' {
					out = out[:n]
					break
				}
			}
			fallthrough
		case 1:
			if rest == "" {
				out = append(out, '/')
			}
		default:
			out = append(out, '/')
			out = append(out, seg...)
		}
	}
	if len(out) == 0 {
		return "/"
	}
	return string(out)
}
