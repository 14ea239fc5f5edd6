package playlist

import (
	"math"
	"slices"
	"time"
)

// timeline is one media playlist of a group, as far as it is remembered. The group's lock guards it.
type timeline struct {
	path string
	role Role

	last    *Media
	updated time.Time
	asOf    time.Time // when its origin had last
	typical time.Duration
	target  time.Duration

	epoch    int // counts restarts that began a new axis
	standing standing
	placed   []*entry // of this epoch, ascending by seq
	spare    []*entry // the slice placed was in before
	retired  []*entry // of before a restart, until they are too old

	shelves  map[string]*shelf  // what a resource holds
	others   map[string]listing // keys, maps and hints
	bares    map[string]*bare   // of both, by path
	version  int                // counts versions
	unsorted []*shelf           // shelves that this update left out of order
}

// entry is a segment that has its place.
type entry struct {
	seq      int64
	axis     uint64
	from, to int64
	worth    time.Duration
	date     int64 // Unix µs, as the playlist had it when the segment was first seen; 0 is none
	anchor   *anchor
	cell     bool // on a sequence axis, else on a dated one
	gap      bool
	real     bool // false while provisional
	retired  bool // of before a restart
	dead     bool // forgotten

	name   string   // its Resource
	former []string // what it was, where its path does not tell
	parts  []placedPart
	scale  time.Duration // duration that a whole cell of the sequence axis stands for, for the parts

	left  time.Time // when it was first missing from the playlist; zero while it is listed
	order uint64
}

// placedPart is a part within its segment.
type placedPart struct {
	Part
	at time.Duration // from the start of the segment; at most maxDuration
}

// end is where the next part begins. None begins later than the longest segment ends, however many there are.
func (p *placedPart) end() time.Duration { return min(p.at+p.Duration, maxDuration) }

// cellBits: on a sequence axis each segment has 2^20 units.
const cellBits = 20

// maxFormer bounds how many names an entry keeps of a playlist whose paths change at each reload.
const maxFormer = 8

func newTimeline(path string, role Role, epoch int) *timeline {
	return &timeline{
		path: path, role: role, epoch: epoch,
		shelves: make(map[string]*shelf), others: make(map[string]listing), bares: make(map[string]*bare),
	}
}

// place merges a version into the timeline. Both are in order of sequence numbers, so this is linear.
func (g *Group) place(t *timeline, m *Media, now time.Time) {
	if t.restarted(m) {
		g.restart(t, m, now)
	}
	lead := leadDate(m)
	if t.role == RoleVariant && lead == 0 {
		g.decide(t, m, now)
	}
	old, merged := t.placed, t.spare[:0]
	for i := range m.Segments {
		s := &m.Segments[i]
		for len(old) > 0 && old[0].seq < s.Seq {
			merged = append(merged, old[0].leave(now))
			old = old[1:]
		}
		if len(old) > 0 && old[0].seq == s.Seq {
			t.refresh(old[0], s, m)
			merged = append(merged, old[0])
			old = old[1:]
		} else {
			var prev *entry
			if n := len(merged); n > 0 && merged[n-1].seq == s.Seq-1 {
				prev = merged[n-1]
			}
			merged = append(merged, g.admit(t, s, m, prev, lead))
		}
		lead = advance(lead, s)
	}
	for _, e := range old {
		merged = append(merged, e.leave(now))
	}
	t.placed, t.spare = merged, t.placed
	g.forget(t, m, now)
	t.sortShelves()
}

// leadDate dates the first segment of a version backwards from the first date there is in it, over
// discontinuities if need be; 0 if there is no date.
func leadDate(m *Media) int64 {
	var before time.Duration
	for i := range m.Segments {
		if s := &m.Segments[i]; s.PDT != 0 {
			return dateNotNone(s.PDT - before.Microseconds())
		}
		before += m.Segments[i].Duration
	}
	return 0
}

// advance moves a lead date past an undated segment; at the first dated one there is no more lead.
func advance(lead int64, s *Segment) int64 {
	if lead == 0 || s.PDT != 0 {
		return 0
	}
	return lead + s.Duration.Microseconds()
}

func (e *entry) leave(now time.Time) *entry {
	if e.left.IsZero() {
		e.left = now
	}
	return e
}

// admit gives a segment seen for the first time its place.
func (g *Group) admit(t *timeline, s *Segment, m *Media, prev *entry, lead int64) *entry {
	g.order++
	e := &entry{
		seq: s.Seq, worth: s.Duration, gap: s.Gap, real: !s.Provisional,
		date: s.PDT, name: s.Resource, order: g.order,
	}
	if t.role == RoleVariant {
		switch {
		case s.PDT == 0 && prev != nil && !prev.cell:
			e.axis, e.from = prev.axis, prev.to
		case s.PDT == 0 && lead == 0:
			e.cell, e.axis, e.from = true, t.axis(axisSequence), cellOf(s.Seq)
		default:
			g.date(t, e, s, prev, lead)
		}
		e.stretch()
	}
	e.addParts(t, s, m)
	if e.real {
		t.shelve(e.name, hold{e: e, part: wholeSegment, off: s.Offset, length: s.Length})
	}
	return e
}

