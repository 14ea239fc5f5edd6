package playlist

import (
	"math/bits"
	"sort"
	"time"
)

// Span is a delivered piece [From, To) of an axis; the whole piece is worth Worth of media, evenly. Positions
// on different axes have nothing to do with each other. A unit is a µs on a dated axis, and 2^-20 of a segment
// on a sequence axis.
type Span struct {
	Axis     uint64
	From, To int64
	Worth    time.Duration
}

// Class is what a resource is to its playlist.
type Class uint8

// The classes. ClassOther is in no list.
const (
	ClassOther   Class = iota
	ClassSegment       // a media segment, or a byte range with one in it
	ClassPart          // a partial segment, or one that is hinted at
	ClassInit          // an initialisation section (EXT-X-MAP)
	ClassKey           // a key
)

func (c Class) String() string {
	switch c {
	case ClassSegment:
		return "segment"
	case ClassPart:
		return "part"
	case ClassInit:
		return "init"
	case ClassKey:
		return "key"
	}
	return "other"
}

// Locate tells what the bytes [from, to) of a resource are worth in the playlist `path`, and appends that to
// dst. total is the length of the whole resource, -1 if it is not known. known is false when the group has no
// timeline for path (a cold edge): ask again after an Update.
//
// A segment that is a whole resource gives its share of the bytes, one that is a byte range its share of that
// range. Parts cover their place within their segment. No spans come for renditions and I-frame playlists, for
// gaps, for keys and init sections, for a resource in no list, for a whole-resource segment while total is -1,
// and for a hinted part until it is listed.
//
// A resource that is not listed by its name is found by its path without the query, where the queries of the
// playlist do not tell segments apart: they may be another listener's tokens.
func (g *Group) Locate(path, resource string, from, to, total int64, dst []Span) (spans []Span, class Class, known bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	t := g.lines[path]
	if t == nil {
		return dst, ClassOther, false
	}
	s := t.shelves[resource]
	if s == nil {
		if s = t.shelfOf(resource); s == nil {
			return dst, t.listed(resource), true
		}
	}
	if total >= 0 {
		to = min(to, total)
	}
	n := len(dst)
	dst, class = s.locate(max(0, from), to, total, dst)
	if class == ClassOther {
		if class = t.listed(resource); class != ClassOther {
			return dst, class, true
		}
		class = s.class()
	}
	if t.role != RoleVariant {
		dst = dst[:n]
	}
	return dst, class, true
}

// class is what a shelf holds, where no byte tells.
func (s *shelf) class() Class {
	if s.whole.e != nil && s.whole.part == wholeSegment {
		return ClassSegment
	}
	for _, h := range s.ranges {
		if h.part == wholeSegment {
			return ClassSegment
		}
	}
	return ClassPart
}

// locate prefers the parts where they account for every byte asked for, since they are exact; else segments;
// and what parts there are where no segment is known. The class is ClassOther if it finds nothing at all.
func (s *shelf) locate(from, to, total int64, dst []Span) ([]Span, Class) {
	near := s.near(from, to)
	full := s.whole.e != nil && from == 0 && to == total
	if !full && covered(near, from, to) {
		return partSpans(near, from, to, dst), ClassPart
	}
	class := ClassOther
	for i, h := range near {
		if h.part != wholeSegment || i > 0 && sameRange(near[i-1], h) {
			continue
		}
		class = ClassSegment
		dst = h.spans(from, to, dst)
	}
	if w := s.whole; w.e != nil {
		w.length = total
		dst = w.spans(from, to, dst)
		if class == ClassOther {
			class = ClassSegment
			if w.part != wholeSegment {
				class = ClassPart
			}
		}
	}
	if class == ClassOther && len(near) > 0 {
		return partSpans(near, from, to, dst), ClassPart
	}
	return dst, class
}

// near returns the run of ranges in which all that intersect [from, to) are.
func (s *shelf) near(from, to int64) []hold {
	if from >= to {
		return nil
	}
	lo := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].off > from-s.longest })
	hi := lo + sort.Search(len(s.ranges)-lo, func(i int) bool { return s.ranges[lo+i].off >= to })
	for lo < hi && s.ranges[lo].off+s.ranges[lo].length <= from {
		lo++
	}
	return s.ranges[lo:hi]
}

func sameRange(a, b hold) bool {
	return a.off == b.off && a.length == b.length && (a.part == wholeSegment) == (b.part == wholeSegment)
}

// covered tells whether parts account for all of [from, to).
func covered(near []hold, from, to int64) bool {
	if from >= to {
		return false
	}
	for _, h := range near {
		if h.part == wholeSegment {
			continue
		}
		if h.off > from {
			return false
		}
		if from = max(from, h.off+h.length); from >= to {
			return true
		}
	}
	return false
}

func partSpans(near []hold, from, to int64, dst []Span) []Span {
	for i, h := range near {
		if h.part != wholeSegment && (i == 0 || !sameRange(near[i-1], h)) {
			dst = h.spans(from, to, dst)
		}
	}
	return dst
}

// spans appends what [from, to) of the resource is worth in this hold, whose length must be known.
func (h hold) spans(from, to int64, dst []Span) []Span {
	lo, hi := max(from, h.off)-h.off, min(to, h.off+h.length)-h.off
	if h.length <= 0 || lo >= hi {
		return dst
	}
	whole, gap := h.span()
	if gap || whole.To <= whole.From {
		return dst
	}
	width := whole.To - whole.From
	sp := Span{
		Axis:  whole.Axis,
		From:  whole.From + share(width, lo, h.length),
		To:    whole.From + share(width, hi, h.length),
		Worth: time.Duration(share(int64(whole.Worth), hi, h.length) - share(int64(whole.Worth), lo, h.length)),
	}
	if sp.To <= sp.From {
		return dst
	}
	return append(dst, sp)
}

// span is the place of the whole segment or part.
func (h hold) span() (s Span, gap bool) {
	e := h.e
	if h.part == wholeSegment {
		return Span{e.axis, e.from, e.to, e.worth}, e.gap
	}
	p := &e.parts[h.part]
	s = Span{Axis: e.axis, Worth: p.Duration}
	if !e.cell {
		s.From = e.from + p.at.Microseconds()
		s.To = e.from + (p.at + p.Duration).Microseconds()
		return s, p.Gap || e.gap
	}
	if e.scale <= 0 {
		return s, true
	}
	s.From = e.from + share(1<<cellBits, int64(p.at), int64(e.scale))
	s.To = e.from + share(1<<cellBits, int64(p.at+p.Duration), int64(e.scale))
	return s, p.Gap || e.gap
}

// share is x*part/whole, rounded down, without overflow; a part outside [0, whole] counts as its nearer end.
// whole > 0 and x >= 0.
func share(x, part, whole int64) int64 {
	part = min(max(part, 0), whole)
	hi, lo := bits.Mul64(uint64(x), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
}
