package session

import (
	"slices"
	"unique"
)

// hold has an edge hold a seat until then, if it does not already for longer. It is called before the seat is said to be seen by that edge.
func (m *Memory) hold(s *seat, edge unique.Handle[string], until int64) {
	if s.edge != edge || s.history != nil && s.history.holds != nil {
		h := s.past()
		if h.holds == nil {
			h.holds = []hold{{s.edge, s.expires}}
		}
		if i := slices.IndexFunc(h.holds, func(o hold) bool { return o.edge == edge }); i < 0 {
			h.holds = append(h.holds, hold{edge, until})
		} else {
			h.holds[i].until = max(h.holds[i].until, until)
		}
	}
	s.expires = max(s.expires, until)
}

// letGo has an edge hold a seat no longer, and reports whether another one does.
func (m *Memory) letGo(s *seat, edge unique.Handle[string], now int64) bool {
	if s.history == nil || s.history.holds == nil {
		return s.edge != edge
	}
	h := s.history
	h.holds = slices.DeleteFunc(h.holds, func(o hold) bool { return o.edge == edge || o.until <= now })
	if len(h.holds) == 0 {
		return false
	}
	s.expires = 0
	for _, o := range h.holds {
		s.expires = max(s.expires, o.until)
	}
	if s.expires < s.checked {
		s.checked = s.expires
		m.queue.fix(s)
	}
	return true
}
