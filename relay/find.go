package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxRedirects = 3  // in a row
	maxDepth     = 3  // of playlists that name playlists
	maxAsked     = 24 // requests in one search
)

// dialer finds the audio of the origins of one mount.
type dialer struct {
	opt     *Options
	tls     *tls.Config
	origins []string
	follow  []string
}

// dial opens an origin: the audio at a URL, or behind redirects and playlists there, or a file. The source is closed
// when ctx ends.
func (d *dialer) dial(ctx context.Context, origin string) (*source, *UpstreamError) {
	if isFile(origin) {
		return openSource(origin)
	}
	u, err := parseOrigin(origin)
	if err != nil {
		return nil, failed(BadOrigin, err)
	}
	s := search{dialer: d, until: time.Now().Add(2 * d.opt.HeaderTimeout), left: maxAsked}
	return s.reach(ctx, u, 0)
}

// isFile tells the path of a file from a URL.
func isFile(origin string) bool { return !strings.Contains(origin, "://") }

func parseOrigin(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("not a URL: %w", errors.Unwrap(err)) // the whole error repeats the password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%s is no http or https URL", named(u))
	}
	return u, nil
}

// search is one attempt to come from an origin to its audio. What origins say leads it, so it is bounded as a whole.
type search struct {
	*dialer
	until time.Time // when it asks no more
	left  int       // requests it may still make
	lists []string  // playlists on the way here and before
}

// reach asks at u, and then where that leads. depth is how many playlists have led here.
func (s *search) reach(ctx context.Context, u *url.URL, depth int) (*source, *UpstreamError) {
	for range 1 + maxRedirects {
		if err := s.mayAsk(u); err != nil {
			return nil, err
		}
		a, err := s.ask(ctx, u)
		switch {
		case err != nil:
			return nil, err
		case a.source != nil:
			return a.source, nil
		case a.list != nil:
			return s.through(ctx, u, a.list, depth)
		case !s.mayFollow(u, a.moved):
			return nil, failed(BadMove, fmt.Errorf("redirected to %s, which is no origin of the stream and not in follow", named(a.moved)))
		}
		u = withUser(u, a.moved)
	}
	return nil, failed(BadMove, fmt.Errorf("redirected more than %d times", maxRedirects))
}

func (s *search) mayAsk(u *url.URL) *UpstreamError {
	switch {
	case slices.Contains(s.lists, u.String()):
		return failed(BadList, fmt.Errorf("the playlist %s leads to itself", named(u)))
	case s.left == 0:
		return failed(BadList, fmt.Errorf("no audio after %d requests", maxAsked))
	case time.Now().After(s.until):
		return failed(Timeout, errors.New("no audio in time, at any address that it led to"))
	}
	s.left--
	return nil
}

// through tries the entries of a playlist in their order. The last failure stands for all.
func (s *search) through(ctx context.Context, list *url.URL, entries []string, depth int) (*source, *UpstreamError) {
	if depth == maxDepth {
		return nil, failed(BadList, fmt.Errorf("playlists that name playlists, more than %d deep", maxDepth))
	}
	s.lists = append(s.lists, list.String())
	var failure *UpstreamError
	for _, entry := range entries {
		u, err := list.Parse(entry)
		if err != nil {
			failure = failed(BadList, errors.New("the playlist names what is no URL"))
			continue
		}
		if !s.mayName(list, u) {
			failure = failed(BadMove, fmt.Errorf("its playlist names %s, which is no origin of the stream and not in follow", named(u)))
			continue
		}
		var found *source
		if found, failure = s.reach(ctx, withUser(list, u), depth+1); failure == nil || ctx.Err() != nil {
			return found, failure
		}
	}
	return nil, failure
}

// withUser gives the user of one URL to another of the same server.
func withUser(from, to *url.URL) *url.URL {
	if to.User == nil && to.Host == from.Host && to.Scheme == from.Scheme {
		with := *to
		with.User = from.User
		return &with
	}
	return to
}

// mayFollow allows a redirect to where the redirecting origin and those configured are: their hosts, at the same port or the usual
// ones; and to hosts of Follow. None leads out of TLS.
func (d *dialer) mayFollow(from, to *url.URL) bool {
	if to.Scheme != "https" && (to.Scheme != "http" || from.Scheme == "https") || to.Hostname() == "" {
		return false
	}
	if sameHost(from, to) {
		return true
	}
	ported := portOf(to) == usualPorts[to.Scheme]
	for _, o := range d.origins {
		u, err := parseOrigin(o)
		if err != nil {
			continue
		}
		if sameHost(u, to) {
			return true
		}
		ported = ported || portOf(u) == portOf(to)
	}
	return slices.ContainsFunc(d.follow, func(host string) bool {
		f := url.URL{Host: host}
		return strings.EqualFold(f.Hostname(), to.Hostname()) && (f.Port() == portOf(to) || f.Port() == "" && ported)
	})
}

// mayName allows an entry of a playlist: as a redirect, and any port of the host that has the playlist, as streams
// often have another than pages.
func (d *dialer) mayName(list, to *url.URL) bool {
	plain := to.Scheme == "http" && list.Scheme == "http"
	return strings.EqualFold(list.Hostname(), to.Hostname()) && (plain || to.Scheme == "https") || d.mayFollow(list, to)
}

func sameHost(known, to *url.URL) bool {
	return strings.EqualFold(known.Hostname(), to.Hostname()) && (portOf(to) == portOf(known) || portOf(to) == usualPorts[to.Scheme])
}

var usualPorts = map[string]string{"http": "80", "https": "443"}

// portOf is the port of a URL, by default its scheme's.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return usualPorts[u.Scheme]
}
