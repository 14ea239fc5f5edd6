package proxy

import (
	"context"
	"log/slog"
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

	masters *masters

	mu    sync.Mutex
	asked map[string]*fetch  // playlists fetched for segments, by name
	rates map[string]float64 // bytes per ns of media, by playlist
}

// fetch is a playlist being fetched, or fetched, for the sake of its segments.
type fetch struct {
	at   time.Time
	done bool
}

const (
	maxGroups     = 10_000
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
		g = &timeline{Group: playlist.NewGroup(), masters: newMasters(),
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

// target is the target duration of a playlist of the mount's group, 0 if it has not passed through here.
func (t *timelines) target(m *mount, line string) time.Duration {
	if g, ok := t.find(m); ok {
		return g.TargetDuration(line)
	}
	return 0
}

// lists reports whether a playlist that has passed through here says that what is asked for is there by now.
func (t *timelines) lists(m *mount, line, query string) bool {
	g, ok := t.find(m)
	if !ok || line == "" {
		return false
	}
	for _, resource := range m.resources(m.rest, query) {
		var space [8]playlist.Span
		spans, class, _ := g.Locate(line, resource, 0, 1, 1, space[:0])
		switch class {
		case playlist.ClassOther:
		case playlist.ClassPart:
			return len(spans) > 0 // else it is only hinted at
		default:
			return true
		}
	}
	return false
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

// learnMedia takes in what a playlist said when it came.
func (g *timeline) learnMedia(name string, role playlist.Role, media *playlist.Media, came time.Time) {
	g.UpdateAsOf(name, role, media, time.Now(), came)
}

// read is a playlist as it reads with the variables of its master.
func (t *timelines) read(pl *origin.Playlist, values map[string]string) *origin.Playlist {
	full, err := pl.Import(values)
	if err != nil {
		t.log.Warn("a playlist is too large with its master's variables", "playlist", pl.Place, "err", err)
		return pl
	}
	return full
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
		src := m.named(ref.name)
		src.NotBefore = f.at
		pl, served, err := t.origin.Playlist(t.ctx, src)
		if err == nil && pl.Doc != nil && pl.Doc.Media != nil {
			values, _ := t.variables(t.ctx, m, g.masters, pl.Doc, pl.URL, ref.master)
			g.learnMedia(ref.line, ref.role, t.read(pl, values).Doc.Media, served.Came)
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
