package auth

import (
	"context"
	"slices"
	"time"
)

const (
	openLag  = time.Second // until a session that has begun is in the store
	openPage = 1000
	maxHeld  = 200_000 // of an earlier process, in memory: as many as an edge has sessions, unless it is told to have more
	maxAlso  = 8       // of one session; it is told of these and the first at least
)

// place is a session as this edge knows it.
type place struct{ id, group string }

// held is a removal beside that of a session's own ticket: an earlier process left it, or the backend was asked about the session once more.
type held struct {
	Removal
	left  bool // by an earlier process
	taken bool // by a session that goes on
	gone  bool // to the backend
}

// begin keeps the removal of a session that goes on.
func (r *removals) begin(one Removal) (id int64) {
	one.own()
	one.Open, one.Began = true, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	one.ID = r.number()
	if len(r.open) >= r.room {
		r.metrics.notKept()
		return one.ID
	}
	r.open[one.ID] = &one
	poke(r.opened)
	return one.ID
}

// hold keeps another removal for a session that goes on and has one.
func (r *removals) hold(one Removal) {
	at := place{one.SessionID, one.Group}
	r.mu.Lock()
	full := len(r.held[at]) >= maxAlso
	r.mu.Unlock()
	if full {
		return
	}
	one.own()
	one.ID = r.begin(one)
	one.Began = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[place{one.SessionID, one.Group}] = append(r.held[at], &held{Removal: one, taken: true})
}

// resume has what an earlier process left of a session be over with it, and not before.
func (r *removals) resume(at place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.held[at] {
		h.taken = true
	}
}

// release tells of what a session holds that is over now. If it began in an earlier process and went on without being asked for, what it has had since is
// the last one's.
func (r *removals) release(s *Removal) {
	at := place{s.SessionID, s.Group}
	r.mu.Lock()
	all := r.held[at]
	delete(r.held, at)
	over := make([]Removal, len(all))
	for i, h := range all {
		h.gone = true
		m := h.Removal
		m.At = s.At
		switch {
		case !h.left:
			m.Duration = max(0, min(s.Duration, s.At.Sub(m.Began)))
		case s.Ticket == "" && i == len(all)-1:
			m.Bytes, m.Duration = m.Bytes+s.Bytes, max(m.Duration, s.Duration)
		}
		over[i] = m
	}
	r.mu.Unlock()
	for _, m := range over {
		r.add(m)
	}
}

// restore takes up what an earlier process left. It waits for its sessions.
func (r *removals) restore(ctx context.Context) error {
	var left []Removal
	var rest int64
	var err error
	for more := true; more && err == nil; {
		after := int64(0)
		if n := len(left); n > 0 {
			after = left[n-1].ID
		}
		var page []Removal
		page, err = r.store.OpenRemovals(ctx, after, openPage)
		left, more = append(left, page...), len(page) == openPage
		if more && len(left) >= r.most {
			rest, more = left[len(left)-1].ID, false
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range left {
		h := &held{Removal: left[i], left: true}
		at := place{h.SessionID, h.Group}
		r.held[at], r.waiting = append(r.held[at], h), append(r.waiting, h)
		r.last = max(r.last, h.ID)
	}
	r.rest, r.born = rest, r.number()
	return err
}

// tally asks the books.
func (r *removals) tally(ctx context.Context) {
	r.mu.Lock()
	all, born := slices.Clone(r.waiting), time.Unix(0, r.born)
	r.mu.Unlock()
	for _, h := range all {
		from, to, ok := r.span(h, born)
		if !ok {
			continue
		}
		part, cancel := context.WithTimeout(ctx, storeTimeout)
		bytes, last, err := r.store.Heard(part, h.SessionID, h.Group, from, to)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.log.Warn("what listeners were sent before the start is not known; the auth callback is told of none", "err", err)
			return
		}
		r.mu.Lock()
		if !h.gone {
			h.Bytes, h.Duration = bytes, max(0, last.Sub(from))
		}
		r.mu.Unlock()
	}
}

// span is what a ticket stands for of its session in an earlier process: until the next one was opened for the same.
func (r *removals) span(h *held, born time.Time) (from, to time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.held[place{h.SessionID, h.Group}] {
		if other.ID > h.ID && other.left {
			return h.Began, other.Began, !h.gone
		}
	}
	return h.Began, born, !h.gone
}

// settle finds out what the sessions had that an earlier process left, and then tells of those that nobody has gone on with.
func (r *removals) settle(ctx context.Context) {
	idle := time.NewTimer(r.idle)
	defer idle.Stop()
	r.tally(ctx)
	r.expire(ctx, idle)
}

// expire ends what is in the store, and need not wait in memory.
func (r *removals) expire(ctx context.Context, wait *time.Timer) {
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		more, err := r.expireSome(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			r.log.Warn("the auth callback is not yet told of sessions that nobody came back to", "err", err)
			wait.Reset(backoff(failures, backoffFirst, backoffLast))
			failures++
		case !more:
			return
		default:
			failures = 0
			wait.Reset(0)
		}
	}
}

// expireSome ends some, and tells whether there may be more.
func (r *removals) expireSome(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if some, looked := r.abandoned(); looked > 0 {
		batch := make([]Removal, len(some))
		for i, h := range some {
			batch[i] = h.Removal
		}
		if err := r.end(ctx, batch); err != nil {
			r.giveBack(some)
			return true, err
		}
		return true, nil
	}
	if r.rest == 0 {
		return false, nil
	}
	batch, err := r.store.OpenRemovals(ctx, r.rest, removalBatch)
	if err != nil {
		return true, err
	}
	batch = slices.DeleteFunc(batch, func(m Removal) bool { return m.ID >= r.born })
	if len(batch) == 0 {
		return false, nil
	}
	if err = r.end(ctx, batch); err == nil {
		r.rest = batch[len(batch)-1].ID
	}
	return true, err
}

// end stores removals of sessions that are over.
func (r *removals) end(ctx context.Context, batch []Removal) error {
	if len(batch) == 0 {
		return nil
	}
	now := time.Now()
	for i := range batch {
		batch[i].Open, batch[i].At, batch[i].Next = false, now, now
	}
	r.storing.Lock()
	defer r.storing.Unlock()
	if err := r.store.AddRemovals(ctx, batch); err != nil {
		return err
	}
	poke(r.kept)
	return nil
}

// abandoned are some that nobody has gone on with, and how many were looked at. Nobody can go on with them any more.
func (r *removals) abandoned() (some []*held, looked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	looked = min(len(r.waiting), removalBatch)
	for _, h := range r.waiting[:looked] {
		if h.taken || h.gone {
			continue
		}
		h.gone = true
		at := place{h.SessionID, h.Group}
		if rest := slices.DeleteFunc(r.held[at], func(other *held) bool { return other == h }); len(rest) > 0 {
			r.held[at] = rest
		} else {
			delete(r.held, at)
		}
		some = append(some, h)
	}
	if r.waiting = r.waiting[looked:]; len(r.waiting) == 0 {
		r.waiting = nil
	}
	return some, looked
}

// giveBack has them wait on.
func (r *removals) giveBack(some []*held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range some {
		h.gone = false
		at := place{h.SessionID, h.Group}
		r.held[at] = append(r.held[at], h)
		r.waiting = append(r.waiting, h)
	}
}