// cellOf is where a segment lies on a sequence axis. The top bits of a number are lost; no window is so long
// that this would matter.
func cellOf(seq int64) int64 { return (seq & (1<<42 - 1)) << cellBits }

// stretch sets the end of the entry from its worth. From a date on, a line of undated segments of 24 h reaches the end
// of int64 after 10^8 of them; what wraps there is empty, and worth nothing.
func (e *entry) stretch() {
	if e.cell {
		e.to = e.from + 1<<cellBits
		return
	}
	e.to = e.from + (e.worth + time.Microsecond/2).Microseconds()
}

// refresh takes in what a new version says of a segment that has its place already: it may have been
// provisional, its URI may have changed, parts may have come.
func (t *timeline) refresh(e *entry, s *Segment, m *Media) {
	e.left = time.Time{}
	e.addParts(t, s, m)
	if s.Provisional {
		if !e.real {
			e.worth = s.Duration
			e.stretch()
		}
		return
	}
	if e.real && e.name == s.Resource {
		e.gap = s.Gap
		return
	}
	if !e.real {
		e.real, e.worth, e.name = true, s.Duration, ""
		e.stretch()
	}
	e.gap = s.Gap
	t.rename(e, s)
}

// rename files an entry under one more name; a player may still ask by the old ones.
func (t *timeline) rename(e *entry, s *Segment) {
	if t.sameByPath(e.name, s.Resource) || slices.Contains(e.former, s.Resource) {
		return
	}
	if e.name != "" {
		e.former = append(e.former, e.name)
	}
	if len(e.former) > maxFormer {
		t.unshelve(e.former[0], e)
		e.former = e.former[1:]
	}
	e.name = s.Resource
	t.shelve(e.name, hold{e: e, part: wholeSegment, off: s.Offset, length: s.Length})
}

// addParts appends the parts of s that e does not have yet. A playlist drops the parts of a segment when they
// are old; then what is remembered stays.
func (e *entry) addParts(t *timeline, s *Segment, m *Media) {
	if len(s.Parts) == 0 {
		return
	}
	skip := 0 // how many of s.Parts are known
	var at time.Duration
	if n := len(e.parts); n > 0 {
		first := slices.IndexFunc(e.parts, func(p placedPart) bool {
			return p.Resource == s.Parts[0].Resource && p.Offset == s.Parts[0].Offset
		})
		if first < 0 {
			first = slices.IndexFunc(e.parts, func(p placedPart) bool {
				return p.Offset == s.Parts[0].Offset && t.sameByPath(p.Resource, s.Parts[0].Resource)
			})
		}
		if first < 0 {
			return
		}
		skip = n - first
		at = e.parts[n-1].end()
	} else {
		at = e.partsLead(s)
		e.scale = s.Duration
		if s.Provisional {
			e.scale = max(s.Duration, m.TargetDuration)
		}
	}
	for i := skip; i < len(s.Parts) && len(e.parts) < maxParts; i++ {
		p := placedPart{Part: s.Parts[i], at: at}
		at = p.end()
		e.parts = append(e.parts, p)
		t.shelve(p.Resource, hold{e: e, part: len(e.parts) - 1, off: p.Offset, length: p.Length})
	}
}

// partsLead is where the first listed part begins in a whole segment: at its start, unless too much of the
// segment is missing for that; then the first parts are no longer listed.
func (e *entry) partsLead(s *Segment) time.Duration {
	if s.Provisional {
		return 0
	}
	lead := s.Duration
	for i := range s.Parts {
		if lead -= s.Parts[i].Duration; lead <= s.Parts[0].Duration/2 {
			return 0
		}
	}
	return lead
}

// keep is for how long what left the playlist is remembered.
func (m *Media) keep() time.Duration {
	return max(keepAtLeast, keepWindows*min(m.Window(), math.MaxInt64/keepWindows))
}

// forget drops what left the playlist too long ago, and what is too much.
func (g *Group) forget(t *timeline, m *Media, now time.Time) {
	keep := m.keep()
	most := keepWindows*len(m.Segments) + keepSegments
	stale := func(e *entry, n int) bool {
		return !e.left.IsZero() && (n > most || now.Sub(e.left) > keep)
	}
	var dead []*entry
	n := 0
	for n < len(t.placed) && stale(t.placed[n], len(t.placed)-n) {
		n++
	}
	dead = append(dead, t.placed[:n]...)
	t.placed = slices.Delete(t.placed, 0, n)
	n = 0
	for n < len(t.retired) && stale(t.retired[n], len(t.retired)-n) {
		n++
	}
	dead = append(dead, t.retired[:n]...)
	t.retired = slices.Delete(t.retired, 0, n)
	for _, e := range dead {
		g.release(e)
	}
	t.clear(dead)
	t.spare = slices.Delete(t.spare, 0, len(t.spare))
}
