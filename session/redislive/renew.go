package redislive

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"earshot/session"
)

// A script renews batch seats. Each is an exchange of its own, so that Redis is never held up by one, and others get their turn in between.
const batch = 100

// Renew keeps seats. As many exchanges are under way at once, for all who call it, as the window says; the first that fails has those not begun be left out.
func (t *Table) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	answers := make([]session.Standing, len(all))
	var under sync.WaitGroup
	var failed atomic.Pointer[error]
	for _, p := range t.pages(edge, all) {
		t.window.enter()
		if failed.Load() != nil {
			t.window.pass()
			break
		}
		under.Go(func() {
			if err := t.renew(ctx, p, answers); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	under.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return answers, nil
}

// page is one call of renew.lua. at says which answer is whose: who can have no seat is not asked for.
type page struct {
	args  []any
	moved []any // what comes after them
	at    []int
}

// renew is one exchange. The caller has entered the window.
func (t *Table) renew(ctx context.Context, p *page, answers []session.Standing) error {
	begun := time.Now()
	l, err := t.list(ctx, "renew", t.scripts.renew, append(p.args, p.moved...)...)
	t.window.leave(time.Since(begun), err == nil)
	if err != nil {
		return err
	}
	return t.standings(p, l, answers)
}

func (t *Table) pages(edge string, all []session.Renewal) (pages []*page) {
	var p *page
	for i := range all {
		r := &all[i]
		m, err := member(r.Key)
		if err != nil {
			continue
		}
		if p == nil || len(p.at) == batch {
			p = &page{args: make([]any, 0, 2+4*min(batch, len(all)-i))}
			p.args = append(p.args, edge[:min(len(edge), maxText)], 0)
			pages = append(pages, p)
		}
		p.args = append(p.args, m, milliseconds(r.Ago), max(1, milliseconds(r.TTL)), packSighting(&r.Sighting))
		p.at = append(p.at, i)
		p.args[1] = len(p.at)
		p.move(r.Place)
	}
	return pages
}

// move says where the listener of the page's last seat is. What could not be read back is not said.
func (p *page) move(to *session.Place) {
	if to == nil || check(&session.Seat{Agent: to.Agent, Owner: to.Owner, Uses: to.Uses}) != nil {
		return
	}
	p.moved = append(p.moved, len(p.at), addressText(to.Address), to.Agent, to.Owner, tag(to.Owner), len(to.Uses))
	for _, u := range to.Uses {
		p.moved = append(p.moved, u.Name, u.Max)
	}
}

// standings reads what renew.lua returned.
func (t *Table) standings(p *page, l []any, answers []session.Standing) error {
	if len(l) != len(p.at)+1 {
		return fail("renew", "%d elements for %d", len(l), len(p.at))
	}
	r := reader{rest: l[:1]}
	t.metrics.damage(r.number())
	for i, v := range l[1:] {
		st := &answers[p.at[i]]
		if n, ok := v.(int64); ok {
			st.State, st.Stray = state(n)
		} else {
			*st = t.standing(v)
		}
		if st.State > session.Kept {
			return fail("renew", "state %d", st.State)
		}
	}
	return nil
}

// stray is what renew.lua answers instead of Kept.
const stray = int64(session.Kept) + 1

func state(n int64) (s session.State, isStray bool) {
	if n == stray {
		return session.Kept, true
	}
	if n < 0 || n > stray {
		return session.State(stray), false // there is none such
	}
	return session.State(n), false
}

func (t *Table) standing(v any) (st session.Standing) {
	r := read(v)
	st.State, st.Stray = state(r.number())
	if st.State == session.Over {
		st.Reason = r.text()
		return st
	}
	for len(r.rest) > 0 && !r.bad {
		age := time.Duration(r.number()) * time.Millisecond
		s, err := unpackSighting(r.text())
		if err != nil {
			t.metrics.damage(1)
			continue
		}
		s.Since += age
		st.Others = append(st.Others, s)
	}
	return st
}

// packSighting is a sighting as it lies in Redis: face, since in ns, pieces, of 8 bytes each, in base64. It is empty if nothing was seen.
func packSighting(s *session.Sighting) string {
	if s.Face == 0 {
		return ""
	}
	b := make([]byte, 0, 8*(2+session.MaxPieces))
	b = binary.BigEndian.AppendUint64(b, s.Face)
	b = binary.BigEndian.AppendUint64(b, uint64(min(max(s.Since, 0), maxSpan)))
	for _, p := range s.Pieces[max(0, len(s.Pieces)-session.MaxPieces):] {
		b = binary.BigEndian.AppendUint64(b, p)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

func unpackSighting(text string) (s session.Sighting, err error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b)%8 != 0 || len(b) < 16 || len(b) > 8*(2+session.MaxPieces) {
		return s, fmt.Errorf("%w: a sighting of %d bytes", errReply, len(b))
	}
	s.Face = binary.BigEndian.Uint64(b)
	since := binary.BigEndian.Uint64(b[8:])
	if s.Face == 0 || since > uint64(maxSpan) {
		return session.Sighting{}, fmt.Errorf("%w: a sighting", errReply)
	}
	s.Since = time.Duration(since)
	for b = b[16:]; len(b) > 0; b = b[8:] {
		s.Pieces = append(s.Pieces, binary.BigEndian.Uint64(b))
	}
	return s, nil
}
