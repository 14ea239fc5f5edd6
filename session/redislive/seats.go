package redislive

import (
	"context"
	"fmt"
	"strconv"

	"earshot/session"
)

// What is listed is listed in pages, each atomic by itself: no list is worth holding up Redis for.
const (
	seatPage    = 300
	usagePage   = 500
	releasePage = 200
)

// Release gives seats back.
func (t *Table) Release(ctx context.Context, edge string, keys ...session.Key) error {
	for len(keys) > 0 {
		n := min(len(keys), releasePage)
		args := []any{edge[:min(len(edge), maxText)]}
		for _, k := range keys[:n] {
			if m, err := member(k); err == nil {
				args = append(args, m)
			}
		}
		keys = keys[n:]
		if len(args) == 1 {
			continue
		}
		if err := t.count(t.run(ctx, "release", t.scripts.release, args...)); err != nil {
			return err
		}
	}
	return nil
}

// End frees a seat and denies it to its session.
func (t *Table) End(ctx context.Context, e session.Ending) error {
	m, err := member(e.Key)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return t.count(t.run(ctx, "end", t.scripts.end, m, e.Reason[:min(len(e.Reason), maxText)], milliseconds(e.For)))
}

// count counts the damaged, where that is all a script returns.
func (t *Table) count(reply any, err error) error {
	if n, ok := reply.(int64); ok {
		t.metrics.damage(n)
	}
	return err
}

// Seats lists seats, a page at a time: those that come and go meanwhile may be in the list or not.
func (t *Table) Seats(ctx context.Context, user string, id session.ID, limit int) ([]session.Seat, error) {
	var all []session.Seat
	started, last := "", ""
	for len(all) < limit {
		n := min(limit-len(all), seatPage)
		l, err := t.list(ctx, "seats", t.scripts.seats, user, escape(id), n, started, last)
		if err != nil {
			return nil, err
		}
		r := reader{rest: l}
		t.metrics.damage(r.number())
		more := r.number() == 1
		if r.bad || len(r.rest) > n {
			return nil, fail("seats", "%d elements", len(l))
		}
		page := t.seats(r.rest)
		all = append(all, page...)
		if !more && (len(r.rest) < n || len(page) == 0) {
			break
		}
		if len(page) == 0 {
			continue
		}
		end := &page[len(page)-1]
		started = strconv.FormatInt(end.Started.UnixMilli(), 10)
		last, _ = member(end.Key)
	}
	return all, nil
}

// Usage lists limits that anybody counts under.
func (t *Table) Usage(ctx context.Context, after string, limit int) ([]session.Usage, error) {
	var all []session.Usage
	for len(all) < limit {
		l, err := t.list(ctx, "usage", t.scripts.usage, after, min(limit-len(all), usagePage))
		if err != nil {
			return nil, err
		}
		r := reader{rest: l}
		t.metrics.damage(r.number())
		next := r.text()
		for !r.bad && len(r.rest) > 0 {
			all = append(all, session.Usage{Name: r.text(), Max: int(r.number()), Taken: int(r.number())})
		}
		if r.bad {
			return nil, fail("usage", "%d elements", len(l))
		}
		if next == "" {
			break
		}
		after = next
	}
	return all, nil
}
