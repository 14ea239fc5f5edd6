package session

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
	"unique"
)

// Memory is the live table of one edge alone. Nothing of it outlives the process.
//
// One lock guards it all, since a claim looks at several limits at once; nothing holds it for long. Seats that expire are swept by whoever
// comes next, a batch at a time.
type Memory struct {
	max int // seats; and as many endings, and owners that cool down

	mu     sync.Mutex
	n      int
	queue  queue[*seat]
	ids    index
	users  index
	owners index
	limits map[string]*limit
	ended  lapses[Key, string]
	cooled lapses[string, int64] // owner → when
	notes  map[[2]string]Note
}

// batch is how much is done under one holding of the lock.
const batch = 512

// NewMemory makes a table of at most max seats. A claim of one more fails with an error that wraps [ErrFull].
func NewMemory(max int) *Memory {
	return &Memory{max: max, limits: make(map[string]*limit), notes: make(map[[2]string]Note),
		ids:    newIndex(func(s *seat) (string, *link) { return string(s.key.ID), &s.id }),
		users:  newIndex(func(s *seat) (string, *link) { return s.user, &s.mine }),
		owners: newIndex(func(s *seat) (string, *link) { return s.owner, &s.owned }),
		ended:  newLapses[Key, string](max), cooled: newLapses[string, int64](max)}
}

// lock locks the table, when all that has expired is swept, and returns the time.
func (m *Memory) lock() int64 {
	m.mu.Lock()
	for {
		now := time.Now().UnixMilli()
		if m.sweep(now) {
			return now
		}
		m.mu.Unlock() // others may have their turn
		m.mu.Lock()
	}
}

// sweep looks at a batch of what is due, and reports whether that was all.
func (m *Memory) sweep(now int64) bool {
	m.ended.sweep(now, batch)
	m.cooled.sweep(now, batch)
	for range batch {
		if len(m.queue) == 0 || m.queue[0].checked > now {
			return true
		}
		if s := m.queue[0]; s.expires > now { // it was renewed
			s.checked = s.expires
			m.queue.fix(s)
		} else {
			m.remove(s)
		}
	}
	return false
}

func (m *Memory) find(k Key) *seat {
	for s := m.ids.first[string(k.ID)]; s != nil; s = s.id.next {
		if s.key.Group == k.Group {
			return s
		}
	}
	return nil
}

// add seats s under its uses.
func (m *Memory) add(s *seat, uses []Use) {
	s.uses = make([]share, 0, len(uses))
	for _, u := range uses {
		if l := m.limit(u); !s.under(l) {
			l.add(s)
			s.uses = append(s.uses, share{l, u.Max})
		}
	}
	m.ids.add(s)
	m.users.add(s)
	m.owners.add(s)
	s.checked = s.expires
	m.queue.push(s)
	m.n++
}

// limit is the one that a use is of.
func (m *Memory) limit(u Use) *limit {
	l := m.limits[u.Name]
	if l == nil {
		l = &limit{name: u.Name}
		m.limits[u.Name] = l
	}
	l.max = u.Max
	return l
}

func (m *Memory) remove(s *seat) {
	s.gone = true
	m.queue.remove(s)
	for _, u := range s.uses {
		u.remove(s)
		m.tidy(u.limit)
	}
	m.ids.remove(s)
	m.users.remove(s)
	m.owners.remove(s)
	m.n--
}

// tidy forgets a limit that nobody counts under any longer.
func (m *Memory) tidy(l *limit) {
	if l.taken() == 0 {
		delete(m.limits, l.name)
	}
}

// Renew keeps seats.
func (m *Memory) Renew(ctx context.Context, edge string, all []Renewal) ([]Standing, error) {
	answers := make([]Standing, len(all))
	name := unique.Make(edge)
	for i := 0; i < len(all); i += batch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.mu.Lock()
		now := time.Now().UnixMilli()
		m.sweep(now)
		for j := i; j < min(i+batch, len(all)); j++ {
			answers[j] = m.renew(name, &all[j], now)
		}
		m.mu.Unlock()
	}
	return answers, nil
}

