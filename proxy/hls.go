package proxy

import (
	"net/url"
	"slices"
	"strings"

	"earshot/origin"
	"earshot/playlist"
)

// The names of our parameters, and of the delivery directives that belong to a request and not to a playlist (RFC 8216bis, 6.2.5).
var (
	ourParams  = []string{playlist.SessionParam, playlist.GrantParam, playlist.CMCDParam, offsetParam, terminateParam}
	directives = []string{"_HLS_msn", "_HLS_part", "_HLS_skip", "_HLS_push", "_HLS_report"}
)

// secrets are the credentials that its origin does not see, nor the cache. Players show them to streams that nobody guards, too; there a parameter of the same name
// may be the origin's, who asks for it by query.
func (s *Stream) secrets(credentials []string) []string {
	if !s.Open {
		return credentials
	}
	return slices.DeleteFunc(slices.Clone(credentials), func(name string) bool { return slices.Contains(s.Query, name) })
}

// upstreamQuery is what of a client's query goes to the origin.
func (m *mount) upstreamQuery(raw string) string {
	raw = playlist.StripQuery(raw, m.stream.ours...)
	if m.stream.Query == nil || raw == "" {
		return raw
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name = unescape(name); slices.Contains(m.stream.Query, name) || slices.Contains(directives, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// source is what a path below the mount's prefix, with its query, is at the origins.
func (m *mount) source(rest, query string) origin.Source {
	if query != "" {
		query = "?" + query
	}
	src := origin.Source{Scope: m.prefix, URLs: make([]string, len(m.bases)), Follow: m.follow, Via: m.stream.via}
	for i, base := range m.bases {
		src.URLs[i] = base + rest + query
	}
	return src
}

// resources are the names that a path below the prefix may have in the origins' playlists.
func (m *mount) resources(rest, query string) []string {
	src := m.source(rest, query)
	names := make([]string, 0, len(src.URLs))
	for _, text := range src.URLs {
		if u, err := url.Parse(text); err == nil {
			names = append(names, playlist.Resource(u))
		}
	}
	return names
}

// playlistName is what grants call a playlist: its path below the mount's prefix and what of its query the origin wants, so that any edge
// can fetch it.
func (m *mount) playlistName(query string) string {
	query = playlist.StripQuery(m.upstreamQuery(query), directives...)
	if len(m.rest)+len(query) >= maxName {
		m.clipped = query != ""
		query = ""
	}
	if query == "" {
		return m.rest
	}
	return m.rest + "?" + query
}

// maxName bounds what a grant says of a playlist, in bytes.
const maxName = 512

// lineName is what timelines call a playlist: its path. The query mostly holds what differs from listener to listener, and the
// playlist is the same; it is part of the name only where the master tells playlists apart by it.
func lineName(name string, byQuery bool) string {
	path, query, _ := strings.Cut(name, "?")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if byQuery {
		return path + "?" + query
	}
	return path
}

// streamKey is the key of the stream that a playlist's segments belong to: the group key and the playlist's path.
func streamKey(group, line string) string {
	path, _, _ := strings.Cut(line, "?")
	key := group + "/" + path
	if len(key) > maxStreamKey {
		key = key[:maxStreamKey]
	}
	return strings.ToValidUTF8(key, "")
}

const maxStreamKey = 256

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}
