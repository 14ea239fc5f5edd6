package session

// link is a seat's place in a ring-less list of its likes: prev of the first is nil.
type link struct{ prev, next *seat }

// index finds seats by something they have in common. The empty string is nothing.
type index struct {
	first map[string]*seat
	of    func(*seat) (what string, at *link)
}

func newIndex(of func(*seat) (string, *link)) index { return index{make(map[string]*seat), of} }

func (x *index) add(s *seat) {
	what, at := x.of(s)
	if what == "" {
		return
	}
	next := x.first[what]
	at.next = next
	if next != nil {
		_, after := x.of(next)
		after.prev = s
	}
	x.first[what] = s
}

func (x *index) remove(s *seat) {
	what, at := x.of(s)
	if what == "" {
		return
	}
	if at.next != nil {
		_, after := x.of(at.next)
		after.prev = at.prev
	}
	switch {
	case at.prev != nil:
		_, before := x.of(at.prev)
		before.next = at.next
	case at.next != nil:
		x.first[what] = at.next
	default:
		delete(x.first, what)
	}
	*at = link{}
}

// each goes through the seats that have it.
func (x *index) each(what string, f func(*seat)) {
	for s := x.first[what]; s != nil; {
		_, at := x.of(s)
		f(s)
		s = at.next
	}
}
