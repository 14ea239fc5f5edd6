package origin

import "container/list"

// slru orders what is kept by how likely it is to be asked for again: what was asked for once comes in on probation, what is asked for again is
// protected. Victims are taken from probation first, so that one who reads through an archive drives out what others before him have read
// through, and not what everybody listens to (a segmented LRU; Karedy et al. 1994).
type slru struct {
	probation, protected list.List // of *slot; front: asked for last
	guarded              int64     // bytes in protected
}

// protectedShare is the most of the budget, in percent, that may be protected.
const protectedShare = 80

func (l *slru) add(s *slot, again bool) {
	s.protected = again
	s.again = s.again || again
	if again {
		s.at = l.protected.PushFront(s)
		l.guarded += s.size
		return
	}
	s.at = l.probation.PushFront(s)
}

func (l *slru) remove(s *slot) {
	if s.protected {
		l.protected.Remove(s.at)
		l.guarded -= s.size
	} else {
		l.probation.Remove(s.at)
	}
	s.at = nil
}

// hit notes that the slot was asked for again.
func (l *slru) hit(s *slot, budget int64) {
	if s.protected {
		l.protected.MoveToFront(s.at)
		return
	}
	l.remove(s)
	l.add(s, true)
	for l.guarded > budget/100*protectedShare && l.protected.Len() > 1 {
		last := l.protected.Back().Value.(*slot)
		l.remove(last)
		l.add(last, false)
	}
}

// maxPassed bounds how many slots of each list that are in use are passed over for a victim.
const maxPassed = 64

// victim is the slot to do without; nil if there is none. Those of which a listener is reading would give nothing back: they are in use, and
// counted as asked for.
func (l *slru) victim() *slot {
	for _, from := range []*list.List{&l.probation, &l.protected} {
		for range min(from.Len(), maxPassed) {
			s := from.Back().Value.(*slot)
			if s.body == nil || !s.body.Held() {
				return s
			}
			from.MoveToFront(s.at)
		}
	}
	return nil
}

// coldest calls f for slots from the next victim on, until it says that this is enough.
func (l *slru) coldest(f func(*slot) (more bool)) {
	for _, from := range []*list.List{&l.probation, &l.protected} {
		for e := from.Back(); e != nil; e = e.Prev() {
			if !f(e.Value.(*slot)) {
				return
			}
		}
	}
}