func (m *Memory) renew(edge unique.Handle[string], r *Renewal, now int64) Standing {
	s := m.find(r.Key)
	if s == nil || s.expires <= now {
		if reason, ok := m.ended.get(r.Key, now); ok {
			return Standing{State: Over, Reason: reason}
		}
		return Standing{}
	}
	active := now - ms(r.Ago)
	m.hold(s, edge, active+ms(r.TTL))
	here, stray := active >= s.seen, false
	if r.Place != nil && (here || s.edge == edge) {
		m.move(s, r.Place)
	} else {
		stray = here && s.edge != edge
	}
	if here {
		s.seen, s.edge = active, edge
	}
	return Standing{State: Kept, Others: s.sight(edge, &r.Sighting, now, ms(r.TTL)), Stray: stray}
}

// Release gives seats back.
func (m *Memory) Release(ctx context.Context, edge string, keys ...Key) error {
	name := unique.Make(edge)
	for part := range slices.Chunk(keys, batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.mu.Lock()
		now := time.Now().UnixMilli()
		for _, k := range part {
			if s := m.find(k); s != nil && (edge == "" || !m.letGo(s, name, now)) {
				m.remove(s)
			}
		}
		m.mu.Unlock()
	}
	return nil
}

// End frees a seat, and denies it to its session.
func (m *Memory) End(ctx context.Context, e Ending) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := m.lock()
	defer m.mu.Unlock()
	if s := m.find(e.Key); s != nil {
		m.remove(s)
	}
	m.ended.put(e.Key, e.Reason, now+ms(e.For))
	return nil
}

// Seats lists seats.
func (m *Memory) Seats(ctx context.Context, user string, id ID, limit int) ([]Seat, error) {
	if err := ctx.Err(); err != nil || limit <= 0 {
		return nil, err
	}
	m.lock()
	defer m.mu.Unlock()
	var all []*seat
	keep := func(s *seat) {
		if (user == "" || s.user == user) && (id == "" || s.key.ID == id) {
			all = append(all, s)
		}
	}
	switch {
	case id != "":
		m.ids.each(string(id), keep)
	case user != "":
		m.users.each(user, keep)
	default:
		all = slices.Clone(m.queue)
	}
	slices.SortFunc(all, began)
	return views(all[:min(limit, len(all))]), nil
}

// Usage lists limits.
func (m *Memory) Usage(ctx context.Context, after string, limit int) ([]Usage, error) {
	if err := ctx.Err(); err != nil || limit <= 0 {
		return nil, err
	}
	m.lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.limits {
		if name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []Usage
	for _, name := range names[:min(limit, len(names))] {
		l := m.limits[name]
		all = append(all, Usage{Name: name, Max: l.max, Taken: l.taken()})
	}
	return all, nil
}

// Post puts up a note; there are at most as many as there may be seats.
func (m *Memory) Post(ctx context.Context, n Note) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropNotes()
	at := [2]string{n.Kind, n.ID}
	if _, ok := m.notes[at]; !ok && len(m.notes) >= m.max {
		return fmt.Errorf("post %s %q: %d notes are on the board: %w", n.Kind, n.ID, len(m.notes), ErrFull)
	}
	n.Body = slices.Clone(n.Body)
	m.notes[at] = n
	return nil
}

func (m *Memory) dropNotes() {
	now := time.Now()
	maps.DeleteFunc(m.notes, func(_ [2]string, n Note) bool { return !n.Until.IsZero() && !now.Before(n.Until) })
}

// Withdraw takes a note down.
func (m *Memory) Withdraw(ctx context.Context, kind, id string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropNotes()
	_, ok := m.notes[[2]string{kind, id}]
	delete(m.notes, [2]string{kind, id})
	return ok, nil
}

// Board lists the notes.
func (m *Memory) Board(ctx context.Context) ([]Note, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropNotes()
	all := slices.Collect(maps.Values(m.notes))
	for i := range all {
		all[i].Body = slices.Clone(all[i].Body)
	}
	slices.SortFunc(all, func(a, b Note) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// Watch has nothing to tell but the zero Notice: there is no other edge.
func (m *Memory) Watch(ctx context.Context, told func(Notice)) error {
	told(Notice{})
	<-ctx.Done()
	return nil
}

// Close has nothing to do.
func (m *Memory) Close() error { return nil }
