package proxy

import (
	"context"
	"hash/maphash"
	"net/url"
	"strings"
	"sync"
	"time"

	"earshot/playlist"
)

// masters is what a group's masters say of their children and of their variables, as far as this edge has seen. A master is known by name:
// its path, and its query, which mostly holds what differs between listeners.
type masters struct {
	mu     sync.Mutex
	named  map[string]*master
	latest map[string]*master // by path: the one seen last
	asked  map[string]*flight // by name
	size   int                // of named, in entries of their tables
}

// Bounds of what a group remembers of its masters, and of what it asks for at a time.
const (
	maxMasters       = 256
	maxMasterEntries = 20_000
	maxFlights       = 64
)

// master is one of them. It is immutable but for seen and doc.
type master struct {
	name   string
	doc    *playlist.Document // it was read from; guarded by masters.mu
	sum    uint64             // of its text
	seen   time.Time
	roles  map[string]playlist.Role // by URL
	paths  map[string]child         // by URL without the query
	values map[string]string        // variables
}

// child is what a master says of a path.
type child struct {
	role playlist.Role
	many bool // several URLs differ in their queries only
}

// flight is a master being fetched, or one that could not be had a moment ago.
type flight struct {
	at   time.Time
	done chan struct{} // closed when it has ended
}

func newMasters() *masters {
	return &masters{named: make(map[string]*master), latest: make(map[string]*master), asked: make(map[string]*flight)}
}

func (m *master) entries() int { return 1 + len(m.roles) + len(m.values) }

// seed is of the sums by which a text is known again.
var seed = maphash.MakeSeed()

// learn takes a master in. Beyond the bounds those seen longest ago are forgotten. Where others have its name who asked with another query,
// clipped says so: what its variables are to one of them is nothing to the others.
func (g *masters) learn(name string, doc *playlist.Document, clipped bool) {
	path, _, _ := strings.Cut(name, "?")
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.asked, name)
	m := g.named[name]
	if m != nil && m.doc == doc {
		m.seen, g.latest[path] = time.Now(), m
		return
	}
	sum := maphash.Bytes(seed, doc.Body)
	if m != nil && m.sum == sum {
		m.doc = doc
	} else {
		m = newMaster(name, sum, doc, g.latest[path])
		if clipped {
			m.values = nil
		}
		g.forget(name)
		g.named[name] = m
		g.size += m.entries()
	}
	m.seen = time.Now()
	if len(g.latest) >= maxMasters && g.latest[path] == nil {
		clear(g.latest)
	}
	g.latest[path] = m
	for len(g.named) > maxMasters || g.size > maxMasterEntries && len(g.named) > 1 {
		g.forget(g.oldest(name))
	}
}

func (g *masters) forget(name string) {
	if m := g.named[name]; m != nil {
		g.size -= m.entries()
		delete(g.named, name)
	}
}

// oldest is the name of the master that was seen longest ago, other than not.
func (g *masters) oldest(not string) (oldest string) {
	for name, m := range g.named {
		if name != not && (oldest == "" || m.seen.Before(g.named[oldest].seen)) {
			oldest = name
		}
	}
	return oldest
}

// newMaster reads a master's children. Where its text is that of another, it shares that one's tables.
func newMaster(name string, sum uint64, doc *playlist.Document, like *master) *master {
	m := &master{name: name, doc: doc, sum: sum, values: doc.Variables}
	if like != nil && like.sum == sum && len(doc.Params) == 0 {
		m.roles, m.paths = like.roles, like.paths
		return m
	}
	m.roles, m.paths = make(map[string]playlist.Role, len(doc.Children)), make(map[string]child, len(doc.Children))
	for _, c := range doc.Children {
		m.roles[c.URL] = c.Role
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
	name := playlist.Resource(u)
	path, _, _ := strings.Cut(name, "?")
	c, named := m.paths[path]
	if role, ok := m.roles[name]; ok {
		return role, c.many, true
	}
	return c.role, false, named && !c.many
}

// get is the master of that name, nil if this edge has not seen it.
func (g *masters) get(name string) *master {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.named[name]
}

// known are the masters that may tell what the children of the named one are: itself, and the one of its path that was seen last, for whoever
// came with another query.
func (g *masters) known(name string) (all []*master) {
	path, _, _ := strings.Cut(name, "?")
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range []*master{g.named[name], g.latest[path]} {
		if m != nil {
			all = append(all, m)
		}
	}
	return all
}

// naming is a master that names the playlist at u and has no query, so that what it says is said to everybody; nil if there is none.
func (g *masters) naming(u *url.URL) (found *master) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, m := range g.named {
		if _, _, ok := m.role(u); ok && !strings.Contains(name, "?") && (found == nil || name < found.name) {
			found = m
		}
	}
	return found
}

