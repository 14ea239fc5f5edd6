package sessiontest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"earshot/session"
)

// Model is [session.Live] written down straight from its text: slow, unbounded, a slice of seats. It is what others are compared with.
type Model struct {
	Now func() time.Time

	mu     sync.Mutex
	seats  []*modelSeat
	ended  map[session.Key]modelEnding
	cooled map[string]time.Time // owner → when a seat of his was last ended by another's claim
	max    map[string]int
	notes  []session.Note
}

type modelSeat struct {
	session.Seat
	guarded time.Time    // until when
	since   time.Time    // and since when
	from    session.Key  // the session that it was taken from
	passed  []time.Time  // when it went between that session and this one, either way
	seen    []modelSeen  // one for each edge
	mates   []*modelSeat // while a claim is decided: who goes with it
	used    map[string]bool
	holds   map[string]time.Time // until when, of each edge
}

type modelSeen struct {
	edge string
	at   time.Time
	session.Sighting
}

type modelEnding struct {
	reason string
	until  time.Time
}

// NewModel makes an empty table that goes by that clock.
func NewModel(now func() time.Time) *Model {
	return &Model{Now: now, ended: map[session.Key]modelEnding{}, cooled: map[string]time.Time{}, max: map[string]int{}}
}

// begin locks the table and drops what is over.
func (m *Model) begin() time.Time {
	m.mu.Lock()
	now := m.Now().Truncate(time.Millisecond)
	m.seats = slices.DeleteFunc(m.seats, func(s *modelSeat) bool { return !now.Before(s.Expires) })
	for k, e := range m.ended {
		if !now.Before(e.until) {
			delete(m.ended, k)
		}
	}
	m.notes = slices.DeleteFunc(m.notes, func(n session.Note) bool { return !n.Until.IsZero() && !now.Before(n.Until) })
	return now
}

func (m *Model) find(k session.Key) *modelSeat {
	for _, s := range m.seats {
		if s.Key == k {
			return s
		}
	}
	return nil
}

func (m *Model) drop(gone ...*modelSeat) {
	m.seats = slices.DeleteFunc(m.seats, func(s *modelSeat) bool { return slices.Contains(gone, s) })
}

func counts(s *session.Seat, name string) bool {
	return slices.ContainsFunc(s.Uses, func(u session.Use) bool { return u.Name == name })
}

// slots counts those taken under a limit among seats, that of own left out.
func slots(seats []*modelSeat, name, own string) int {
	n, shared := 0, map[string]bool{}
	for _, s := range seats {
		switch {
		case !counts(&s.Seat, name):
		case s.Slot == "":
			n++
		case s.Slot != own:
			shared[s.Slot] = true
		}
	}
	return n + len(shared)
}

// full is what is among rest, without those of ended, for one who would be one more there than there are seats.
func full(seats, rest, ended []*modelSeat, c *session.Claim) []session.Use {
	var all []session.Use
	for _, u := range c.Seat.Uses {
		more := slots(rest, u.Name, c.Seat.Slot)+1 > slots(seats, u.Name, "")
		if more && slots(without(rest, ended), u.Name, c.Seat.Slot) >= u.Max {
			all = append(all, u)
		}
	}
	return all
}

// move has a seat be counted where its listener is.
func (m *Model) move(s *modelSeat, p *session.Place) {
	s.Address, s.Agent = p.Address, p.Agent
	if s.Owner != "" && p.Owner != "" {
		s.Owner = p.Owner
	}
	if !slices.Equal(s.Uses, p.Uses) {
		s.Uses = slices.Clone(p.Uses)
		for _, u := range p.Uses {
			m.max[u.Name] = u.Max
		}
	}
}

func first(a, b *modelSeat) int {
	return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Key.Group, b.Key.Group))
}

func stalest(a, b *modelSeat) int { return cmp.Or(a.Seen.Compare(b.Seen), first(a, b)) }

// least is the first by order of those that ok says are meant.
func least(seats []*modelSeat, order func(a, b *modelSeat) int, ok func(*modelSeat) bool) *modelSeat {
	var best *modelSeat
	for _, s := range seats {
		if ok(s) && (best == nil || order(s, best) < 0) {
			best = s
		}
	}
	return best
}

