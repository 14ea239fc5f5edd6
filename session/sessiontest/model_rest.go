package sessiontest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"earshot/session"
)

// Renew is all of [session.Live] but Claim that has something to it.
func (m *Model) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := m.begin()
	defer m.mu.Unlock()
	answers := make([]session.Standing, len(all))
	for i, r := range all {
		e, over := m.ended[r.Key]
		s := m.find(r.Key)
		switch {
		case over:
			answers[i] = session.Standing{State: session.Over, Reason: e.reason}
		case s != nil:
			stray := m.place(s, edge, r, now)
			answers[i] = session.Standing{State: session.Kept, Others: s.renew(edge, r, now), Stray: stray}
		}
	}
	return answers, nil
}

// place has a seat be counted where a renewal says, and tells whether it may be counted elsewhere.
func (m *Model) place(s *modelSeat, edge string, r session.Renewal, now time.Time) (stray bool) {
	since := now.Add(-r.Ago).Truncate(time.Millisecond).Before(s.Seen) // it was seen
	switch {
	case s.Edge != edge && since:
	case r.Place != nil:
		m.move(s, r.Place)
	default:
		return s.Edge != edge
	}
	return false
}

func (s *modelSeat) renew(edge string, r session.Renewal, now time.Time) []session.Sighting {
	active := now.Add(-r.Ago).Truncate(time.Millisecond)
	if !active.Before(s.Seen) {
		s.Seen, s.Edge = active, edge
	}
	s.hold(edge, active.Add(r.TTL))
	var others []session.Sighting
	for _, o := range s.seen {
		if o.edge != edge && now.Sub(o.at) < r.TTL {
			o.Since += now.Sub(o.at)
			o.Pieces = slices.Clone(o.Pieces)
			others = append(others, o.Sighting)
		}
	}
	if r.Sighting.Face == 0 {
		return others
	}
	s.seen = slices.DeleteFunc(s.seen, func(o modelSeen) bool { return o.edge == edge })
	sighting := r.Sighting
	sighting.Pieces = slices.Clone(sighting.Pieces[max(0, len(sighting.Pieces)-session.MaxPieces):])
	s.seen = append(s.seen, modelSeen{edge, now, sighting})
	slices.SortFunc(s.seen, func(a, b modelSeen) int { return cmp.Compare(a.edge, b.edge) })
	return others
}

// hold has an edge hold the seat; it expires with the last that does.
func (s *modelSeat) hold(edge string, until time.Time) {
	if s.holds == nil {
		s.holds = map[string]time.Time{}
	}
	s.holds[edge] = later(s.holds[edge], until)
	s.Expires = later(s.Expires, until)
}

// Release gives seats back.
func (m *Model) Release(_ context.Context, edge string, keys ...session.Key) error {
	now := m.begin()
	defer m.mu.Unlock()
	for _, k := range keys {
		s := m.find(k)
		if s == nil {
			continue
		}
		delete(s.holds, edge)
		s.Expires = time.Time{}
		for _, until := range s.holds {
			s.Expires = later(s.Expires, until)
		}
		if edge == "" || !now.Before(s.Expires) {
			m.drop(s)
		}
	}
	return nil
}

// End frees a seat and denies it.
func (m *Model) End(_ context.Context, e session.Ending) error {
	now := m.begin()
	defer m.mu.Unlock()
	m.drop(m.find(e.Key))
	m.ended[e.Key] = modelEnding{e.Reason, now.Add(e.For)}
	return nil
}

// Seats lists seats.
func (m *Model) Seats(_ context.Context, user string, id session.ID, limit int) ([]session.Seat, error) {
	m.begin()
	defer m.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(m.seats), func(s *modelSeat) bool {
		return user != "" && s.UserID != user || id != "" && s.Key.ID != id
	})
	slices.SortFunc(found, first)
	var all []session.Seat
	for _, s := range found[:max(0, min(limit, len(found)))] {
		all = append(all, s.copy())
	}
	return all, nil
}

// Usage lists limits.
func (m *Model) Usage(_ context.Context, after string, limit int) ([]session.Usage, error) {
	m.begin()
	defer m.mu.Unlock()
	var all []session.Usage
	for _, name := range slices.Sorted(maps.Keys(m.max)) {
		if n := slots(m.seats, name, ""); n > 0 && name > after && len(all) < limit {
			all = append(all, session.Usage{Name: name, Max: m.max[name], Taken: n})
		}
	}
	return all, nil
}

// Post puts up a note.
func (m *Model) Post(_ context.Context, n session.Note) error {
	m.begin()
	defer m.mu.Unlock()
	m.withdraw(n.Kind, n.ID)
	m.notes = append(m.notes, n)
	return nil
}

// Withdraw takes one down.
func (m *Model) Withdraw(_ context.Context, kind, id string) (bool, error) {
	m.begin()
	defer m.mu.Unlock()
	return m.withdraw(kind, id), nil
}

func (m *Model) withdraw(kind, id string) bool {
	n := len(m.notes)
	m.notes = slices.DeleteFunc(m.notes, func(n session.Note) bool { return n.Kind == kind && n.ID == id })
	return len(m.notes) < n
}

// Board lists the notes.
func (m *Model) Board(context.Context) ([]session.Note, error) {
	m.begin()
	defer m.mu.Unlock()
	all := slices.Clone(m.notes)
	slices.SortFunc(all, func(a, b session.Note) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// Watch has nothing to tell.
func (m *Model) Watch(ctx context.Context, told func(session.Notice)) error {
	told(session.Notice{})
	<-ctx.Done()
	return nil
}

// Close does nothing.
func (m *Model) Close() error { return nil }