// ask joins the fetch of a master, or begins one with start. One that has failed is not begun again for roleAgain. Where too many are under
// way it is nil.
func (g *masters) ask(name string, start func(*flight)) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.asked[name]; f != nil && time.Since(f.at) < roleAgain {
		return f
	}
	if len(g.asked) >= maxFlights {
		for other, f := range g.asked {
			if time.Since(f.at) >= roleAgain {
				delete(g.asked, other)
			}
		}
		if len(g.asked) >= maxFlights {
			return nil
		}
	}
	f := &flight{at: time.Now(), done: make(chan struct{})}
	g.asked[name] = f
	start(f)
	return f
}

// master is the named master; it is fetched if it was not seen yet, for all who ask at once, whoever of them leaves. It waits no longer than
// roleWithin from the beginning of the fetch, and nil is that it could not be had by then.
func (t *timelines) master(ctx context.Context, m *mount, g *masters, name string) *master {
	if known := g.get(name); known != nil || t.ctx.Err() != nil {
		return known
	}
	f := g.ask(name, func(f *flight) {
		t.work.Go(func() {
			defer close(f.done)
			pl, _, err := t.origin.Playlist(t.ctx, m.named(name))
			if err == nil && pl.Doc != nil && pl.Doc.Kind == playlist.KindMaster {
				g.learn(name, pl.Doc, false)
			}
		})
	})
	if f == nil {
		return nil
	}
	late := time.NewTimer(time.Until(f.at.Add(roleWithin)))
	defer late.Stop()
	select {
	case <-f.done:
	case <-late.C:
	case <-ctx.Done():
	}
	return g.get(name)
}

// role is what the master that led to a playlist says it is, and whether its query is part of its name. What no master names was opened
// directly: a variant. final is where the playlist came from.
func (t *timelines) role(ctx context.Context, m *mount, g *masters, of, name string, final *url.URL) (role playlist.Role, byQuery bool) {
	urls := make([]*url.URL, 0, 4)
	for _, text := range m.named(name).URLs {
		if u, err := url.Parse(text); err == nil {
			urls = append(urls, u)
		}
	}
	urls = append(urls, final)
	known := g.known(of)
	for _, master := range known {
		if role, byQuery, ok := master.roleOfAny(urls); ok {
			return role, byQuery
		}
	}
	if len(known) > 0 && known[0].name == of {
		return playlist.RoleVariant, false
	}
	if master := t.master(ctx, m, g, of); master != nil {
		role, byQuery, _ = master.roleOfAny(urls)
	}
	return role, byQuery
}

func (m *master) roleOfAny(urls []*url.URL) (role playlist.Role, byQuery, ok bool) {
	for _, u := range urls {
		if role, byQuery, ok = m.role(u); ok {
			return role, byQuery, true
		}
	}
	return playlist.RoleVariant, false, false
}

// variables are those that a playlist imports, and the name of the master that has them. Where the request does not say which master that
// is, one will do that names the playlist and says the same to everybody.
func (t *timelines) variables(ctx context.Context, m *mount, g *masters, doc *playlist.Document, final *url.URL, of string) (values map[string]string, name string) {
	if doc == nil || len(doc.Imports) == 0 {
		return nil, ""
	}
	if of == "" {
		if found := g.naming(final); found != nil {
			return found.values, found.name
		}
		return nil, ""
	}
	if master := t.master(ctx, m, g, of); master != nil {
		return master.values, of
	}
	return nil, of
}
