package session

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull is returned when the table holds as many sessions as it may.
var ErrFull = errors.New("edge full: no room for another session")

const shards = 64

// Table is this edge's live sessions: bounded, in memory, safe for concurrent use.
type Table struct {
	max  int64
	seed maphash.Seed
	n    atomic.Int64
	part [shards]struct {
		mu   sync.RWMutex
		live map[Key]*Session
	}
	groups struct {
		mu sync.Mutex
		n  map[string]int
	}
	bare struct {
		mu  sync.Mutex
		ids map[bareKey]ID
	}
}

// bareKey finds the session of a listener who sends neither id nor grant.
type bareKey struct{ tag, group string }

// NewTable makes a table of at most max sessions.
func NewTable(max int) *Table {
	t := &Table{max: int64(max), seed: maphash.MakeSeed()}
	for i := range t.part {
		t.part[i].live = make(map[Key]*Session)
	}
	t.groups.n = make(map[string]int)
	t.bare.ids = make(map[bareKey]ID)
	return t
}

func (t *Table) shard(k Key) int {
	return int(maphash.Comparable(t.seed, k) % shards)
}

// Get finds a live session.
func (t *Table) Get(k Key) (*Session, bool) {
	p := &t.part[t.shard(k)]
	p.mu.RLock()
	s, ok := p.live[k]
	p.mu.RUnlock()
	return s, ok
}

// Admit returns the live session of that key, or makes s live. fresh tells which. [ErrFull] if there is no room.
// Of bare sessions there is one per tag and group: whoever comes second gets the first one's.
// The session it returns has been touched.
func (t *Table) Admit(s *Session, now time.Time) (live *Session, fresh bool, err error) {
	tag, bare := bareTag(s.Key.ID)
	if !bare {
		return t.admit(s, now)
	}
	t.bare.mu.Lock()
	defer t.bare.mu.Unlock()
	b := bareKey{tag, s.Key.Group}
	if id, ok := t.bare.ids[b]; ok {
		if live, ok := t.Get(Key{id, s.Key.Group}); ok {
			live.Touch(now)
			return live, false, nil
		}
	}
	live, fresh, err = t.admit(s, now)
	if err == nil {
		t.bare.ids[b] = live.Key.ID
	}
	return live, fresh, err
}

func (t *Table) admit(s *Session, now time.Time) (live *Session, fresh bool, err error) {
	p := &t.part[t.shard(s.Key)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.live[s.Key]; ok {
		old.Touch(now)
		return old, false, nil
	}
	if t.n.Add(1) > t.max {
		t.n.Add(-1)
		return nil, false, ErrFull
	}
	s.Touch(now)
	p.live[s.Key] = s
	t.count(s.Key.Group, 1)
	return s, true, nil
}

func (t *Table) count(group string, by int) {
	t.groups.mu.Lock()
	defer t.groups.mu.Unlock()
	if t.groups.n[group] += by; t.groups.n[group] <= 0 {
		delete(t.groups.n, group)
	}
}

// InGroup is the number of live sessions of a group.
func (t *Table) InGroup(group string) int {
	t.groups.mu.Lock()
	defer t.groups.mu.Unlock()
	return t.groups.n[group]
}

// Bare is the id of the live bare session with that tag in the group.
func (t *Table) Bare(tag, group string) (ID, bool) {
	t.bare.mu.Lock()
	defer t.bare.mu.Unlock()
	id, ok := t.bare.ids[bareKey{tag, group}]
	return id, ok
}

// Remove forgets the session of that key.
func (t *Table) Remove(k Key) { t.remove(k, nil) }

// Drop forgets a session, and not another that has come to live under its key since.
func (t *Table) Drop(s *Session) { t.remove(s.Key, s) }

// remove forgets the session of that key: that one only, if it is not nil.
func (t *Table) remove(k Key, only *Session) {
	p := &t.part[t.shard(k)]
	p.mu.Lock()
	s, ok := p.live[k]
	if ok && only != nil && s != only {
		p.mu.Unlock()
		return
	}
	if ok {
		delete(p.live, k)
		t.n.Add(-1)
		t.count(k.Group, -1)
	}
	p.mu.Unlock()
	if tag, ok := bareTag(k.ID); ok {
		t.bare.mu.Lock()
		if b := (bareKey{tag, k.Group}); t.bare.ids[b] == k.ID {
			delete(t.bare.ids, b)
		}
		t.bare.mu.Unlock()
	}
}

// Full reports whether another session would find no room.
func (t *Table) Full() bool { return t.n.Load() >= t.max }

// Max is how many sessions it may hold.
func (t *Table) Max() int { return int(t.max) }

// Len is the number of live sessions.
func (t *Table) Len() int { return int(t.n.Load()) }

// Sweep forgets the sessions that idle says have gone, and returns them.
func (t *Table) Sweep(idle func(*Session) bool) (gone []*Session) {
	t.Each(func(s *Session) bool {
		if idle(s) {
			gone = append(gone, s)
		}
		return true
	})
	n := 0
	for _, s := range gone {
		if idle(s) { // he may have come back meanwhile
			t.Drop(s)
			gone[n] = s
			n++
		}
	}
	return gone[:n]
}

// Each calls f for every session until it returns false. Sessions may come and go meanwhile; no lock is held while f runs.
func (t *Table) Each(f func(*Session) bool) {
	var batch []*Session
	for i := range t.part {
		p := &t.part[i]
		p.mu.RLock()
		batch = batch[:0]
		for _, s := range p.live {
			batch = append(batch, s)
		}
		p.mu.RUnlock()
		for _, s := range batch {
			if !f(s) {
				return
			}
		}
	}
}
