package origin

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"earshot/origin/blob"
)

// cache keeps what origins have answered, for all who ask for the same. An object is what is known of one thing under one name; it may be
// there, be on its way, be missing at the origin, or be none that may be shared.
type cache struct {
	client  *Client
	blobs   *blob.Room
	metrics *Metrics

	mu      sync.Mutex
	objects map[string]*object
	memory  tier
	disk    tier

	crowded chan struct{} // told when memory is nearly full
}

// object is what is known under one name. It is guarded by cache.mu.
type object struct {
	key    string
	entity *entity // nil: there is none
	fill   *fill   // that is on its way; nil: none is
	memory *slot   // where its body lies, and what holds it in the table; nil: not there
	disk   *slot

	failed   error     // why there is none
	playlist bool      // it is one, and belongs to other hands
	alone    bool      // it is not to be shared
	large    bool      // for being too large: a part of it may be
	unlisted bool      // no playlist listed it when it was found to be missing
	spooled  bool      // whether it should lie on disk too was asked
	until    time.Time // when the three above are to be forgotten
	revive   time.Time // before then a stale entity is used without asking again: the origin has just failed
}

// How long it is remembered what an answer was like, and that an origin has failed.
const (
	aloneFor    = time.Minute
	playlistFor = time.Minute
	reviveAfter = time.Second
)

// leastMemory is the least that the cache has to let many listeners share what is on its way, in bytes.
const leastMemory = 16 << 20

// query is one request to the cache.
type query struct {
	ctx    context.Context
	method string
	src    Source
	part   byteRange
	cond   conditions
	header http.Header // of the player, for answers that are not shared
}

// names are the keys under which an answer may be, in the order in which they are looked at; what is not there is fetched under the last.
// What a part of something is asked for under is its own name: a playlist's byte ranges are the same for all who play it, and what they lie
// in may be hours long.
func (q *query) names() (keys [2]string, n int) {
	keys[0], n = q.src.key(), 1
	switch {
	case q.method == http.MethodHead:
		keys[n], n = "HEAD "+keys[0], n+1
	case q.apart():
		keys[n], n = q.part.String()+" "+keys[0], n+1
	}
	return keys, n
}

// apart reports whether a part is asked for that is fetched by itself. The last zero bytes are none; origins answer to that what they like.
func (q *query) apart() bool {
	return q.method == http.MethodGet && !q.part.whole() && !q.part.none() && q.cond.ifRange == ""
}

// found is what the cache has for a query: one of its fields is set.
type found struct {
	entity *entity // with body, held
	body   *blob.Blob
	fill   *fill // joined
	err    error // it is known that there is nothing
	alone  bool  // each asks for himself

	served Served
}

// find looks a query up, and begins to fetch what is not there.
func (c *cache) find(q *query) found {
	now := time.Now()
	keys, n := q.names()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, key := range keys[:n] {
		o := c.objects[key]
		if o == nil {
			continue
		}
		last := i == n-1
		if o.entity != nil {
			if f, ok := c.use(o, now); ok {
				return f
			}
			if !o.entity.partial && q.method == http.MethodGet {
				last = true // it is the whole that is renewed
			}
		}
		if o.fill != nil && o.fill.outdated(now) {
			o.fill = nil // it goes on for those who wait
			if !last {
				c.tidy(o)
			}
		}
		if o.fill != nil && (last || q.servable(o.fill)) {
			o.fill.askers++
			o.fill.joined = true
			return found{fill: o.fill, served: Served{Status: Collapsed, now: now}}
		}
		if now.Before(o.until) {
			switch {
			case o.failed != nil && o.unlisted && q.src.listed():
				// It has come to be since.
			case o.failed != nil:
				return found{err: o.failed, served: Served{Status: Hit, TTL: o.until.Sub(now), now: now}}
			case o.playlist:
				return found{err: ErrPlaylist}
			case o.alone && (last || !o.large):
				return found{alone: true}
			}
		}
		if last {
			return c.begin(q, o, now)
		}
	}
	o := &object{key: keys[n-1]}
	c.objects[o.key] = o
	return c.begin(q, o, now)
}

