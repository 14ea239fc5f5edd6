package session

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// FaceOf is how a listener at that address with that agent looks: the same on every edge (FNV-1a). It is never 0.
func FaceOf(address netip.Addr, agent string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range address.As16() {
		h = (h ^ uint64(b)) * prime
	}
	for i := range len(agent) {
		h = (h ^ uint64(agent[i])) * prime
	}
	return h | 1
}

// PieceOf names a piece of media: what two listeners have both asked for.
func PieceOf(path, query string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(path) {
		h = (h ^ uint64(path[i])) * prime
	}
	for i := range len(query) {
		h = (h ^ uint64(query[i])) * prime
	}
	return h | 1
}

// Crowd tells one listener who changes his address or agent from several who share an id. One listener asks for each piece of media once,
// whatever road he takes: phones roam, and players behind a carrier's address pool, with two stacks or a private relay change theirs with
// every connection. Two listeners ask for the same pieces, and both go on doing so (DESIGN, decision 9).
//
// The first face seen holds the id. A later one is another listener when, within the time given, it and the holder have both asked for
// commonPieces pieces, and have taken turns at it.
type Crowd struct {
	mu    sync.Mutex
	faces []face // in the order in which they were first seen
}

const (
	commonPieces = 2
	commonTurns  = 3 // from the one to the other and back
	maxFaces     = 32
	keptPieces   = 16
)

// face is one address and agent that uses the id.
type face struct {
	hash        uint64
	since, seen time.Time
	pieces      [keptPieces]uint64
	n           int // pieces ever

	// As compared with the holder, since began.
	began  time.Time
	common int
	turns  int
	turn   uint64 // which of the two was seen last

	apart ID // its own id, when it is known to be another listener
}

// Note notes that a face has asked for a piece of media (0: for something else) and tells whether it is another listener than the one who holds the id.
func (c *Crowd) Note(hash, piece uint64, now time.Time, within time.Duration) (apart ID, another bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.face(hash, now, within)
	if f.apart != "" {
		f.seen = now
		return f.apart, true
	}
	f.seen = now
	if piece == 0 {
		return "", false
	}
	f.pieces[f.n%keptPieces] = piece
	f.n++
	holder := c.holder(now, within)
	if holder == f {
		for i := range c.faces {
			if other := &c.faces[i]; other != f && other.apart == "" {
				other.compare(f, f, piece, now, within)
			}
		}
		return "", false
	}
	f.compare(holder, f, piece, now, within)
	return "", f.common >= commonPieces && f.turns >= commonTurns
}

// compare notes that asked, which is this face or the holder, asked for a piece.
func (f *face) compare(holder, asked *face, piece uint64, now time.Time, within time.Duration) {
	if now.Sub(f.began) > within || now.Sub(f.seen) > within {
		f.began, f.common, f.turns, f.turn = now, 0, 0, 0
	}
	other := holder
	if asked == holder {
		other = f
	}
	if other.has(piece) {
		f.common++
	}
	if f.turn != asked.hash {
		f.turn = asked.hash
		f.turns++
	}
}

func (f *face) has(piece uint64) bool {
	for _, p := range f.pieces[:min(f.n, keptPieces)] {
		if p == piece {
			return true
		}
	}
	return false
}

// holder is the first face that was seen within that time and has no id of its own. There is one: who asks has just been seen.
func (c *Crowd) holder(now time.Time, within time.Duration) *face {
	for i := range c.faces {
		if f := &c.faces[i]; f.apart == "" && now.Sub(f.seen) <= within {
			return f
		}
	}
	return &c.faces[len(c.faces)-1]
}

func (c *Crowd) face(hash uint64, now time.Time, within time.Duration) *face {
	for i := range c.faces {
		f := &c.faces[i]
		if f.hash == hash {
			if f.apart == "" && now.Sub(f.seen) > within { // he comes back as a newcomer
				again := face{hash: hash, since: now, seen: now}
				c.faces = append(append(c.faces[:i], c.faces[i+1:]...), again)
				return &c.faces[len(c.faces)-1]
			}
			return f
		}
	}
	if len(c.faces) >= maxFaces {
		out := c.least(now, within)
		c.faces = append(c.faces[:out], c.faces[out+1:]...)
	}
	c.faces = append(c.faces, face{hash: hash, since: now, seen: now})
	return &c.faces[len(c.faces)-1]
}

// least is the face to forget where there are more than maxFaces: the one unseen for longest, if that is longer than the time given, or a quarter of it for
// one with an id of his own; else the last that asks for no media; else the last. If each took the place of the next, of forty who come in turn
// nothing would ever be known.
func (c *Crowd) least(now time.Time, within time.Duration) int {
	oldest, idle := -1, -1
	for i := range c.faces {
		f := &c.faces[i]
		if gone := now.Sub(f.seen); (gone > within || f.apart != "" && gone > within/4) && (oldest < 0 || f.seen.Before(c.faces[oldest].seen)) {
			oldest = i
		}
		if f.n == 0 && f.apart == "" {
			idle = i
		}
	}
	switch {
	case oldest >= 0:
		return oldest
	case idle >= 0:
		return idle
	}
	return len(c.faces) - 1
}

// Meet notes that a face has been there since then.
func (c *Crowd) Meet(hash uint64, since, now time.Time, within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.face(hash, now, within)
	f.seen = now
	if !since.Before(f.since) {
		return
	}
	f.since = since
	order := func(a, b face) int { return a.since.Compare(b.since) }
	if slices.IsSortedFunc(c.faces, order) {
		return
	}
	slices.SortStableFunc(c.faces, order)
	for i := range c.faces {
		c.faces[i].began = time.Time{} // there may be another holder to compare with
	}
}

// alone tells whether no other face was seen within that time.
func (c *Crowd) alone(hash uint64, now time.Time, within time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.faces {
		if f := &c.faces[i]; f.hash != hash && now.Sub(f.seen) <= within {
			return false
		}
	}
	return true
}

// Part gives a face an id of its own.
func (c *Crowd) Part(hash uint64, id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.faces {
		if c.faces[i].hash == hash {
			c.faces[i].apart = id
		}
	}
}

// Sighting is what this edge has seen of a face, for the others to compare.
func (c *Crowd) Sighting(hash uint64, now time.Time) Sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Sighting{Face: hash}
	for i := range c.faces {
		f := &c.faces[i]
		if f.hash != hash {
			continue
		}
		s.Since = now.Sub(f.since)
		for k := max(0, f.n-MaxPieces); k < f.n; k++ {
			s.Pieces = append(s.Pieces, f.pieces[k%keptPieces])
		}
	}
	return s
}

// Heard takes what another edge has seen of the same session: pieces that are new count as if they had been asked for here. Who has been there for longer
// stands first. It reports whether the face goes on: whether there is something new of one that was heard of before.
func (c *Crowd) Heard(s Sighting, now time.Time, within time.Duration) (goesOn bool) {
	met, _ := c.knows(s.Face, 0)
	c.Meet(s.Face, now.Add(-s.Since), now, within)
	for _, p := range s.Pieces {
		if _, old := c.knows(s.Face, p); !old { // what an edge has said stays on the table for a while
			c.Note(s.Face, p, now, within)
			goesOn = met
		}
	}
	return goesOn
}

// knows tells whether a face has been seen, and whether it has asked for a piece.
func (c *Crowd) knows(hash, piece uint64) (seen, asked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.faces {
		if c.faces[i].hash == hash {
			return true, c.faces[i].has(piece)
		}
	}
	return false, false
}