func unplayed(s *session.Seat) bool { return s.API && s.Key.Group == "" }

func without(seats, gone []*modelSeat) []*modelSeat {
	return slices.DeleteFunc(slices.Clone(seats), func(s *modelSeat) bool { return slices.Contains(gone, s) })
}

// Claim decides in the order of [session.Claim].
func (m *Model) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	if err := ctx.Err(); err != nil {
		return session.Answer{}, err
	}
	now := m.begin()
	defer m.mu.Unlock()
	if e, ok := m.ended[c.Seat.Key]; ok { // 1
		return session.Answer{Outcome: session.Ended, Reason: e.reason}, nil
	}
	if s := m.find(c.Seat.Key); s != nil { // 2
		if c.OfUser && s.UserID != c.Seat.UserID {
			return session.Answer{Outcome: session.Another}, nil
		}
		s.hold(c.Seat.Edge, now.Add(c.TTL))
		s.Edge, s.Address, s.Agent, s.Seen = c.Seat.Edge, c.Seat.Address, c.Seat.Agent, now
		if !c.Stay && s.UserID == c.Seat.UserID && s.DeviceID == c.Seat.DeviceID && s.DeviceType == c.Seat.DeviceType {
			m.move(s, &session.Place{Address: c.Seat.Address, Agent: c.Seat.Agent, Owner: c.Seat.Owner, Uses: c.Seat.Uses})
		}
		s.Service = cmp.Or(c.Seat.Service, s.Service)
		return session.Answer{Outcome: session.Held, Seat: s.copy()}, nil
	}
	seat := &modelSeat{Seat: c.Seat}
	seat.Started, seat.Seen = now.Add(-c.Age).Truncate(time.Millisecond), now
	seat.hold(c.Seat.Edge, now.Add(c.TTL))
	seat.Uses = slices.Clone(c.Seat.Uses)

	rest := slices.Clone(m.seats)                                                                                  // as if the claim were granted
	if app := m.find(session.Key{ID: c.Seat.Key.ID}); c.Adopt && c.Seat.Key.Group != "" && app != nil && app.API { // 3
		seat.API, seat.Started = true, app.Started
		seat.UserID = cmp.Or(app.UserID, seat.UserID)
		seat.DeviceID = cmp.Or(app.DeviceID, seat.DeviceID)
		seat.DeviceType = cmp.Or(app.DeviceType, seat.DeviceType)
		seat.Service = cmp.Or(app.Service, seat.Service)
		rest = without(rest, []*modelSeat{app})
	}
	var taken, ended []*modelSeat
	if owner := c.Seat.Owner; !c.Goes && owner != "" && c.Seat.Slot == "" && !unplayed(&c.Seat) { // 4
		old := least(rest, stalest, func(s *modelSeat) bool {
			return s.Owner == owner && s.Slot == "" && !unplayed(&s.Seat) && !now.Before(s.guarded)
		})
		if old != nil {
			taken = append(taken, old)
			rest = without(rest, taken)
		}
	}
	grant := func() (session.Answer, error) {
		a := session.Answer{Outcome: session.Held, Taken: keysOf(taken), Ended: keysOf(ended)}
		for i, s := range taken {
			if i == 0 { // the one that was meant; others go with it
				seat.from = s.Key
				seat.passed = []time.Time{now}
				if s.from == c.Seat.Key {
					seat.passed = append(slices.Clone(s.passed), now)
				}
			}
		}
		for _, s := range ended {
			m.ended[s.Key] = modelEnding{session.Evicted, now.Add(c.Sentence)}
		}
		m.seats = append(without(rest, slices.Concat(taken, ended)), seat)
		for _, u := range c.Seat.Uses {
			m.max[u.Name] = u.Max
		}
		a.Seat = seat.copy()
		return a, nil
	}
	fully := full(m.seats, rest, nil, c)
	if len(fully) == 0 || c.Restore { // 5
		return grant()
	}
	if back := m.find(c.Back); back != nil && back.Slot == "" && back.from == c.Seat.Key && slices.Contains(rest, back) {
		if less := without(rest, []*modelSeat{back}); len(full(m.seats, less, nil, c)) == 0 {
			rest = less
			a, err := grant()
			a.Taken = append(a.Taken, back.Key)
			return a, err
		}
	}
	// in the way are those that count under what is full, and whom it helps to end
	var inTheWay []*modelSeat
	for _, s := range rest {
		s.used = map[string]bool{}
		for _, u := range fully {
			if counts(&s.Seat, u.Name) && (s.Slot == "" || s.Slot != c.Seat.Slot) {
				s.used[u.Name] = true
			}
		}
		if len(s.used) > 0 {
			inTheWay = append(inTheWay, s)
		}
	}
	slices.SortFunc(inTheWay, first)
	for _, s := range inTheWay {
		s.mates = []*modelSeat{s}
		for _, o := range inTheWay {
			if o != s && s.Slot != "" && o.Slot == s.Slot {
				s.mates = append(s.mates, o)
			}
		}
	}
	refuse := func(o session.Outcome) (session.Answer, error) {
		a := session.Answer{Outcome: o, Full: fully}
		for _, s := range inTheWay[:min(len(inTheWay), session.MaxConflicts)] {
			a.Conflicts = append(a.Conflicts, s.copy())
		}
		return a, nil
	}
	again := func() { // who plays on stays guarded
		for _, s := range inTheWay {
			if c.Seat.Owner != "" && s.Owner == c.Seat.Owner && len(s.used) == len(fully) && now.Before(s.guarded) && s.Seen.After(s.since) {
				s.since, s.guarded = now, now.Add(c.TTL)
			}
		}
	}
	if c.Goes && c.Seat.Owner != "" {
		mine := func(s *modelSeat) bool { return s.Owner == c.Seat.Owner && len(s.used) == len(fully) }
		silent := least(inTheWay, stalest, func(s *modelSeat) bool { // 6
			return mine(s) && !now.Before(s.guarded) && now.Sub(s.Seen) >= c.Silence
		})
		if silent != nil {
			taken = silent.mates
			return grant()
		}
		rival := least(inTheWay, stalest, func(s *modelSeat) bool { return mine(s) && s.from == c.Seat.Key }) // 7
		if rival != nil {
			lately := 0
			for _, at := range rival.passed {
				if now.Sub(at) < c.TTL {
					lately++
				}
			}
			switch {
			case now.Before(rival.guarded):
				again()
				return refuse(session.Refused)
			case lately < 2:
				taken = rival.mates
				return grant()
			case seat.Started.Before(rival.Started):
				taken = rival.mates
				seat.since, seat.guarded = now, now.Add(c.TTL)
				return grant()
			}
			rival.since, rival.guarded = now, now.Add(c.TTL)
			return refuse(session.Refused)
		}
	}
	for _, k := range c.Terminate { // 8
		for _, s := range inTheWay {
			if s.Key == k && s.UserID != "" && s.UserID == seat.UserID {
				ended = with(ended, s.mates)
			}
		}
	}
	if len(ended) > 0 && len(full(m.seats, rest, ended, c)) == 0 {
		return grant()
	}
	ended = nil
	if c.Policy == session.EndOldest { // 9
		if at, ok := m.cooled[c.Seat.Owner]; ok && c.Seat.Owner != "" && now.Sub(at) < c.Cooldown {
			m.cooled[c.Seat.Owner] = later(at, now.Add(-time.Duration(c.Cooldown.Milliseconds()*3/4)*time.Millisecond))
			return refuse(session.Cooling)
		}
		for _, s := range inTheWay {
			still := full(m.seats, rest, ended, c)
			if len(still) == 0 {
				break
			}
			if !slices.Contains(ended, s) && slices.ContainsFunc(still, func(u session.Use) bool { return s.used[u.Name] }) {
				ended = with(ended, s.mates)
			}
		}
		if len(full(m.seats, rest, ended, c)) == 0 {
			for _, s := range ended {
				if s.Owner != "" {
					m.cooled[s.Owner] = now
				}
			}
			return grant()
		}
		ended = nil
	}
	again() // 10
	return refuse(session.Refused)
}

func with(all, more []*modelSeat) []*modelSeat {
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *modelSeat) copy() session.Seat {
	c := s.Seat
	c.Uses = slices.Clone(s.Uses)
	return c
}

func keysOf(seats []*modelSeat) []session.Key {
	var all []session.Key
	for _, s := range seats {
		all = append(all, s.Key)
	}
	return all
}
