package proxy

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"earshot/origin"
	"earshot/playlist"
)

// Probed is what one origin of a stream says at a path, judged as a listener's playlist would be.
type Probed struct {
	Path      string // at the edge, with its query
	Kind      playlist.Kind
	Segments  int
	Children  []string // paths at the edge of what a master names
	LeftAlone []playlist.LeftAlone

	variables map[string]string
}

// Probe asks one origin of a stream for the playlist at a path of the edge. master is the playlist that named it, or nil. It serves nobody
// and counts nothing.
func (p *Proxy) Probe(ctx context.Context, path string, atOrigin int, master *Probed) (*Probed, error) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, fmt.Errorf("%q is no path: %w", path, err)
	}
	m := p.routes.find(plain(u.EscapedPath()))
	if m == nil || len(m.stream.HLS) == 0 || !safe(u) {
		return nil, fmt.Errorf("no HLS stream has the path %s", path)
	}
	src := m.source(m.rest, m.upstreamQuery(u.RawQuery))
	src.URLs = src.URLs[atOrigin : atOrigin+1]
	src.Scope = "probe"
	pl, _, err := p.opt.Origin.Playlist(ctx, src)
	if err != nil {
		return nil, err
	}
	if master != nil {
		if pl, err = pl.Import(master.variables); err != nil {
			return nil, err
		}
	}
	if pl.Doc == nil {
		return nil, fmt.Errorf("%w: %s is no HLS playlist", origin.ErrAnswer, pl.URL.Redacted())
	}
	return p.judge(m, pl.Doc, path), nil
}

func (p *Proxy) judge(m *mount, doc *playlist.Document, path string) *Probed {
	ours := p.routes.mapper(m)
	found := &Probed{Path: path, Kind: doc.Kind, LeftAlone: doc.LeftAlone(ours), variables: doc.Variables}
	if doc.Media != nil {
		found.Segments = len(doc.Media.Segments)
	}
	for _, c := range doc.Children {
		u, err := url.Parse(c.URL)
		if err != nil {
			continue
		}
		if child, ok := ours(u); ok {
			if u.RawQuery != "" {
				child += "?" + u.RawQuery
			}
			if !slices.Contains(found.Children, child) {
				found.Children = append(found.Children, child)
			}
		}
	}
	return found
}

// StreamAt is the stream that serves a path of the edge.
func (p *Proxy) StreamAt(path string) (s *Stream, ok bool) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, false
	}
	m := p.routes.find(plain(u.EscapedPath()))
	if m == nil {
		return nil, false
	}
	return m.stream, true
}
