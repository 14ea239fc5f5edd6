package sessiontest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/session"
)

// Compare plays random operations to a table, which must be empty, and to a [Model], and fails where they differ.
//
// Where exact is set, both must go by the same clock, to the millisecond: in a bubble of testing/synctest. Else no answer hangs on how much
// time passes: all that lasts, lasts an hour or not at all, each operation is some milliseconds later than the one before, and times are
// not compared.
func Compare(t *testing.T, live session.Live, seed uint64, operations int, exact bool) {
	t.Helper()
	p := &play{T: t, live: live, model: NewModel(time.Now), Rand: rand.New(rand.NewPCG(seed, 1)), exact: exact, duel: seed%2 == 1}
	p.cooldown = p.while()
	for i := range operations {
		if exact {
			time.Sleep(time.Duration(p.IntN(4)*p.IntN(4)) * unit / 3)
		} else {
			time.Sleep(3 * time.Millisecond)
		}
		p.operation()
		p.look()
		if t.Failed() {
			t.Fatalf("seed %d, operation %d, after\n%s", seed, i, strings.Join(p.log[max(0, len(p.log)-40):], "\n"))
		}
	}
}

const unit = 100 * time.Millisecond

type play struct {
	*testing.T
	*rand.Rand
	live     session.Live
	model    *Model
	exact    bool
	cooldown time.Duration
	duel     bool // few sessions of one owner are after one seat
	log      []string
}

// while is how long something is.
func (p *play) while() time.Duration {
	if p.exact {
		return time.Duration(p.IntN(12)) * unit
	}
	return time.Duration(p.IntN(2)) * time.Hour
}

func (p *play) one(of string, n int) string { return fmt.Sprint(of, p.IntN(n)) }

func (p *play) maybe(s string) string {
	if p.IntN(3) == 0 {
		return ""
	}
	return s
}

func (p *play) key() session.Key {
	if p.duel && p.IntN(8) > 0 {
		return session.Key{ID: session.ID(p.one("s", 3)), Group: "g0"}
	}
	return session.Key{ID: session.ID(p.one("s", 9)), Group: p.maybe(p.one("g", 2))}
}

func (p *play) claim() *session.Claim {
	c := &session.Claim{Seat: session.Seat{Key: p.key(), Kind: session.HLS, Edge: p.one("e", 2), UserID: p.maybe(p.one("u", 2)),
		DeviceID: p.maybe("dev"), DeviceType: p.maybe("stb"), Service: p.maybe(p.one("svc", 3)), Agent: p.one("agent", 2), Owner: p.maybe(p.one("o", 2))},
		TTL: p.while() + time.Minute, Policy: []session.Policy{session.Reject, session.EndOldest, session.Choose}[p.IntN(3)],
		Adopt: p.IntN(2) == 0, Goes: p.IntN(2) == 0, Restore: p.IntN(12) == 0, Silence: p.while(), Cooldown: p.cooldown, Sentence: p.while()}
	if p.exact {
		c.TTL = p.while() + unit
	}
	c.OfUser, c.Stay = p.IntN(8) == 0, p.IntN(8) == 0
	if p.IntN(3) == 0 {
		c.Back = p.key()
	}
	if p.IntN(3) == 0 {
		c.Age = p.while()
	}
	c.Seat.API = c.Seat.Key.Group == "" && p.IntN(4) > 0
	if p.IntN(4) == 0 {
		c.Seat.Slot = p.one("d", 2)
	}
	c.Seat.Uses = p.uses()
	if p.duel && p.IntN(8) > 0 {
		c.Seat.Owner, c.Seat.Slot, c.Seat.Uses, c.Restore = "o0", "", []session.Use{{Name: "l0", Max: 1}}, false
		c.Goes, c.TTL = p.IntN(4) > 0, c.TTL+4*unit
		if p.IntN(4) > 0 {
			c.Silence = time.Hour
		}
	}
	for p.IntN(3) == 0 {
		c.Terminate = append(c.Terminate, p.key())
	}
	return c
}

