package session

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Claim decides in the order of [Claim].
func (m *Memory) Claim(ctx context.Context, c *Claim) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	now := m.lock()
	defer m.mu.Unlock()
	if reason, ok := m.ended.get(c.Seat.Key, now); ok { // 1
		return Answer{Outcome: Ended, Reason: reason}, nil
	}
	if s := m.find(c.Seat.Key); s != nil { // 2
		if c.OfUser && s.user != c.Seat.UserID {
			return Answer{Outcome: Another}, nil
		}
		return Answer{Outcome: Held, Seat: m.again(s, c, now)}, nil
	}
	d := decision{m: m, c: c, now: now, seat: newSeat(c, now)}
	if c.Adopt && c.Seat.Key.Group != "" { // 3
		if app := m.find(Key{ID: c.Seat.Key.ID}); app != nil && app.api {
			d.seat.adopt(app)
			d.gone = append(d.gone, app)
		}
	}
	d.predecessor() // 4
	d.full = d.left(nil)
	if len(d.full) == 0 || c.Restore || d.back() { // 5
		return d.grant(nil)
	}
	return d.contest()
}

// back has the seat that was taken from this session go, if that makes room.
func (d *decision) back() bool {
	s := d.m.find(d.c.Back)
	if s == nil || s.slot != "" || !s.takenFrom(d.seat.key) || slices.Contains(d.gone, s) {
		return false
	}
	d.gone = append(d.gone, s)
	if len(d.left(nil)) > 0 {
		d.gone = d.gone[:len(d.gone)-1]
		return false
	}
	d.returned = []Key{s.key}
	return true
}

// again renews a session's own seat.
func (m *Memory) again(s *seat, c *Claim, now int64) Seat {
	n := newSeat(c, now)
	m.hold(s, n.edge, n.expires)
	s.edge, s.address, s.agent, s.seen = n.edge, n.address, n.agent, now
	if !c.Stay && s.user == n.user && s.device == n.device && s.kindOf == n.kindOf {
		m.move(s, &Place{Address: c.Seat.Address, Agent: c.Seat.Agent, Owner: c.Seat.Owner, Uses: c.Seat.Uses})
	}
	if c.Seat.Service != "" {
		s.served = n.served
	}
	return s.view()
}

// decision is a claim as it is decided: nothing is done before grant.
type decision struct {
	m     *Memory
	c     *Claim
	now   int64
	seat  *seat   // that is asked for
	gone  []*seat // adopted, taken and passed back: they are not counted
	taken []*seat
	full  []Use
	rows  []*limit // of full

	returned []Key // by rule 5
}

// predecessor finds the seat that passes to a session that begins (rule 4).
func (d *decision) predecessor() {
	if d.c.Goes || d.seat.owner == "" || d.seat.slot != "" || d.c.Seat.API && d.c.Seat.Key.Group == "" {
		return
	}
	var old *seat
	d.m.owners.each(d.seat.owner, func(s *seat) {
		if s.slot == "" && !s.unplayed() && !s.guarded(d.now) && !slices.Contains(d.gone, s) && (old == nil || seenLast(s, old) < 0) {
			old = s
		}
	})
	if old != nil {
		d.taken = append(d.taken, old)
		d.gone = append(d.gone, old)
	}
}

// left is what is full still when the seats of d.gone and those have gone.
func (d *decision) left(ended []*seat) []Use {
	var full []Use
	for _, u := range d.c.Seat.Uses {
		if l := d.m.limits[u.Name]; d.count(l, ended) >= u.Max && (l == nil || d.count(l, nil) == l.taken()) {
			full = append(full, u)
		}
	}
	return full
}

