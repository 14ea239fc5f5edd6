package playlist

import (
	"hash/fnv"
	"sync"
	"time"
)

// Bounds of what a Group remembers.
const (
	maxPlaylists = 256
	// A segment that left its window stays locatable for max(keepAtLeast, keepWindows windows), within
	// keepWindows times as many segments as are listed plus keepSegments.
	keepAtLeast  = 2 * time.Minute
	keepWindows  = 3
	keepSegments = 256

	// maxKept bounds the segments of all playlists of a group; one playlist alone may hold more.
	maxKept = 200_000
)

// Group is the timelines of one stream group: all its media playlists, placed on one axis. It may be used by
// any number of goroutines. It reads no clock; time is passed in.
//
// A segment's position is assigned once, when its media sequence number is first seen in its playlist, and
// remembered: later versions of the playlist, with other rounding, do not move it. Where the playlist is dated
// (EXT-X-PROGRAM-DATE-TIME) the axis is wall-clock time in µs; a segment follows the one before without a gap
// as long as that agrees with its date, and is anchored at its date when not. Without dates the axis is the
// media sequence number, shared between playlists whose windows agree.
type Group struct {
	mu      sync.RWMutex
	lines   map[string]*timeline
	anchors map[int64]*anchor // given dates that have a position, by date
	epoch   int               // the highest of the timelines' epochs
	guide   guide
	order   uint64 // of entries, by first sight
}

// anchor is the position of a segment that its playlist dates, for the same date in other playlists.
type anchor struct {
	path      string
	axis      uint64
	from      int64
	refs      int  // entries that hold it
	ambiguous bool // one playlist gave this date twice
}

// guide is what the group knows of the playlist whose sequence numbers the undated ones are compared to.
type guide struct {
	path    string
	last    int64 // media sequence number
	at      time.Time
	average time.Duration
	typical time.Duration
	ended   bool
}

// NewGroup returns a group that knows no playlist yet.
func NewGroup() *Group {
	return &Group{lines: make(map[string]*timeline), anchors: make(map[int64]*anchor)}
}

// Update places this version of the media playlist `path` (the edge's name for it) on the group's axis. With
// the Media of the last call it returns at once. Beyond 256 playlists the one updated longest ago is forgotten.
//
// A path that was a RoleVariant once stays one, for somebody may have opened a rendition directly: Locate then
// gives its spans to all who ask, and whoever reaches it as a rendition must not count them.
func (g *Group) Update(path string, role Role, m *Media, now time.Time) {
	g.UpdateAsOf(path, role, m, now, now)
}

// UpdateAsOf is Update with a version that its origin had at a time before now. One that is older than what is known is not taken in: it would
// look like a playlist begun anew.
func (g *Group) UpdateAsOf(path string, role Role, m *Media, now, asOf time.Time) {
	if m == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.lines[path]
	if t != nil && t.role != role && role == RoleVariant {
		g.drop(t)
		t = nil
	}
	if t == nil {
		g.makeRoom()
		t = newTimeline(path, role, g.epoch)
		g.lines[path] = t
	}
	t.updated = now
	if t.last == m {
		if asOf.After(t.asOf) {
			t.asOf = asOf
		}
		return
	}
	if asOf.Before(t.asOf) {
		return
	}
	t.asOf = asOf
	t.version++
	g.place(t, m, now)
	t.list(m, now)
	t.last = m
	t.typical, t.target = m.Typical(), m.TargetDuration
	if t.typical == 0 {
		t.typical = m.TargetDuration
	}
	g.trim(t)
}

// Find names the playlist that a resource belongs to, for a request that carries no grant: a variant before
// others, then the one updated last. A playlist that has the very name goes before those that have its path with
// another query, as Locate understands it.
func (g *Group) Find(resource string) (path string, role Role, ok bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	best := g.first(resource, (*timeline).names)
	if best == nil {
		best = g.first(resource, (*timeline).holds)
	}
	if best == nil {
		return "", RoleVariant, false
	}
	return best.path, best.role, true
}

func (g *Group) first(resource string, has func(*timeline, string) bool) (best *timeline) {
	for _, t := range g.lines {
		if has(t, resource) && (best == nil || t.before(best)) {
			best = t
		}
	}
	return best
}

