package playlist

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// What may become of a URI, in the second parser's own judgement.

// secondSplice is a splice as a test asks for it.
type secondSplice struct {
	base    *url.URL
	mounts  [][2]string
	rebase  bool
	imports map[string]string
	add     Additions
}

var (
	secondSchemeRE = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	secondHostRE   = regexp.MustCompile(`(?s)^([A-Za-z][A-Za-z0-9+.-]*:)?(//[^/\\]*)(/.*)?$`)
	secondUpRE     = regexp.MustCompile(`(?i)(?:^|/)(?:\.|%2e){2}(?:/|$)`)
	secondStrayRE  = regexp.MustCompile(`%(?:[0-9A-Fa-f]{2})?`)
	secondBadRE    = regexp.MustCompile(`[^A-Za-z0-9\-._~!$&'()*+,;=:@/%\[\]]`)
	secondOursRE   = regexp.MustCompile(`^(?:` + escapedAnyhow(SessionParam) + `|` + escapedAnyhow(GrantParam) + `)(?:=|$)`)
)

// escapedAnyhow is a pattern for a name of which any byte may be percent-encoded.
func escapedAnyhow(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		fmt.Fprintf(&b, "(?:%s|%%(?i:%02x))", regexp.QuoteMeta(string(c)), c)
	}
	return b.String()
}

// splitURI cuts a URI in three; query has its '?' and fragment its '#'.
func splitURI(uri string) (hier, query, fragment string) {
	hier, fragment = uri, ""
	if i := strings.IndexByte(hier, '#'); i >= 0 {
		hier, fragment = hier[:i], hier[i:]
	}
	if i := strings.IndexByte(hier, '?'); i >= 0 {
		hier, query = hier[:i], hier[i:]
	}
	return hier, query, fragment
}

// withoutOurs takes our parameters out of a query, whatever their values.
func withoutOurs(query string) string {
	if query == "" {
		return ""
	}
	params := slices.DeleteFunc(strings.Split(query[1:], "&"), secondOursRE.MatchString)
	if len(params) == 0 {
		return ""
	}
	return "?" + strings.Join(params, "&")
}

// params is what the splice adds to this token.
func (s *secondSplice) params(tag string) string {
	grant := s.add.Grant
	switch tag {
	case "EXT-X-KEY", "EXT-X-SESSION-KEY":
		grant = s.add.KeyGrant
	case "EXT-X-RENDITION-REPORT", "EXT-X-DATERANGE", "EXT-X-SESSION-DATA":
		grant = s.add.MasterGrant
	}
	if grant == "" {
		grant = s.add.Grant // all tests that set only some of the grants set this one
	}
	var params []string
	if s.add.Session != "" {
		params = append(params, SessionParam+"="+strings.ReplaceAll(url.QueryEscape(s.add.Session), "+", "%20"))
	}
	if grant != "" {
		params = append(params, GrantParam+"="+grant)
	}
	return strings.Join(params, "&")
}

// added is a URI with ours taken out and new ones put in before its fragment.
func added(hier, query, fragment, params string) string {
	query = withoutOurs(query)
	if params != "" {
		query += joint(query) + params
	}
	return hier + query + fragment
}

// joint is what stands between a query, with its '?' if there is one, and what is added.
func joint(query string) string {
	if query == "" {
		return "?"
	}
	return "&"
}

// queryEscaped is a query as a player sends it, where a playlist's own URL is meant.
func queryEscaped(query string) string {
	var b strings.Builder
	for _, c := range []byte(query) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>'", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// resolvePath is the path that a reference without an authority means (net/url would do, but never lets a path
// begin with two slashes, as /a/..// does by RFC 3986, 5.2.4). Dots may be escaped (players decode them). Bytes that net/url refuses (`%zz`, controls) are escaped first: a player asks for
// something there, and our parameters are of use to it.
func (s *secondSplice) resolvePath(hier string) string {
	from := s.base.EscapedPath()
	if s.base.RawPath != "" { // as it was written, also where net/url would write it otherwise
		from = escaped(s.base.RawPath)
	}
	from = "/" + strings.TrimPrefix(from, "/")
	if hier == "" {
		return from // RFC 3986, 5.2.2: as it is
	}
	ref := plainDots(escaped(secondBreaks.Replace(hier)))
	from = plainDots(from)
	if !strings.HasPrefix(ref, "/") {
		ref = from[:strings.LastIndexByte(from, '/')+1] + ref
	}
	segments := strings.Split(ref[1:], "/")
	var kept []string
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case segment == ".." && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case segment != ".." && segment != ".":
			kept = append(kept, segment)
			last = false
		}
		if last {
			kept = append(kept, "") // what ends in dots is a folder
		}
	}
	return "/" + strings.Join(kept, "/")
}