// count is how many slots count under a limit, the claim's own and those of the seats that go left out.
func (d *decision) count(l *limit, ended []*seat) int {
	if l == nil {
		return 0
	}
	n := l.taken()
	var leaving map[string]int32
	for _, seats := range [2][]*seat{d.gone, ended} {
		for _, s := range seats {
			switch {
			case !s.under(l):
			case s.slot == "":
				n--
			case s.slot != d.seat.slot:
				if leaving == nil {
					leaving = make(map[string]int32)
				}
				if leaving[s.slot]++; leaving[s.slot] == l.slots[s.slot] {
					n--
				}
			}
		}
	}
	if own := d.seat.slot; own != "" && l.slots[own] > 0 {
		n--
	}
	return n
}

// contest goes on where there is no room: rules 6 to 10.
func (d *decision) contest() (Answer, error) {
	for _, u := range d.full {
		if l := d.m.limits[u.Name]; l != nil {
			d.rows = append(d.rows, l)
		}
	}
	if d.c.Goes && d.seat.owner != "" {
		if s := d.mine(func(s *seat) bool { return !s.guarded(d.now) && d.now-s.seen >= ms(d.c.Silence) }); s != nil { // 6
			return d.take(s)
		}
		if s := d.mine(func(s *seat) bool { return s.takenFrom(d.seat.key) }); s != nil { // 7
			return d.rival(s)
		}
	}
	if ended := d.named(); len(ended) > 0 && len(d.left(ended)) == 0 { // 8
		return d.grant(ended)
	}
	if d.c.Policy == EndOldest { // 9
		if at, ok := d.m.cooled.get(d.seat.owner, d.now); ok && d.now-at < ms(d.c.Cooldown) {
			d.m.cool(d.seat.owner, max(at, d.now-ms(d.c.Cooldown)*3/4), d.c.Cooldown)
			return d.refuse(Cooling)
		}
		if ended, ok := d.oldest(); ok {
			return d.evict(ended)
		}
	}
	d.guardAgain()
	return d.refuse(Refused) // 10
}

// guardAgain keeps those guarded who play on.
func (d *decision) guardAgain() {
	ttl := ms(d.c.TTL)
	if d.seat.owner == "" {
		return
	}
	d.m.owners.each(d.seat.owner, func(s *seat) {
		if s.guarded(d.now) && s.seen > s.history.since && len(d.rows) == len(d.full) &&
			!slices.ContainsFunc(d.rows, func(l *limit) bool { return !d.helps(s, l) }) {
			s.history.guard(d.now, ttl)
		}
	})
}

// helps tells whether a seat counts under a limit that is full, so that it makes room when it goes.
func (d *decision) helps(s *seat, l *limit) bool {
	return !s.gone && s.under(l) && (s.slot == "" || s.slot != d.seat.slot) && !slices.Contains(d.gone, s)
}

func (d *decision) helpsAny(s *seat) bool {
	return slices.ContainsFunc(d.rows, func(l *limit) bool { return d.helps(s, l) })
}

// mine is the least recently seen seat of the owner that counts under all that is full, and is ok.
func (d *decision) mine(ok func(*seat) bool) *seat {
	var best *seat
	d.m.owners.each(d.seat.owner, func(s *seat) {
		if len(d.rows) < len(d.full) || slices.ContainsFunc(d.rows, func(l *limit) bool { return !d.helps(s, l) }) {
			return // of a limit without rows, none is allowed at all
		}
		if ok(s) && (best == nil || seenLast(s, best) < 0) {
			best = s
		}
	})
	return best
}