func (p *play) renewals() []session.Renewal {
	var all []session.Renewal
	for range p.IntN(4) {
		r := session.Renewal{Key: p.key(), TTL: p.while()}
		if !p.exact {
			r.TTL = time.Hour
		} else if p.IntN(2) == 0 {
			r.Ago = p.while()
		}
		if p.IntN(2) == 0 {
			r.Sighting = session.Sighting{Face: p.Uint64N(3), Since: p.while()}
			for range p.IntN(2 * session.MaxPieces) {
				r.Sighting.Pieces = append(r.Sighting.Pieces, p.Uint64())
			}
		}
		if p.IntN(2) == 0 {
			r.Place = &session.Place{Agent: p.one("agent", 2), Owner: p.maybe(p.one("o", 2)), Uses: p.uses()}
		}
		all = append(all, r)
	}
	return all
}

func (p *play) uses() (all []session.Use) {
	for i := range 3 {
		if p.IntN(2) == 0 {
			all = append(all, session.Use{Name: fmt.Sprint("l", i), Max: 1 + p.IntN(3)})
		}
	}
	return all
}

func (p *play) operation() {
	p.Helper()
	ctx := p.Context()
	switch p.IntN(12) {
	case 0:
		edge, all := p.one("e", 3), p.renewals()
		got, err := p.live.Renew(ctx, edge, all)
		want, _ := p.model.Renew(ctx, edge, all)
		p.check(fmt.Sprintf("renew at %s %+v", edge, all), p.standings(got), p.standings(want), err)
	case 1:
		edge, k := p.maybe(p.one("e", 3)), []session.Key{p.key(), p.key()}
		p.model.Release(ctx, edge, k...)
		p.check(fmt.Sprintf("release at %q %v", edge, k), nil, nil, p.live.Release(ctx, edge, k...))
	case 2:
		e := session.Ending{Key: p.key(), Reason: p.one("why", 3), For: p.while()}
		p.model.End(ctx, e)
		p.check(fmt.Sprintf("end %+v", e), nil, nil, p.live.End(ctx, e))
	case 3:
		user, id, limit := "", session.ID(""), p.IntN(5)
		if p.IntN(2) == 0 {
			user = p.one("u", 2)
		} else {
			id = p.key().ID
		}
		got, err := p.live.Seats(ctx, user, id, limit)
		want, _ := p.model.Seats(ctx, user, id, limit)
		p.check(fmt.Sprintf("seats of user %q, id %q, at most %d", user, id, limit), p.seats(got), p.seats(want), err)
	default:
		c := p.claim()
		what := fmt.Sprintf("claim %+v", *c)
		got, err := p.live.Claim(ctx, c)
		want, _ := p.model.Claim(ctx, c)
		p.check(what, p.answer(got), p.answer(want), err)
	}
}

// look compares all that is there.
func (p *play) look() {
	p.Helper()
	got, err := p.live.Seats(p.Context(), "", "", 100)
	want, _ := p.model.Seats(p.Context(), "", "", 100)
	p.check("seats", p.seats(got), p.seats(want), err)
	used, err := p.live.Usage(p.Context(), "l0", 5)
	use, _ := p.model.Usage(p.Context(), "l0", 5)
	p.check("usage", used, use, err)
}

func (p *play) check(what string, got, want any, err error) {
	p.Helper()
	p.log = append(p.log, what)
	if err != nil {
		p.Errorf("%s: %v", what, err)
	}
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		p.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func (p *play) seats(all []session.Seat) []session.Seat {
	all = slices.Clone(all)
	for i := range all {
		s := &all[i]
		s.Started, s.Seen, s.Expires = p.time(s.Started), p.time(s.Seen), p.time(s.Expires)
		if len(s.Uses) == 0 {
			s.Uses = nil
		}
	}
	return all
}

func (p *play) time(t time.Time) time.Time {
	if !p.exact {
		return time.Time{}
	}
	return t.UTC().Round(0)
}

func (p *play) answer(a session.Answer) session.Answer {
	a.Seat = p.seats([]session.Seat{a.Seat})[0]
	a.Conflicts = p.seats(a.Conflicts)
	for _, keys := range []*[]session.Key{&a.Taken, &a.Ended} {
		*keys = slices.Clone(*keys)
		slices.SortFunc(*keys, func(x, y session.Key) int { return strings.Compare(string(x.ID)+x.Group, string(y.ID)+y.Group) })
	}
	return a
}

func (p *play) standings(all []session.Standing) []session.Standing {
	for i := range all {
		for j := range all[i].Others {
			if !p.exact {
				all[i].Others[j].Since = 0
			}
		}
	}
	return all
}
