package session

import (
	"slices"
	"strings"
	"unique"
)

// move has a seat count where its listener is now. What a place holds may be in many calls' memory, so that what is the same is kept.
func (m *Memory) move(s *seat, p *Place) {
	s.address = p.Address
	if s.agent.Value() != p.Agent {
		s.agent = unique.Make(strings.Clone(p.Agent))
	}
	if s.owner != "" && p.Owner != "" && s.owner != p.Owner {
		m.owners.remove(s)
		s.owner = p.Owner
		m.owners.add(s)
	}
	if !s.counts(p.Uses) {
		m.recount(s, p.Uses)
	}
}

// counts tells whether a seat counts under these already, as they are.
func (s *seat) counts(uses []Use) bool {
	return slices.EqualFunc(s.uses, uses, func(a share, b Use) bool { return a.name == b.Name && a.max == b.Max })
}

// recount has a seat count under other uses.
func (m *Memory) recount(s *seat, uses []Use) {
	before := s.uses
	s.uses = make([]share, 0, len(uses))
	for _, u := range uses {
		l := m.limit(u)
		if s.under(l) {
			continue
		}
		s.uses = append(s.uses, share{l, u.Max})
		if !slices.ContainsFunc(before, func(b share) bool { return b.limit == l }) {
			l.add(s)
		}
	}
	for _, b := range before {
		if !s.under(b.limit) {
			b.leave(s)
			m.tidy(b.limit)
		}
	}
}
