package playlist

import "strings"

// bare is what the names of one path have in common, whatever their queries. At some origins a query tells
// listeners apart (seg1.ts?token=A, and B for another): then the path alone names the segment, all its names share
// one shelf, and a name that no version had finds it too. At others it tells segments apart (seg.ts?n=1, n=2): then
// each name is for itself, and the path says nothing. Paths that no name has a query to have no bare.
type bare struct {
	shelf *shelf // of the first name; shared as long as the path is not mixed
	class Class  // of the keys, maps and hints of the path; ClassOther: there are none
	names int    // shelves and listings that have the path
	mixed bool   // the query matters. Once known it stays

	latest  string // the name listed last
	version int    // of the timeline, when it was
}

// barePath is a name without its query.
func barePath(name string) string {
	path, _, _ := strings.Cut(name, "?")
	return path
}

// bareOf is the bare of a name's path, made for the first name with a query.
func (t *timeline) bareOf(name string) *bare {
	path := barePath(name)
	if len(path) == len(name) && len(t.bares) == 0 {
		return nil
	}
	b := t.bares[path]
	if b != nil || len(path) == len(name) {
		return b
	}
	b = &bare{shelf: t.shelves[path]}
	if b.shelf != nil {
		b.names++
	}
	if l, ok := t.others[path]; ok {
		b.class = l.class
		b.names++
	}
	t.bares[path] = b
	return b
}

// claim notes that this version has the name; two names of one path in one version are told apart by their queries.
func (t *timeline) claim(b *bare, name string) {
	if b.version == t.version && b.latest != name {
		t.mix(b)
	}
	b.latest, b.version = name, t.version
}

// mix ends the sharing of a path. The name listed last stays with what was shared, as the first does.
func (t *timeline) mix(b *bare) {
	if b.mixed {
		return
	}
	b.mixed = true
	if s := b.shelf; s != nil && b.latest != "" && t.shelves[b.latest] == nil {
		s.alias = b.latest
		t.shelves[b.latest] = s
	}
}

// shelfFor finds or makes the shelf to file a hold on under a name that has none yet.
func (t *timeline) shelfFor(name string, h hold) *shelf {
	b := t.bareOf(name)
	if b != nil {
		if b.shelf != nil && b.shelf.contradicts(h) {
			t.mix(b)
		}
		t.claim(b, name)
		if s := t.shelves[name]; s != nil {
			return s // it was just left to the name
		}
		if !b.mixed && b.shelf != nil {
			return b.shelf
		}
	}
	s := &shelf{name: name, sorted: true}
	t.shelves[name] = s
	if b != nil {
		b.names++
		if b.shelf == nil && !b.mixed {
			b.shelf = s
		}
	}
	return s
}

// contradicts tells whether h, of the same path, takes a place on the shelf that another segment or part has. What a
// restart retired gives way.
func (s *shelf) contradicts(h hold) bool {
	other := func(o hold) bool { return o.e != nil && o.e != h.e && !o.e.retired }
	var last hold
	if n := len(s.ranges); n > 0 {
		last = s.ranges[n-1]
	}
	if h.length < 0 {
		return other(s.whole) || other(last) || s.whole.e == h.e && s.whole.part != h.part
	}
	return other(s.whole) || other(last) && h.off < last.off+last.length
}

// sameByPath tells whether two names are of one path that is enough to know what they name. The second is one of
// this version.
func (t *timeline) sameByPath(known, name string) bool {
	path := barePath(known)
	if path != barePath(name) || t.bares[path] == nil && t.shelves[path] == nil {
		return false
	}
	b := t.bareOf(name)
	if b == nil || b.shelf == nil {
		return false
	}
	t.claim(b, name)
	return !b.mixed
}

// shelfOf is the shelf of a name, else that of its path.
func (t *timeline) shelfOf(name string) *shelf {
	if s := t.shelves[name]; s != nil {
		return s
	}
	path := barePath(name)
	if b := t.bares[path]; b != nil {
		if b.mixed {
			return nil
		}
		return b.shelf
	}
	return t.shelves[path]
}

// listed is the class of a name among the keys, maps and hints, else that of its path.
func (t *timeline) listed(name string) Class {
	if l, ok := t.others[name]; ok {
		return l.class
	}
	path := barePath(name)
	if b := t.bares[path]; b != nil {
		if b.mixed {
			return ClassOther
		}
		return b.class
	}
	return t.others[path].class
}

// unname takes a name off its path; the last one takes the bare with it.
func (t *timeline) unname(name string) {
	path := barePath(name)
	b := t.bares[path]
	if b == nil {
		return
	}
	if b.names--; b.names <= 0 {
		delete(t.bares, path)
	}
}