// mates are all seats in s's slot that count under what is full; s is the first.
func (d *decision) mates(s *seat) []*seat {
	all := []*seat{s}
	if s.slot == "" {
		return all
	}
	for _, l := range d.rows {
		for _, o := range l.seats {
			if o != s && o.slot == s.slot && d.helps(o, l) && !slices.Contains(all, o) {
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all[1:], began)
	return all
}

func (d *decision) take(s *seat) (Answer, error) {
	d.taken = d.mates(s)
	d.gone = append(d.gone, d.taken...)
	return d.grant(nil)
}

// rival settles it with the seat that was taken from this session (rule 7).
func (d *decision) rival(s *seat) (Answer, error) {
	ttl := ms(d.c.TTL)
	if s.guarded(d.now) {
		d.guardAgain()
		return d.refuse(Refused)
	}
	if d.now-s.history.passed[0] >= ttl || s.history.passed[1] == 0 || d.now-s.history.passed[1] >= ttl {
		return d.take(s)
	}
	if d.seat.started < s.started {
		d.seat.past().guard(d.now, ttl)
		return d.take(s)
	}
	s.history.guard(d.now, ttl)
	return d.refuse(Refused)
}

// named are the seats of Terminate that may be ended for this one (rule 8).
func (d *decision) named() []*seat {
	var ended []*seat
	if d.seat.user == "" {
		return nil
	}
	for _, k := range d.c.Terminate {
		if s := d.m.find(k); s != nil && s.user == d.seat.user && !slices.Contains(ended, s) && d.helpsAny(s) {
			ended = append(ended, d.mates(s)...)
		}
	}
	return ended
}

// oldest are the seats to end so that there is room, those that began first (rule 9); false: there would be none.
func (d *decision) oldest() ([]*seat, bool) {
	var ended []*seat
	next := make([]int, len(d.rows)) // in the seats of each row
	for {
		left := d.left(ended)
		if len(left) == 0 {
			return ended, true
		}
		var first *seat
		for i, l := range d.rows {
			if !slices.ContainsFunc(left, func(u Use) bool { return u.Name == l.name }) {
				continue
			}
			for next[i] < len(l.seats) && (!d.helps(l.seats[next[i]], l) || slices.Contains(ended, l.seats[next[i]])) {
				next[i]++
			}
			if next[i] < len(l.seats) && (first == nil || began(l.seats[next[i]], first) < 0) {
				first = l.seats[next[i]]
			}
		}
		if first == nil {
			return nil, false
		}
		ended = append(ended, d.mates(first)...)
	}
}

// cool has an owner cool down as if he had been evicted at that time.
func (m *Memory) cool(owner string, at int64, cooldown time.Duration) {
	m.cooled.put(owner, at, at+ms(cooldown))
}

func (d *decision) evict(ended []*seat) (Answer, error) {
	a, err := d.grant(ended)
	if err == nil {
		for _, s := range ended {
			if s.owner != "" {
				d.m.cool(s.owner, d.now, d.c.Cooldown)
			}
		}
	}
	return a, err
}

// grant seats the session, and does what that takes.
func (d *decision) grant(ended []*seat) (Answer, error) {
	m := d.m
	if m.n-len(d.gone)-len(ended) >= m.max {
		return Answer{}, fmt.Errorf("claim of a seat: %d are taken: %w", m.n, ErrFull)
	}
	if len(d.taken) > 0 {
		d.inherit(d.taken[0])
	}
	for _, s := range d.gone {
		m.remove(s)
	}
	for _, s := range ended {
		m.remove(s)
		m.ended.put(s.key, Evicted, d.now+ms(d.c.Sentence))
	}
	m.add(d.seat, d.c.Seat.Uses)
	return Answer{Outcome: Held, Seat: d.seat.view(), Taken: append(keys(d.taken), d.returned...), Ended: keys(ended)}, nil
}

// inherit remembers whom the seat was taken from, and when they last had it from each other.
func (d *decision) inherit(from *seat) {
	h := d.seat.past()
	h.from, h.passed = from.key, [2]int64{d.now}
	if from.takenFrom(d.seat.key) {
		h.passed[1] = from.history.passed[0]
	}
}

func (d *decision) refuse(o Outcome) (Answer, error) {
	var all []*seat
	for _, l := range d.rows {
		n := 0
		for _, s := range l.seats {
			if n == MaxConflicts {
				break
			}
			if d.helps(s, l) {
				n++
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, began)
	all = slices.Compact(all)
	return Answer{Outcome: o, Full: d.full, Conflicts: views(all[:min(len(all), MaxConflicts)])}, nil
}

func keys(seats []*seat) []Key {
	var all []Key
	for _, s := range seats {
		all = append(all, s.key)
	}
	return all
}

var _ Live = (*Memory)(nil)
