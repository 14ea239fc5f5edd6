package origin

import (
	"container/list"
	"sync/atomic"

	"earshot/origin/blob"
)

// tier is a budget of bytes, in memory or on disk, and what is kept within it. What is on its way and what listeners still read after it
// was given up count too: used says what is really there. lru is guarded by cache.mu.
type tier struct {
	budget int64
	used   atomic.Int64
	lru    slru
}

// slot is the place of one object in a tier.
type slot struct {
	object    *object
	body      *blob.Blob // nil: the object is only a note
	size      int64      // body and what it takes to know of it
	own       int64      // of that, what it takes to know of it
	at        *list.Element
	protected bool
	again     bool // it was asked for more than once
}

// overhead is about what an object takes besides its body and its name, in bytes.
const overhead = 1 << 10

// own is about what an object takes besides its body. Its name, which players choose, is in its URL or its error too.
func (o *object) own() int64 { return overhead + 2*int64(len(o.key)) }

// reserve makes room for n more bytes, at the cost of what is kept. The caller holds cache.mu.
func (c *cache) reserve(t *tier, n int64) bool {
	if n > t.budget {
		return false
	}
	for t.used.Load()+n > t.budget {
		s := t.lru.victim()
		if s == nil {
			return false
		}
		c.evict(t, s)
	}
	t.used.Add(n)
	c.press()
	return true
}

// evict gives up a slot. An object that has none left is forgotten, unless it is being fetched. The caller holds cache.mu.
func (c *cache) evict(t *tier, s *slot) {
	c.drop(t, s)
	c.metrics.evicted(t == &c.memory)
	if o := s.object; o.memory == nil && o.disk == nil {
		o.entity = nil // a head without its body is none
		c.tidy(o)
	}
}

// drop takes a slot out of its tier. The caller holds cache.mu.
func (c *cache) drop(t *tier, s *slot) {
	if s == nil {
		return
	}
	t.lru.remove(s)
	t.used.Add(-s.own)
	if t == &c.memory {
		s.object.memory = nil
	} else {
		s.object.disk = nil
	}
	if s.body != nil {
		s.body.Release()
	}
}

// put gives an object a slot for a body whose room is reserved, and takes over the caller's hold on that. Where there is no room for
// a slot an object that has no other is forgotten. The caller holds cache.mu.
func (c *cache) put(t *tier, o *object, body *blob.Blob, again bool) {
	own := o.own()
	if !c.reserve(t, own) {
		if body != nil {
			body.Release()
		}
		if o.memory == nil && o.disk == nil {
			c.forget(o)
		}
		return
	}
	c.objects[o.key] = o // to make room for its slot it may have lost its last one
	s := &slot{object: o, body: body, size: own, own: own}
	if body != nil {
		s.size += body.Size()
	}
	if t == &c.memory {
		c.drop(t, o.memory)
		o.memory = s
	} else {
		c.drop(t, o.disk)
		o.disk = s
	}
	t.lru.add(s, again)
}

// forget takes an object out. The caller holds cache.mu.
func (c *cache) forget(o *object) {
	c.drop(&c.memory, o.memory)
	c.drop(&c.disk, o.disk)
	if o.entity = nil; o.fill == nil {
		delete(c.objects, o.key)
	}
}

// room is what is reserved for one body.
type room struct {
	tier  *tier
	bytes atomic.Int64
}

// grow reserves more of it. The caller holds cache.mu.
func (c *cache) grow(r *room, n int64) bool {
	if !c.reserve(r.tier, n) {
		return false
	}
	r.bytes.Add(n)
	return true
}

// shrink gives back what is not needed after all.
func (r *room) shrink(to int64) {
	r.tier.used.Add(to - r.bytes.Swap(to))
}

func (r *room) free() { r.shrink(0) }