// use is what there is of an object, if it may be used without asking the origin. The caller holds mu.
func (c *cache) use(o *object, now time.Time) (found, bool) {
	ttl := o.entity.fresh.TTL(now)
	if ttl <= 0 && !now.Before(o.revive) || o.memory == nil && o.disk == nil {
		return found{}, false // too old, or given up while it was renewed
	}
	f := found{entity: o.entity, served: Served{Status: Hit, TTL: ttl, Age: o.entity.fresh.Age(now), now: now}}
	if ttl <= 0 {
		f.served.Status = Stale
	}
	f.body = c.take(o)
	return f, true
}

// take holds the body of an object, and notes that it was asked for. The caller holds mu.
func (c *cache) take(o *object) *blob.Blob {
	s, t := o.memory, &c.memory
	if s == nil || s.body == nil && o.disk != nil {
		s, t = o.disk, &c.disk
	}
	if s == nil {
		return nil
	}
	t.lru.hit(s, t.budget)
	if s.body != nil {
		s.body.Hold()
	}
	return s.body
}

// outdated reports whether what a fill brings has been too old for a while, before it was all there: who comes now must not get it. The while
// lets the listeners of one moment share what is not to be kept.
func (f *fill) outdated(now time.Time) bool {
	select {
	case <-f.head:
	default:
		return false
	}
	return f.entity != nil && !f.stored && f.entity.fresh.TTL(now) <= 0 && now.Sub(f.entity.fresh.came) > reviveAfter
}

// servable reports whether what is asked for comes soon from a fill of the whole.
func (q *query) servable(f *fill) bool {
	select {
	case <-f.head:
	default:
		return true // perhaps: the head will tell
	}
	if f.entity == nil || f.stored {
		return true
	}
	if q.method == http.MethodHead {
		return true
	}
	from, _, ok := q.part.of(f.entity.length)
	return f.entity.length >= 0 && (!ok || from <= f.written.Load()+window)
}

// begin fetches an object. The caller holds mu, and has joined the fill.
func (c *cache) begin(q *query, o *object, now time.Time) found {
	if c.client.closed.Load() {
		c.tidy(o)
		return found{err: context.Canceled}
	}
	o.failed, o.playlist, o.alone, o.large, o.unlisted = nil, false, false, false, false
	f := &fill{cache: c, object: o, base: q.src.key(), listed: q.src.listed(), askers: 1, running: true, head: make(chan struct{}),
		present: make(chan *gift, 1)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	old := o.entity
	if old != nil {
		f.whence.stale, f.body = true, c.take(o)
	}
	o.fill = f
	var part byteRange
	if q.apart() && o.key != f.base {
		part = q.part
	}
	c.client.work.Go(func() { f.run(q, part, old) })
	return found{fill: f, served: Served{Status: Miss, now: now}}
}

// tidy forgets an object of which nothing is left. The caller holds mu.
func (c *cache) tidy(o *object) {
	if o.fill == nil && o.memory == nil && o.disk == nil && c.objects[o.key] == o {
		delete(c.objects, o.key)
	}
}

// most is how much of a tier one body may have.
func (c *cache) most(t *tier) int64 { return t.budget / 8 }

// note remembers something of an object that is not there. The caller holds mu.
func (c *cache) note(o *object, until time.Time, set func()) {
	c.drop(&c.memory, o.memory)
	c.drop(&c.disk, o.disk)
	o.entity = nil
	if until.After(time.Now()) {
		set()
		o.until = until
		c.put(&c.memory, o, nil, false)
	}
}

// ErrPlaylist says that what was asked for is a playlist, and is to be asked for as one.
var ErrPlaylist = errors.New("it is a playlist")

// close gives up what is kept and ends what is on its way.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.objects {
		if o.fill != nil {
			o.fill.cancel()
			o.fill = nil // what it still brings is not kept
		}
		c.forget(o)
	}
}
