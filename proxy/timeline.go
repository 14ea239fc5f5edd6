package proxy

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"earshot/origin"
	"earshot/playlist"
)

// timelines knows the playlists of every group that has passed through this edge, so that segments can be placed on
// them; what it does not know it fetches, off the road of the segments themselves.
type timelines struct {
	origin *origin.Client
	log    *slog.Logger
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	groups map[string]*timeline
}

// timeline is one group's.
type timeline struct {
	*playlist.Group
	used time.Time // guarded by timelines.mu

	mu      sync.Mutex
	masters map[string]*master // by name
	asked   map[string]*fetch  // playlists fetched for segments, by name
	rates   map[string]float64 // bytes per ns of media, by playlist
}

// fetch is a playlist being fetched, or fetched, for the sake of its segments.
type fetch struct {
	at   time.Time
	done bool
}

const (
	maxGroups     = 10_000
	maxMasters    = 64 // remembered per group
	refetchAfter  = time.Second
	settleWithin  = 10 * time.Second // after which a segment's time is estimated
	roleWithin    = 3 * time.Second
	roleAgain     = 15 * time.Second
	fetchesAtOnce = 64
)

func newTimelines(o *origin.Client, log *slog.Logger) *timelines {
	ctx, stop := context.WithCancel(context.Background())
	return &timelines{origin: o, log: log, ctx: ctx, stop: stop, groups: make(map[string]*timeline)}
}

func (t *timelines) close() {
	t.stop()
	t.work.Wait()
}

// group is the timeline of the mount's group. Beyond maxGroups the one used longest ago is forgotten.
func (t *timelines) group(m *mount) *timeline {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := m.timelineKey()
	g, ok := t.groups[key]
	if !ok {
		if len(t.groups) >= maxGroups {
			t.forgetOldest()
		}
		g = &timeline{Group: playlist.NewGroup(), masters: make(map[string]*master),
			asked: make(map[string]*fetch), rates: make(map[string]float64)}
		t.groups[key] = g
	}
	g.used = time.Now()
	return g
}

// find is the timeline of the mount's group if there is one yet: what was never answered with media holds no place.
func (t *timelines) find(m *mount) (*timeline, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.groups[m.timelineKey()]
	return g, ok
}

func (m *mount) timelineKey() string { return m.prefix + "\x00" + m.group }

func (t *timelines) forgetOldest() {
	var oldest string
	for key, g := range t.groups {
		if oldest == "" || g.used.Before(t.groups[oldest].used) {
			oldest = key
		}
	}
	delete(t.groups, oldest)
}

// master is what a master says of its children.
type master struct {
	doc   *playlist.Document // nil: it could not be had
	at    time.Time          // when that was tried
	paths map[string]child   // by URL without the query
}

// child is what a master says of a path.
type child struct {
	role playlist.Role
	many bool // several URLs differ in their queries only
}

func newMaster(doc *playlist.Document) *master {
	m := &master{doc: doc, at: time.Now()}
	if doc == nil {
		return m
	}
	m.paths = make(map[string]child, len(doc.Children))
	for _, c := range doc.Children {
		path, _, _ := strings.Cut(c.URL, "?")
		known, ok := m.paths[path]
		if !ok {
			known.role = c.Role
		}
		known.many = ok
		m.paths[path] = known
	}
	return m
}

// role is what the master says of a URL: with its query, or else, where that only holds what differs between listeners, without.
func (m *master) role(u *url.URL) (role playlist.Role, byQuery, ok bool) {
	path, _, _ := strings.Cut(playlist.Resource(u), "?")
	c, named := m.paths[path]
	if role, ok := m.doc.Role(u); ok {
		return role, c.many, true
	}
	return c.role, false, named && !c.many
}

func (g *timeline) learnMaster(name string, doc *playlist.Document) *master {
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.masters[name]
	if ok && old.doc == doc && doc != nil {
		return old
	}
	if !ok && len(g.masters) >= maxMasters {
		clear(g.masters)
	}
	m := newMaster(doc)
	g.masters[name] = m
	return m
}

func (g *timeline) learnMedia(name string, role playlist.Role, media *playlist.Media) {
	g.Update(name, role, media, time.Now())
}

func (g *timeline) master(name string) *master {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.masters[name]
}

// role is what the master that led to a playlist says it is, and whether its query is part of its name. An edge that has not seen the
// master fetches it: the grant names it. What no master names was opened directly: a variant. final is where the playlist came from.
func (t *timelines) role(ctx context.Context, m *mount, g *timeline, of, name string, final *url.URL) (role playlist.Role, byQuery bool) {
	known := t.master(ctx, m, g, of)
	if known.doc == nil {
		return playlist.RoleVariant, false
	}
	for _, text := range m.named(name).URLs {
		if u, err := url.Parse(text); err == nil {
			if role, byQuery, ok := known.role(u); ok {
				return role, byQuery
			}
		}
	}
	role, byQuery, _ = known.role(final)
	return role, byQuery
}

