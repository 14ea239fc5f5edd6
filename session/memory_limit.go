package session

import "slices"

// limit is what seats count under. It is there while any does.
type limit struct {
	name  string
	max   int              // as the last seat had it
	seats []*seat          // those that began first, first; some have gone
	gone  int              // how many of them
	alone int              // seats without a slot
	slots map[string]int32 // how many seats share it; nil: none
}

func (l *limit) taken() int { return l.alone + len(l.slots) }

func (l *limit) add(s *seat) {
	if i, _ := slices.BinarySearchFunc(l.seats, s, began); i == len(l.seats) {
		l.seats = append(l.seats, s)
	} else {
		l.seats = slices.Insert(l.seats, i, s)
	}
	if s.slot == "" {
		l.alone++
		return
	}
	if l.slots == nil {
		l.slots = make(map[string]int32)
	}
	l.slots[s.slot]++
}

func (l *limit) uncount(s *seat) {
	if s.slot == "" {
		l.alone--
	} else if l.slots[s.slot]--; l.slots[s.slot] == 0 {
		delete(l.slots, s.slot)
	}
}

// leave takes out a seat that counts elsewhere from now on.
func (l *limit) leave(s *seat) {
	l.uncount(s)
	i, _ := slices.BinarySearchFunc(l.seats, s, began)
	for l.seats[i] != s { // one that has gone may have begun when it did, under its key
		i++
	}
	l.seats = slices.Delete(l.seats, i, i+1)
}

// remove is told of a seat that has gone. The list is cleared of such when a quarter of it is, so that each costs little.
func (l *limit) remove(s *seat) {
	l.uncount(s)
	l.gone++
	for l.gone > 0 && len(l.seats) > 0 && l.seats[0].gone {
		l.seats[0] = nil
		l.seats = l.seats[1:]
		l.gone--
	}
	if 4*l.gone > len(l.seats) {
		l.seats = slices.DeleteFunc(l.seats, func(s *seat) bool { return s.gone })
		l.gone = 0
	}
}
