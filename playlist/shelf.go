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
	name    string
	alias   string // a second name, where the path of both turned out to be mixed
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
		s = t.shelfFor(resource, h)
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
		t.sweep(s, func(h hold) bool { return h.e == e && h.part == wholeSegment })
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
	var touched []*shelf
	touch := func(s *shelf) {
		if s != nil && !s.touched {
			s.touched = true
			touched = append(touched, s)
		}
	}
	visit := func(name string) {
		touch(t.shelves[name])
		if len(t.bares) > 0 {
			if b := t.bares[barePath(name)]; b != nil {
				touch(b.shelf)
			}
		}
	}
	for _, e := range dead {
		visit(e.name)
		for _, name := range e.former {
			visit(name)
		}
		for i := range e.parts {
			visit(e.parts[i].Resource)
		}
	}
	for _, s := range touched {
		s.touched = false
		t.sweep(s, func(h hold) bool { return h.e.dead })
	}
}

func (t *timeline) sweep(s *shelf, gone func(hold) bool) {
	s.ranges = slices.DeleteFunc(s.ranges, gone)
	if s.whole.e != nil && gone(s.whole) {
		s.whole = hold{}
	}
	if len(s.ranges) == 0 && s.whole.e == nil {
		t.remove(s)
	}
}

func (t *timeline) remove(s *shelf) {
	delete(t.shelves, s.name)
	if s.alias != "" {
		delete(t.shelves, s.alias)
	}
	if b := t.bares[barePath(s.name)]; b != nil && b.shelf == s {
		b.shelf = nil
	}
	t.unname(s.name)
}

// listing is a resource without media time that a playlist names.
type listing struct {
	class Class
	seen  time.Time // when it was listed last, as far as is known
}

// list takes in the keys, maps and hints of a version, and forgets those not listed for long.
func (t *timeline) list(m *Media, now time.Time) {
	if t.last != nil {
		t.last.eachListed(func(res string, _ Class) {
			if l, ok := t.others[res]; ok {
				t.others[res] = listing{l.class, now}
			}
		})
	}
	m.eachListed(func(res string, class Class) { t.note(res, class, now) })
	keep := m.keep()
	for res, l := range t.others {
		if now.Sub(l.seen) > keep {
			delete(t.others, res)
			t.unname(res)
		}
	}
}

func (t *timeline) note(res string, class Class, now time.Time) {
	b := t.bareOf(res)
	if b != nil {
		t.claim(b, res)
		if b.class != ClassOther && b.class != class {
			t.mix(b)
		}
		if _, ok := t.others[res]; !ok {
			b.names++
		}
		b.class = class
	}
	t.others[res] = listing{class, now}
}

// eachListed gives what has no media time. What is listed as more than one of them is the last of them.
func (m *Media) eachListed(f func(res string, class Class)) {
	for _, h := range m.Hints {
		f(h.Resource, hintClass(h))
	}
	for res := range m.Keys {
		f(res, ClassKey)
	}
	for res := range m.Maps {
		f(res, ClassInit)
	}
}

func hintClass(h Hint) Class {
	if h.Map {
		return ClassInit
	}
	return ClassPart
}

// names tells whether the playlist names the resource, or did not long ago; holds, whether it does but for the query.
func (t *timeline) names(resource string) bool {
	if t.shelves[resource] != nil {
		return true
	}
	_, ok := t.others[resource]
	return ok
}

func (t *timeline) holds(resource string) bool {
	return t.shelfOf(resource) != nil || t.listed(resource) != ClassOther
}