// before orders timelines for Find.
func (t *timeline) before(o *timeline) bool {
	if (t.role == RoleVariant) != (o.role == RoleVariant) {
		return t.role == RoleVariant
	}
	if !t.updated.Equal(o.updated) {
		return t.updated.After(o.updated)
	}
	return t.path < o.path
}

// Known tells whether the group has a timeline for path.
func (g *Group) Known(path string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.lines[path] != nil
}

// TypicalDuration is the median segment duration of path (else its target duration; 0 if the playlist is not
// known), for a segment that left the window before we saw the playlist.
func (g *Group) TypicalDuration(path string) time.Duration {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if t := g.lines[path]; t != nil {
		return t.typical
	}
	return 0
}

// TargetDuration is that of path; 0 if the playlist is not known.
func (g *Group) TargetDuration(path string) time.Duration {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if t := g.lines[path]; t != nil {
		return t.target
	}
	return 0
}

// makeRoom forgets the playlist updated longest ago, if there are too many.
func (g *Group) makeRoom() {
	if len(g.lines) >= maxPlaylists {
		g.drop(g.oldest(nil))
	}
}

// trim forgets playlists until the group holds no more than maxKept segments, or no other than keep.
func (g *Group) trim(keep *timeline) {
	kept := 0
	for _, t := range g.lines {
		kept += len(t.placed) + len(t.retired)
	}
	for kept > maxKept && len(g.lines) > 1 {
		t := g.oldest(keep)
		kept -= len(t.placed) + len(t.retired)
		g.drop(t)
	}
}

// oldest is the timeline that was updated longest ago, other than not.
func (g *Group) oldest(not *timeline) (oldest *timeline) {
	for _, t := range g.lines {
		if t != not && (oldest == nil || t.updated.Before(oldest.updated)) {
			oldest = t
		}
	}
	return oldest
}

func (g *Group) drop(t *timeline) {
	for _, e := range t.placed {
		g.release(e)
	}
	delete(g.lines, t.path)
}

// release gives up an entry's anchor.
func (g *Group) release(e *entry) {
	a := e.anchor
	if a == nil {
		return
	}
	e.anchor = nil
	if a.refs--; a.refs == 0 && g.anchors[e.date] == a {
		delete(g.anchors, e.date)
	}
}

// The axes that playlists share. Others are hashes, and never these.
const (
	axisDated    uint64 = 1
	axisSequence uint64 = 2
)

// axis names an axis of this timeline: of its epoch, and its own unless it is shared.
func (t *timeline) axis(base uint64) uint64 {
	own := base == axisSequence && t.standing == standsAlone
	if !own && t.epoch == 0 {
		return base
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(base), byte(t.epoch), byte(t.epoch >> 8), byte(t.epoch >> 16)})
	if own {
		_, _ = h.Write([]byte(t.path))
	}
	return max(h.Sum64(), axisSequence+1)
}

// standing is whether an undated timeline shares the group's sequence axis. Once decided it stays.
type standing uint8

const (
	undecided standing = iota
	standsShared
	standsAlone
)

// Two undated playlists share an axis if their last sequence numbers differ by at most guideSegments, after
// what should have been added to the guide since it was seen, and their typical durations by a fifth.
const guideSegments = 3

// decide settles t's standing, and lets it be the guide where there is none.
func (g *Group) decide(t *timeline, m *Media, now time.Time) {
	if len(m.Segments) == 0 {
		return
	}
	last := m.Segments[len(m.Segments)-1].Seq
	typical := m.Typical()
	if t.standing == undecided {
		t.standing = standsAlone
		if g.guide.path == "" || g.guide.agrees(last, typical, now) {
			t.standing = standsShared
		}
	}
	if t.standing != standsShared || g.guide.path != t.path && g.lines[g.guide.path] != nil {
		return
	}
	g.guide = guide{
		path: t.path, last: last, at: now, ended: m.Ended, typical: typical,
		average: m.Window() / time.Duration(len(m.Segments)),
	}
}

func (gd *guide) agrees(last int64, typical time.Duration, now time.Time) bool {
	expected := gd.last
	if !gd.ended && gd.average > 0 {
		expected += int64(max(0, now.Sub(gd.at)) / gd.average)
	}
	apart := expected - last
	diff := typical - gd.typical
	if diff < 0 {
		diff = -diff
	}
	return apart >= -guideSegments && apart <= guideSegments && diff*5 <= max(typical, gd.typical)
}
