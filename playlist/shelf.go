package playlist

import (
	"cmp"
	"slices"
	"time"
)

// wholeSegment in a hold says that it is the segment and no part of it.
const wholeSegment = -1

// hold is a byte range of a resource, or all of it, that is a segment or a part.
type hold struct {
	e      *entry
	part   int // index into e.parts, or wholeSegment
	off    int64
	length int64 // -1 is the whole resource
}

// shelf is what one resource holds: one segment mostly, its parts, or the many ranges of a single-file stream.
type shelf struct {
	whole   hold   // the segment or part that the whole resource is, the newest if it was listed again
	ranges  []hold // the others, by offset
	longest int64  // of the ranges
	sorted  bool
	touched bool
}

// shelve files a hold under the name of its resource.
func (t *timeline) shelve(resource string, h hold) {
	if resource == "" {
		return
	}
	s := t.shelves[resource]
	if s == nil {
		s = &shelf{sorted: true}
		t.shelves[resource] = s
	}
	if h.length < 0 {
		if s.whole.e == nil || s.whole.e.order <= h.e.order {
			s.whole = h
		}
		return
	}
	if n := len(s.ranges); n > 0 && compareHolds(s.ranges[n-1], h) > 0 {
		s.sorted = false
		t.unsorted = append(t.unsorted, s)
	}
	s.ranges = append(s.ranges, h)
	s.longest = max(s.longest, h.length)
}

// compareHolds puts a segment before its parts, and what is listed again before what was listed first.
func compareHolds(a, b hold) int {
	return cmp.Or(
		cmp.Compare(a.off, b.off), cmp.Compare(a.length, b.length),
		cmp.Compare(min(a.part, 0), min(b.part, 0)), cmp.Compare(b.e.order, a.e.order),
	)
}

func (t *timeline) sortShelves() {
	for _, s := range t.unsorted {
		if !s.sorted {
			slices.SortFunc(s.ranges, compareHolds)
			s.sorted = true
		}
	}
	t.unsorted = nil
}

// unshelve takes an entry off the shelf of a name that it no longer has.
func (t *timeline) unshelve(resource string, e *entry) {
	if s := t.shelves[resource]; s != nil {
		t.sweep(resource, s, func(h hold) bool { return h.e == e && h.part == wholeSegment })
	}
}

// clear takes forgotten entries off their shelves, each shelf once.
func (t *timeline) clear(dead []*entry) {
	if len(dead) == 0 {
		return
	}
	for _, e := range dead {
		e.dead = true
	}
	touched := make(map[string]*shelf)
	touch := func(name string) {
		if s := t.shelves[name]; s != nil && !s.touched {
			s.touched = true
			touched[name] = s
		}
	}
	for _, e := range dead {
		touch(e.name)
		for _, name := range e.former {
			touch(name)
		}
		for i := range e.parts {
			touch(e.parts[i].Resource)
		}
	}
	for name, s := range touched {
		s.touched = false
		t.sweep(name, s, func(h hold) bool { return h.e.dead })
	}
}

func (t *timeline) sweep(resource string, s *shelf, gone func(hold) bool) {
	s.ranges = slices.DeleteFunc(s.ranges, gone)
	if s.whole.e != nil && gone(s.whole) {
		s.whole = hold{}
	}
	if len(s.ranges) == 0 && s.whole.e == nil {
		delete(t.shelves, resource)
	}
}

// listing is a resource without media time that a playlist names.
type listing struct {
	class Class
	seen  time.Time // when it was listed last, as far as is known
}

// list takes in the keys, maps and hints of a version, and forgets those not listed for long.
func (t *timeline) list(m *Media, now time.Time) {
	if t.last != nil {
		t.note(t.last, now)
	}
	t.note(m, now)
	keep := m.keep()
	for res, l := range t.others {
		if now.Sub(l.seen) > keep {
			delete(t.others, res)
		}
	}
}

func (t *timeline) note(m *Media, now time.Time) {
	for _, h := range m.Hints {
		t.others[h.Resource] = listing{hintClass(h), now}
	}
	for res := range m.Keys {
		t.others[res] = listing{ClassKey, now}
	}
	for res := range m.Maps {
		t.others[res] = listing{ClassInit, now}
	}
}

func hintClass(h Hint) Class {
	if h.Map {
		return ClassInit
	}
	return ClassPart
}

// holds tells whether the playlist names the resource, or did not long ago.
func (t *timeline) holds(resource string) bool {
	if t.shelves[resource] != nil {
		return true
	}
	_, ok := t.others[resource]
	return ok
}
