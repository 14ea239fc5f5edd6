package origin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"earshot/playlist"
)

// playlists keeps the playlists that origins have answered with, parsed, for all who ask for the same. They are small, short-lived, and wanted
// whole: who asks while one is fetched waits for the end of that.
type playlists struct {
	client *Client

	mu      sync.Mutex
	held    recent[*keptPlaylist] // by key
	flights map[string]*flight
}

// keptPlaylist is what is known under one name. It is immutable but for revive, which is guarded by playlists.mu.
type keptPlaylist struct {
	p      *Playlist // nil: there is none
	head   http.Header
	fresh  freshness
	valid  validators
	revive time.Time // before then it is used, stale, without asking again

	failed error // why there is none
	alone  bool  // each asks for himself
	until  time.Time
}

// maxPlaylists bounds what is kept, in bytes. It mostly shares its memory with versions.
const maxPlaylists = 64 << 20

// flight is a playlist being fetched.
type flight struct {
	asked  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	old    *keptPlaylist

	askers int  // guarded by playlists.mu
	nearly bool // guarded by playlists.mu: its head is there; it goes on without anybody

	solo chan struct{} // closed when it turns out that it is not to be shared: it is for who began it
	done chan struct{} // closed when the rest is set

	p      *Playlist
	served Served
	err    error
}

// playlistKey is a playlist's name. The directives of a blocking reload stand at its end, in one order, whoever asked in which. Where one is
// there twice, or is no plain word, origins may read it as they like: the name is the URL then, to the letter, and nobody else's.
func playlistKey(u string) string {
	base, query, ok := strings.Cut(u, "?")
	if !ok || !strings.Contains(query, "_HLS_") {
		return u
	}
	key := base + "?" + playlist.StripQuery(query, "_HLS_msn", "_HLS_part", "_HLS_skip")
	for _, name := range []string{"_HLS_msn", "_HLS_part", "_HLS_skip"} {
		v, ok := playlist.Param(query, name)
		switch {
		case ok && isWord(v):
			key += "&" + name + "=" + v
		case ok || playlist.StripQuery(query, name) != query:
			return u
		}
	}
	return key
}

func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// awaited reports whether a playlist is the answer to a blocking reload: it holds what was waited for. An origin that does not know such
// reloads, or has given up, answers with what there is.
func (p *Playlist) awaited(u string) bool {
	m := p.media()
	_, query, _ := strings.Cut(u, "?")
	text, _ := playlist.Param(query, "_HLS_msn")
	if m == nil || len(m.Segments) == 0 || !isDigits(text) {
		return false
	}
	msn, _ := position(text)
	last := &m.Segments[len(m.Segments)-1]
	if last.Seq != msn || !last.Provisional {
		return last.Seq >= msn
	}
	text, _ = playlist.Param(query, "_HLS_part")
	part, ok := position(text)
	return ok && int64(len(last.Parts)) > part
}

// Playlist is a playlist, from the cache or from the origins. All who ask while it is being fetched get the same one, and one who leaves does
// not disturb the others.
func (c *Client) Playlist(ctx context.Context, src Source) (*Playlist, Served, error) {
	key := src.playlistKey()
	for {
		h, f, led := c.playlists.find(key, src)
		switch {
		case f != nil:
		case h.alone:
			return c.playlistAlone(ctx, src)
		default:
			return c.playlists.use(h, time.Now())
		}
		solo := f.solo
		if led {
			solo = nil
		}
		select {
		case <-f.done:
		case <-solo:
		case <-ctx.Done():
			c.playlists.leave(key, f)
			return nil, Served{}, ctx.Err()
		}
		select {
		case <-solo: // also if it is done by now
			c.playlists.leave(key, f)
			return c.playlistAlone(ctx, src)
		default:
		}
		if f.asked.Before(src.NotBefore) {
			continue
		}
		served := f.served
		if !led && served.Status != Stale {
			served.Status, served.stored = Collapsed, false
		}
		if f.err != nil && !led {
			served.Status = Collapsed
		}
		c.opt.Metrics.served("playlist", served.Status)
		return f.p, served, f.err
	}
}

// use is what there is.
func (l *playlists) use(h *keptPlaylist, now time.Time) (*Playlist, Served, error) {
	served := Served{Status: Hit, Came: h.fresh.came, now: now}
	if h.p == nil {
		served.TTL = h.until.Sub(now)
	} else if served.TTL, served.Age = h.fresh.TTL(now), h.fresh.Age(now); served.TTL <= 0 {
		served.Status = Stale
	}
	l.client.opt.Metrics.served("playlist", served.Status)
	return h.p, served, h.failed
}

// find is what there is of a playlist, or the flight that brings it, joined; led says that it began now.
func (l *playlists) find(key string, src Source) (h *keptPlaylist, f *flight, led bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	h, _ = l.held.get(key)
	if h != nil && h.usable(now, src.NotBefore, h.revive) {
		return h, nil, false
	}
	if f := l.flights[key]; f != nil {
		f.askers++
		return nil, f, false
	}
	f = &flight{asked: now, askers: 1, solo: make(chan struct{}), done: make(chan struct{})}
	f.ctx, f.cancel = context.WithTimeout(context.Background(), l.client.timeout(src))
	if h != nil && h.p != nil {
		f.old = h
	}
	if l.client.closed.Load() {
		f.err = context.Canceled
		f.cancel()
		close(f.done)
		return nil, f, true
	}
	l.flights[key] = f
	l.client.work.Go(func() { l.fly(key, src, f) })
	return nil, f, true
}

