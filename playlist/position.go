package playlist

import (
	"path"
	"strings"
	"time"
)

// How far a segment's date may be from the end of the segment before and still be taken as rounding.
const (
	toleranceFraction = 50 * time.Millisecond
	toleranceWhole    = time.Second // the date was written without a fraction
)

// date places a segment on the dated axis: where another playlist of the group has the segment of the very same
// date; else right after the segment before, if that is near its date; else at its date.
//
// The time of one playlist does not run backwards: a date that is earlier than the end of the segment before by
// more than half of that segment is not believed (a stuck clock, an inserted programme with dates of its own),
// for it would make new media look like old.
func (g *Group) date(t *timeline, e *entry, s *Segment, prev *entry, lead int64) {
	e.axis = t.axis(axisDated)
	e.from = lead
	if s.PDT == 0 {
		return
	}
	a, adopted := g.anchors[s.PDT], false
	e.from = s.PDT
	if s.PDTGiven && a != nil && !a.ambiguous && a.axis == e.axis && a.path != t.path {
		e.from, adopted = a.from, true
	}
	if prev != nil && prev.axis == e.axis {
		tolerance := toleranceFraction
		if s.PDTPrecision >= time.Second {
			tolerance = toleranceWhole
		}
		slack := max(tolerance, prev.worth/2).Microseconds()
		late := e.from - prev.to
		if late < -slack || !adopted && late <= tolerance.Microseconds() && late >= -tolerance.Microseconds() {
			e.from = prev.to
		}
	}
	if s.PDTGiven {
		g.drive(t, e)
	}
}

// drive makes e the anchor of its date, or holds on to the one that there is.
func (g *Group) drive(t *timeline, e *entry) {
	a := g.anchors[e.date]
	switch {
	case a == nil, a.axis != e.axis:
		a = &anchor{path: t.path, axis: e.axis, from: e.from}
		g.anchors[e.date] = a
	case a.path == t.path:
		a.ambiguous = true
	}
	a.refs++
	e.anchor = a
}

// restarted tells whether m is a playlist begun anew under the old name: its numbers lie before all that was
// listed, or mean other segments than before. A version from an origin that lags behind is not.
func (t *timeline) restarted(m *Media) bool {
	if len(t.placed) == 0 || len(m.Segments) == 0 {
		return false
	}
	first, last := m.Segments[0].Seq, m.Segments[len(m.Segments)-1].Seq
	lo := max(first, t.placed[0].seq)
	hi := min(last, t.placed[len(t.placed)-1].seq)
	if lo > hi {
		return last < t.placed[0].seq
	}
	a, b := t.find(lo), t.find(hi)
	if a != nil && b != nil {
		sa, sb := &m.Segments[lo-first], &m.Segments[hi-first]
		if a.contradicts(sa) && b.contradicts(sb) {
			return true
		}
		if b.date != 0 && sb.PDT != 0 {
			return false
		}
	}
	return t.last != nil && len(t.last.Segments) > 0 && last < t.last.Segments[0].Seq
}

// contradicts tells whether s, of the same number as e, is another segment: by its date, else by its file name.
func (e *entry) contradicts(s *Segment) bool {
	if e.date != 0 && s.PDT != 0 {
		apart := e.date - s.PDT
		far := (s.Duration + time.Second).Microseconds()
		return apart > far || apart < -far
	}
	return e.name != "" && s.Resource != "" && fileName(e.name) != fileName(s.Resource)
}

// fileName is the last segment of a Resource's path. A token before it or in the query may change at each
// reload.
func fileName(resource string) string {
	p, _, _ := strings.Cut(resource, "?")
	return path.Base(p)
}

// find returns the entry of a number, or nil.
func (t *timeline) find(seq int64) *entry {
	lo, hi := 0, len(t.placed)
	for lo < hi {
		if mid := (lo + hi) / 2; t.placed[mid].seq < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(t.placed) && t.placed[lo].seq == seq {
		return t.placed[lo]
	}
	return nil
}

// restart makes room for a playlist begun anew. Its segments get an axis of their own, so that new media is not
// taken for old; unless they are dated after all there was, for then the dates keep them apart already.
func (g *Group) restart(t *timeline, m *Media, now time.Time) {
	end := t.placed[len(t.placed)-1]
	lead := leadDate(m)
	if t.role == RoleVariant && (end.cell || lead == 0 || lead < end.to-toleranceWhole.Microseconds()) {
		t.epoch = max(t.epoch+1, g.epoch)
		g.epoch = t.epoch
	}
	for _, e := range t.placed {
		e.leave(now).retired = true
		g.release(e)
	}
	t.retired = append(t.retired, t.placed...)
	t.placed = t.placed[:0:0]
	t.spare = nil
}
