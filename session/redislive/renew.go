package redislive

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"earshot/session"
)

// A script renews batch seats, and pipeline scripts are under way at once: others get their turn of Redis in between.
const (
	batch    = 100
	pipeline = 4
)

// Renew keeps seats. It takes as many exchanges as there are pages of seats, each within the timeout; the first that fails ends it.
func (t *Table) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	answers := make([]session.Standing, len(all))
	for from := 0; from < len(all); from += batch * pipeline {
		to := min(from+batch*pipeline, len(all))
		if err := t.renew(ctx, edge, all[from:to], answers[from:to]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// page is one call of renew.lua. at says which answer is whose: who can have no seat is not asked for.
type page struct {
	args []any
	at   []int
	cmd  *redis.Cmd
}

func (t *Table) renew(ctx context.Context, edge string, all []session.Renewal, answers []session.Standing) error {
	pages := t.pages(edge, all)
	err := t.ask(ctx, "renew", func(ctx context.Context) error {
		pipe := t.redis.Pipeline()
		for _, p := range pages {
			p.cmd = t.scripts.renew.EvalSha(ctx, pipe, []string{t.tag}, p.args...)
		}
		_, err := pipe.Exec(ctx)
		if err == nil {
			return nil
		}
		for _, p := range pages {
			if redis.HasErrorPrefix(p.cmd.Err(), "NOSCRIPT") {
				p.cmd = t.scripts.renew.Eval(ctx, t.redis, []string{t.tag}, p.args...)
			}
			if err := p.cmd.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range pages {
		if err := t.standings(p, answers); err != nil {
			return err
		}
	}
	return nil
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
			p.args = append(p.args, t.me, edge[:min(len(edge), maxText)])
			pages = append(pages, p)
		}
		p.args = append(p.args, m, milliseconds(r.Ago), max(1, milliseconds(r.TTL)), packSighting(&r.Sighting))
		p.at = append(p.at, i)
	}
	return pages
}

// standings reads what renew.lua returned.
func (t *Table) standings(p *page, answers []session.Standing) error {
	l, err := p.cmd.Slice()
	if err != nil || len(l) != len(p.at)+1 {
		return fail("renew", "%d elements for %d", len(l), len(p.at))
	}
	r := reader{rest: l[:1]}
	t.metrics.damage(r.number())
	for i, v := range l[1:] {
		st := &answers[p.at[i]]
		if n, ok := v.(int64); ok {
			st.State = session.State(n)
		} else {
			*st = t.standing(v)
		}
		if st.State > session.Kept {
			return fail("renew", "state %d", st.State)
		}
	}
	return nil
}

func (t *Table) standing(v any) (st session.Standing) {
	r := read(v)
	st.State = session.State(r.number())
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