func (h *keptPlaylist) usable(now, notBefore, revive time.Time) bool {
	if h.p == nil {
		return now.Before(h.until) && (h.alone || !h.fresh.asked.Before(notBefore))
	}
	if h.fresh.asked.Before(notBefore) {
		return false
	}
	return h.fresh.TTL(now) > 0 || now.Before(revive) && h.bearable(now)
}

// bearable reports whether a playlist that is too old may be used when there is no other.
func (h *keptPlaylist) bearable(now time.Time) bool {
	if h.fresh.strict {
		return false
	}
	if m := h.p.media(); m == nil || m.Ended {
		return true
	}
	return h.fresh.Age(now) <= targets(stalePlaylist, h.p.target())
}

// leave is for who does not wait for a flight any more. When nobody does it ends, unless it is nearly done.
func (l *playlists) leave(key string, f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.askers--; f.askers == 0 && !f.nearly {
		f.cancel()
		if l.flights[key] == f {
			delete(l.flights, key)
		}
	}
}

// fly fetches a playlist and keeps it.
func (l *playlists) fly(key string, src Source, f *flight) {
	defer f.cancel()
	var now *keptPlaylist
	now, f.served.origin, f.err = l.client.fetchInTurn(f.ctx, src, f.old, f.asked, func(d directives) { l.headed(key, f, d) })
	l.client.opt.Metrics.fetched("playlist", f.err)
	l.mu.Lock()
	at := time.Now()
	f.served.Status, f.served.now, f.served.stale = Miss, at, f.old != nil
	if now != nil {
		f.p, f.served.TTL, f.served.Age, f.served.Came = now.p, now.fresh.TTL(at), now.fresh.Age(at), now.fresh.came
		f.served.stored = now.p != nil && !now.alone
		if f.served.origin == http.StatusNotModified {
			f.served.Status, f.served.stored = Revalidated, false
		}
		l.keep(key, now)
	} else if f.old != nil && down(f.err) && f.old.bearable(at) {
		f.p, f.err, f.old.revive = f.old.p, nil, at.Add(reviveAfter)
		f.served.Status, f.served.TTL, f.served.Age, f.served.Came = Stale, f.old.fresh.TTL(at), f.old.fresh.Age(at), f.old.fresh.came
	}
	if now != nil && now.alone {
		f.served = Served{Status: Bypass, Age: now.fresh.Age(at), Came: now.fresh.came, origin: f.served.origin, now: at}
	}
	if l.flights[key] == f {
		delete(l.flights, key)
	}
	l.mu.Unlock()
	close(f.done)
}

// keep takes in what was fetched. The caller holds mu.
func (l *playlists) keep(key string, h *keptPlaylist) {
	switch at := time.Now(); {
	case h.alone:
		l.held.put(key, &keptPlaylist{alone: true, until: h.until}, len(key)+overhead)
	case h.p != nil:
		l.held.put(key, h, cost(key, h.p))
	case h.until.After(at):
		l.held.put(key, h, len(key)+overhead)
	default:
		l.held.remove(key)
	}
}

// headed notes that the head of a flight's answer is there. One that is not to be shared goes on for him who began it; the others, and who comes now, ask
// for themselves.
func (l *playlists) headed(key string, f *flight, d directives) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.nearly = true
	if !d.never {
		return
	}
	if l.flights[key] == f {
		delete(l.flights, key)
	}
	l.held.put(key, &keptPlaylist{alone: true, until: time.Now().Add(aloneFor)}, len(key)+overhead)
	close(f.solo)
}

// playlistAlone fetches for one listener.
func (c *Client) playlistAlone(ctx context.Context, src Source) (*Playlist, Served, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout(src))
	defer cancel()
	c.opt.Metrics.served("playlist", Bypass)
	h, status, err := c.fetchInTurn(ctx, src, nil, time.Now(), func(directives) {})
	c.opt.Metrics.fetched("playlist", err)
	if errors.Is(err, context.Canceled) || h == nil {
		return nil, Served{}, err
	}
	return h.p, Served{Status: Bypass, Age: h.fresh.Age(time.Now()), Came: h.fresh.came, origin: status}, err
}

// adopt takes in a playlist that was asked for as something else, and keeps it.
func (c *Client) adopt(ctx context.Context, src Source, m *Media, asked time.Time, d directives) error {
	p, err := c.read(ctx, m)
	if err != nil {
		return err
	}
	key := src.playlistKey()
	l := &c.playlists
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(key, newHeld(p, m.Header, asked, time.Now(), d, false))
	return nil
}

func newHeld(p *Playlist, head http.Header, asked, came time.Time, d directives, held bool) *keptPlaylist {
	h := &keptPlaylist{p: p, head: head, fresh: newFreshness(head, asked, came, d), valid: readValidators(head), alone: d.never}
	h.fresh.lifetime = playlistLifetime(p, d, held, h.fresh.age)
	if d.never {
		h.until = came.Add(aloneFor)
	}
	return h
}

// close ends what is on its way.
func (l *playlists) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flights {
		f.cancel()
	}
}
