package origin

import (
	"context"
	"fmt"
	"io"
	"time"

	"earshot/origin/blob"
)

// What memory is about to give up and is worth keeping goes to disk before that, off everybody's road.

// What is copied to disk.
const (
	crowdedAt = 75              // percent of memory in use, from which on it is looked for
	spoolTTL  = time.Minute     // for which it must still be fresh
	spoolMin  = blob.Small      // bytes it must have
	maxSearch = 256             // slots looked at in one round
	maxSpool  = 32              // bodies copied in one round
	spoolRest = 1 * time.Second // between rounds
)

// press tells the spooler that memory is crowded. The caller holds mu.
func (c *cache) press() {
	if c.disk.budget > 0 && c.memory.used.Load() > c.memory.budget/100*crowdedAt {
		select {
		case c.crowded <- struct{}{}:
		default:
		}
	}
}

// spool copies until ctx is done.
func (c *cache) spool(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.crowded:
		}
		for _, o := range c.worthy() {
			if ctx.Err() == nil {
				c.copyOut(o)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(spoolRest):
		}
	}
}

// spooled is an object to be copied, with a hold on its body.
type spooled struct {
	object *object
	entity *entity
	body   *blob.Blob
}

// worthy are the next objects that memory will give up and that others may ask for: they have been asked for again, and will be fresh for a
// while.
func (c *cache) worthy() (found []spooled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, seen := time.Now(), 0
	c.memory.lru.coldest(func(s *slot) bool {
		seen++
		o := s.object
		if !o.spooled && s.again && o.disk == nil && s.body != nil && s.body.Size() > spoolMin && o.entity.fresh.TTL(now) > spoolTTL {
			o.spooled = true
			s.body.Hold()
			found = append(found, spooled{o, o.entity, s.body})
		}
		return seen < maxSearch && len(found) < maxSpool
	})
	return found
}

// copyOut copies a body to disk. It stays in memory too for as long as there is room.
func (c *cache) copyOut(s spooled) {
	defer s.body.Release()
	size := s.body.Size()
	r := &room{tier: &c.disk}
	c.mu.Lock()
	ok := size <= c.most(&c.disk) && c.grow(r, size)
	c.mu.Unlock()
	if !ok {
		return
	}
	out, err := c.blobs.Disk()
	if err != nil {
		r.free()
		c.client.opt.Log.Warn("the cache cannot use the disk", "err", err)
		return
	}
	out.OnFree(r.free)
	if n, err := io.Copy(out, &blob.Piece{Blob: s.body, To: size}); err != nil || n != size {
		out.Release()
		c.client.opt.Log.Warn("the cache cannot use the disk", "err", fmt.Errorf("%d of %d bytes written: %w", n, size, err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := s.object; o.memory != nil && o.memory.body == s.body && o.disk == nil {
		c.put(&c.disk, o, out, false)
		return
	}
	out.Release()
}