// escaped is a path with all of its bytes legal.
func escaped(path string) string {
	path = secondStrayRE.ReplaceAllStringFunc(path, func(m string) string {
		if len(m) == 1 {
			return "%25"
		}
		return m
	})
	var b strings.Builder
	for _, c := range []byte(path) {
		if c < 0x80 && !secondBadRE.Match([]byte{c}) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// plainDots unescapes the dots of dot segments.
func plainDots(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if dots := strings.ReplaceAll(strings.ToLower(p), "%2e", "."); dots == "." || dots == ".." {
			parts[i] = dots
		}
	}
	return strings.Join(parts, "/")
}

// edgePath is where a URL of ours stands at the edge.
func (s *secondSplice) edgePath(scheme, host, path string) (string, bool) {
	for _, m := range s.mounts {
		if rest, ok := strings.CutPrefix(scheme+"://"+host+path, m[0]); ok {
			return m[1] + rest, true
		}
	}
	return "", false
}

// secondBreaks: tabs and line ends within a URL are none to the WHATWG's URL standard; RFC 3986 has no reading.
var secondBreaks = strings.NewReplacer("\t", "", "\r", "", "\n", "")

// asBrowser is a reference as the WHATWG's URL standard reads it under http: a backslash is a slash.
func asBrowser(hier string) string {
	return strings.ReplaceAll(secondBreaks.Replace(hier), `\`, "/")
}

// fates lists the texts that may stand in the output for this token, with its variables put in: usually one.
func (s *secondSplice) fates(k *secondToken) []string {
	fates := s.written(k)
	if !k.quoted && strings.Contains(fates[0], ",") {
		return []string{k.full} // the comma would end the value (RFC 8216, 4.2)
	}
	return fates
}

// written is fates, whatever stands around the token.
func (s *secondSplice) written(k *secondToken) []string {
	hier, query, fragment := splitURI(k.full)
	joined := secondBreaks.Replace(query) // where the URI is written anew
	params := s.params(k.tag)
	keep := k.full
	if m := secondHostRE.FindStringSubmatch(secondBreaks.Replace(hier)); m != nil {
		return s.absolute(m, joined, fragment, params, keep)
	}
	if b := asBrowser(hier); strings.HasPrefix(b, "//") || secondSchemeRE.MatchString(b) {
		return []string{keep} // another scheme, or another host to some players
	}
	if hier == "" && query == "" && k.named {
		return []string{keep} // its variables are empty: nothing is asked for
	}
	if hier == "" && query == "" && s.base.RawQuery != "" {
		query = "?" + queryEscaped(s.base.RawQuery) // RFC 3986, 5.2.2
		joined = query
	}
	path := s.resolvePath(hier)
	scheme, host := s.base.Scheme, strings.ToLower(s.base.Host)
	edge, ours := s.edgePath(scheme, host, path)
	switch {
	case strings.HasPrefix(asBrowser(edge), "//"):
		return []string{keep} // as a reference it would name a host
	case !ours && s.rebase:
		return []string{scheme + "://" + host + path + joined + fragment}
	case !ours:
		return []string{keep}
	case s.rebase || strings.HasPrefix(hier, "/"):
		return []string{added(edge, joined, fragment, params)}
	case secondUpRE.MatchString(hier):
		return s.climbing(hier, query, fragment, params, edge)
	}
	return []string{added(hier, query, fragment, params)}
}

// absolute is the fate of what names its host; m is secondHostRE's match.
func (s *secondSplice) absolute(m []string, query, fragment, params, keep string) []string {
	if m[1] == "" {
		m[1] = s.base.Scheme + ":"
	}
	u, err := url.Parse(m[1] + m[2])
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return []string{keep}
	}
	defaultPort := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	host := strings.TrimSuffix(strings.ToLower(u.Host), defaultPort)
	path := (&secondSplice{base: &url.URL{Path: "/"}}).resolvePath("/" + strings.TrimPrefix(m[3], "/"))
	edge, ours := s.edgePath(u.Scheme, strings.TrimSuffix(host, ":"), path)
	if ours && !strings.HasPrefix(asBrowser(edge), "//") {
		return []string{added(edge, query, fragment, params)}
	}
	return []string{keep}
}

func unescaped(path string) string {
	p, err := url.PathUnescape(path)
	if err != nil {
		panic(err) // it comes from escaped
	}
	return p
}

// climbing is the fate of a reference with `..` in it: it stays where that leads to the same place at the edge for
// every player, and not all take escaped dots for dots. (Where a dot is escaped elsewhere, either will do.)
func (s *secondSplice) climbing(hier, query, fragment, params, edge string) []string {
	stays, moves := added(hier, query, fragment, params), added(edge, secondBreaks.Replace(query), fragment, params)
	from, ok := s.edgePath(s.base.Scheme, strings.ToLower(s.base.Host), s.base.EscapedPath())
	at := secondSplice{base: &url.URL{Path: unescaped(from), RawPath: from}}
	switch {
	case !ok: // without rebase the client has the playlist from a place of ours, so that none comes here
		return []string{stays, moves}
	case at.resolvePath(hier) != edge || plainDots(hier) != hier:
		return []string{moves}
	case strings.Contains(strings.ToLower(hier+query+fragment), "%2e"):
		return []string{stays, moves}
	}
	return []string{stays}
}
