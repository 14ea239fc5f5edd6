package gate

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"sort"
	"strings"

	"earshot/blackout"
	"earshot/session"
)

// apply makes rules of the notes. One that does not hold leaves the others alone: they come from a table that others can write to, and from a store
// that may be older than the configuration. The caller holds the board's mu.
func (g *Gate) apply() {
	next := &rules{users: make(map[string]Ban), faces: make(map[listener]Ban)}
	var added []addedRule
	for _, n := range g.board.notes {
		switch n.Kind {
		case banNote:
			var b Ban
			if json.Unmarshal(n.Body, &b) == nil && (b.User != "" || b.Address.IsValid()) {
				b.ID = n.ID
				next.ban(b)
			}
		case ruleNote:
			var r addedRule
			err := json.Unmarshal(n.Body, &r)
			if r.ID = n.ID; err == nil {
				err = g.fits(&r.Rule)
			}
			if err != nil {
				g.log.Error("a blackout that was added does not hold", "blackout", n.ID, "err", err)
				continue
			}
			added = append(added, r)
		case endedNote:
			var e endedBody
			if json.Unmarshal(n.Body, &e) == nil {
				g.endings.add(session.Key{ID: e.ID, Group: e.Group}, e.Reason, n.Until)
			}
		}
	}
	slices.SortFunc(next.bans, func(a, b Ban) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(added, func(a, b addedRule) int { return cmp.Or(a.Added.Compare(b.Added), strings.Compare(a.ID, b.ID)) })
	g.compile(next, added)
	g.rules.Store(next)
	g.move()
}

// fits tells why an added rule cannot stand beside those of the configuration.
func (g *Gate) fits(r *blackout.Rule) error {
	if slices.ContainsFunc(g.opt.Rules, func(c blackout.Rule) bool { return c.ID == r.ID }) {
		return errors.New("the configuration has one of its id")
	}
	return r.Check()
}

// compile makes the rules ready. If they are too many, those that were added last do not hold.
func (g *Gate) compile(next *rules, added []addedRule) {
	try := func(n int) (err error) {
		next.first, next.last = nil, nil
		for i := range added[:n] {
			if r := &added[i]; r.First {
				next.first = append(next.first, r.Rule)
			} else {
				next.last = append(next.last, r.Rule)
			}
		}
		slices.Reverse(next.first)
		next.compiled, err = blackout.Compile(slices.Concat(next.first, g.opt.Rules, next.last))
		return err
	}
	err := try(len(added))
	if err == nil {
		return
	}
	most := sort.Search(len(added), func(n int) bool { return try(n+1) != nil })
	_ = try(most) // it is known to go; without any, those of the configuration do
	g.log.Error("blackouts that were added last do not hold", "blackouts", len(added)-most, "err", err)
}

func (r *rules) ban(b Ban) {
	r.bans = append(r.bans, b)
	if b.User != "" {
		r.users[b.User] = later(r.users[b.User], b)
		return
	}
	who := listener{b.Address, b.Agent}
	r.faces[who] = later(r.faces[who], b)
}

// later is the ban that lasts longer.
func later(a, b Ban) Ban {
	if a.Until.After(b.Until) {
		return a
	}
	return b
}
