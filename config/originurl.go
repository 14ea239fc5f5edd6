package config

import (
	neturl "net/url"
	"strconv"
	"strings"
)

// hlsOrigin and icyOrigin decode URLs of origins. Messages do not repeat them: a token may stand in their query, a
// password before their host.

func hlsOrigin(p *string) into {
	return originURL(p, func(u *neturl.URL) string {
		switch {
		case u.RawQuery != "" || u.ForceQuery:
			return "has a query; an hls origin is a prefix, write it without ?"
		case !strings.HasSuffix(u.Path, "/"):
			return "does not end in /; an hls origin is a prefix, write its / too"
		}
		return ""
	})
}

func icyOrigin(p *string) into { return originURL(p, func(*neturl.URL) string { return "" }) }

func originURL(p *string, more func(*neturl.URL) string) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		what := v.badTemplate(s)
		if what == "" {
			what = badOrigin(s, more)
		}
		if what != "" {
			v.problem("%s", what)
			return
		}
		*p = s
	}
}

func badOrigin(s string, more func(*neturl.URL) string) string {
	u, wrong := parseOrigin(s)
	if wrong != "" {
		return wrong
	}
	return more(u)
}

const noURL = "is not an absolute URL; write one such as http://packager:8000/live/"

// parseOrigin parses a URL with a word in place of each capture, or says what is wrong with it.
func parseOrigin(s string) (u *neturl.URL, wrong string) {
	scheme, rest, found := strings.Cut(s, "://")
	if strings.Contains(scheme, "${") {
		return nil, "has a capture before its path: captures never expand into a host; write the scheme and host out"
	}
	if !found || scheme != "http" && scheme != "https" {
		return nil, noURL
	}
	authority := rest
	if end := strings.IndexAny(rest, `/?#\`); end >= 0 {
		authority = rest[:end]
	}
	switch {
	case strings.Contains(authority, "${"):
		return nil, "has a capture in its host: captures never expand into a host; write the host out"
	case strings.Contains(authority, "@"):
		return nil, "has a user or password, which would end up in logs; write the URL without what stands before @"
	case strings.Contains(rest, "#"):
		return nil, "has a fragment, which no origin sees; write it without #"
	}
	u, err := neturl.Parse(reference.ReplaceAllLiteralString(s, "x"))
	if err != nil || u.Hostname() == "" || strings.ContainsAny(s, " \\") {
		return nil, noURL
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, "has a port that is no port; write one from 1 to 65535"
		}
	}
	if hasDots(u.Path) {
		return nil, "holds a . or .. segment; write the path without it"
	}
	return u, ""
}