// master is what is known of the master of that name; it is fetched if it was not seen yet.
func (t *timelines) master(ctx context.Context, m *mount, g *timeline, name string) *master {
	known := g.master(name)
	if known == nil || known.doc == nil && time.Since(known.at) > roleAgain {
		known = t.fetchMaster(ctx, m, g, name)
	}
	return known
}

// imported is a playlist as it reads with the variables of the master that led to it, and the name of that master; none if it imports
// nothing. Where the request does not say which master that was, one that names the playlist will do.
func (t *timelines) imported(ctx context.Context, m *mount, g *timeline, pl *origin.Playlist, master string) (*origin.Playlist, string) {
	if pl.Doc == nil || len(pl.Doc.Imports) == 0 {
		return pl, ""
	}
	if master == "" {
		master = g.naming(pl.URL)
	}
	if master == "" {
		return pl, ""
	}
	known := t.master(ctx, m, g, master)
	if known.doc == nil {
		return pl, master
	}
	full, err := pl.Import(known.doc.Variables)
	if err != nil {
		t.log.Warn("a playlist is too large with its master's variables", "playlist", pl.URL.Redacted(), "err", err)
		return pl, master
	}
	return full, master
}

// naming is the name of a master that names the playlist at u; empty if this edge has seen none.
func (g *timeline) naming(u *url.URL) (name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n, m := range g.masters {
		if m.doc == nil {
			continue
		}
		if _, _, ok := m.role(u); ok && (name == "" || n < name) {
			name = n
		}
	}
	return name
}

// fetchMaster waits for a master for roleWithin; that it could not be had is remembered for roleAgain.
func (t *timelines) fetchMaster(ctx context.Context, m *mount, g *timeline, name string) *master {
	ctx, cancel := context.WithTimeout(ctx, roleWithin)
	defer cancel()
	pl, err := t.origin.Playlist(ctx, m.named(name))
	if err != nil || pl.Doc == nil {
		return g.learnMaster(name, nil)
	}
	return g.learnMaster(name, pl.Doc)
}

// named is the source of a playlist by its name in grants.
func (m *mount) named(name string) origin.Source {
	rest, query := name, ""
	for i := range name {
		if name[i] == '?' {
			rest, query = name[:i], name[i+1:]
			break
		}
	}
	return m.source(rest, query)
}

// reference is a playlist as a request for one of its segments refers to it.
type reference struct {
	name   string        // to fetch it by
	line   string        // of its timeline; empty: the request names no playlist, and none is known to hold what it asks for
	role   playlist.Role // of the playlist
	master string        // whose variables it imports; empty: none, or it is not known
}

// refresh fetches a playlist whose timeline is missing or behind, off the caller's road, once for all who ask.
// It reports whether a fetch that began at or after since has ended.
func (t *timelines) refresh(m *mount, g *timeline, ref reference, since time.Time) (done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.asked[ref.line]
	if f != nil && !f.at.Before(since) {
		return f.done
	}
	if f != nil && (!f.done || time.Since(f.at) < refetchAfter) {
		return false
	}
	if f == nil && len(g.asked) >= fetchesAtOnce {
		clear(g.asked)
	}
	f = &fetch{at: time.Now()}
	g.asked[ref.line] = f
	if t.ctx.Err() != nil {
		return false
	}
	t.work.Go(func() {
		pl, err := t.origin.Playlist(t.ctx, m.named(ref.name))
		if err == nil && pl.Doc != nil && pl.Doc.Media != nil {
			pl, _ = t.imported(t.ctx, m, g, pl, ref.master)
			g.learnMedia(ref.line, ref.role, pl.Doc.Media)
		} else if err != nil && t.ctx.Err() == nil {
			t.log.Warn("a playlist is missing to place segments on", "playlist", ref.line, "err", err)
		}
		g.mu.Lock()
		f.done = true
		g.mu.Unlock()
	})
	return false
}

// learnRate notes how many bytes a whole segment had for its time.
func (g *timeline) learnRate(name string, bytes int64, media time.Duration) {
	if bytes <= 0 || media <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	rate := float64(bytes) / float64(media)
	if old, ok := g.rates[name]; ok {
		rate = old + (rate-old)/8
	}
	if len(g.rates) < maxGroups {
		g.rates[name] = rate
	}
}

// guess is the length of a body of that much media, by what the playlist's segments had so far; 0 if there were none.
func (g *timeline) guess(name string, media time.Duration) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(g.rates[name] * float64(media))
}
