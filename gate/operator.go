package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// End ends the sessions of an id on every edge, whatever groups they are of, and reports how many it knew of. What was ended stays so for a day.
func (g *Gate) End(ctx context.Context, id session.ID) (int, error) {
	keys := g.keysOf(id)
	seats, err := g.seatsOf(ctx, id)
	for _, seat := range seats {
		if !slices.Contains(keys, seat.Key) {
			keys = append(keys, seat.Key)
		}
	}
	if err != nil && len(keys) == 0 {
		return 0, err
	}
	for _, k := range keys {
		if err := g.end(ctx, k, byOperator); err != nil {
			return len(keys), err
		}
	}
	return len(keys), nil
}

// keysOf are the sessions of an id that this edge knows.
func (g *Gate) keysOf(id session.ID) (keys []session.Key) {
	g.table.Each(func(s *session.Session) bool {
		if s.Key.ID == id {
			keys = append(keys, s.Key)
		}
		return true
	})
	return keys
}

// end ends one session: here at once, then for this edge's next life, and on every edge.
func (g *Gate) end(ctx context.Context, k session.Key, reason string) error {
	g.ended(k, reason, endedFor)
	body, err := json.Marshal(endedBody{k.ID, k.Group, reason})
	if err != nil {
		return err
	}
	if g.opt.Keeper != nil {
		err = g.opt.Keeper.Post(ctx, session.Note{Kind: endedNote, ID: k.Group + "/" + string(k.ID), Until: time.Now().Add(endedFor), Body: body})
	}
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	if e := g.live.End(ctx, session.Ending{Key: k, Reason: reason, For: endedFor}); e != nil {
		g.failed("end", e)
		return fmt.Errorf("the session is ended here; other edges could not be told: %w", e)
	}
	return err
}

// maxBan bounds how long a ban lasts.
const maxBan = 10 * 365 * 24 * time.Hour

// Ban has a ban begin now, and ends what he plays, on every edge. Made is filled in, and ID if it is empty. If id is not empty, User, Address and Agent
// are filled in from that session: ErrNoSession if it is not known. ErrInvalid.
func (g *Gate) Ban(ctx context.Context, b Ban, id session.ID) (Ban, error) {
	b.Made = time.Now().UTC().Truncate(time.Millisecond)
	if id != "" {
		l, err := g.listenerOf(ctx, id)
		if err != nil {
			return b, err
		}
		b.User, b.Address, b.Agent = l.UserID, l.Address, l.Agent
		if b.User != "" {
			b.Address, b.Agent = Ban{}.Address, ""
		}
	}
	switch {
	case b.User == "" && !b.Address.IsValid():
		return b, fmt.Errorf("%w: write a user, a session, or an address (and agent)", ErrInvalid)
	case b.User != "" && (b.Address.IsValid() || b.Agent != ""):
		return b, fmt.Errorf("%w: write a user, or an address and agent, not both", ErrInvalid)
	case !b.Until.After(b.Made) || b.Until.Sub(b.Made) > maxBan:
		return b, fmt.Errorf("%w: a ban lasts for a time of more than 0 and at most 10 years", ErrInvalid)
	}
	b.Address = b.Address.Unmap()
	if b.ID == "" {
		b.ID = string(session.NewID())
	}
	return b, g.postJSON(ctx, banNote, b.ID, b.Until, b)
}

// listenerOf is who plays a session.
func (g *Gate) listenerOf(ctx context.Context, id session.ID) (session.Listener, error) {
	for _, k := range g.keysOf(id) {
		if s, ok := g.table.Get(k); ok {
			return *s.Listener(), nil
		}
	}
	seat, err := g.Find(ctx, "", id)
	return session.Listener{UserID: seat.UserID, Address: seat.Address, Agent: seat.Agent}, err
}

func (g *Gate) postJSON(ctx context.Context, kind, id string, until time.Time, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return g.post(ctx, session.Note{Kind: kind, ID: id, Until: until, Body: body})
}

// Bans lists the bans that are not over, in order of their ids.
func (g *Gate) Bans() (all []Ban) {
	now := time.Now()
	for _, b := range g.rules.Load().bans {
		if now.Before(b.Until) {
			all = append(all, b)
		}
	}
	return all
}

// FindBan is one of them. ErrNoBan.
func (g *Gate) FindBan(id string) (Ban, error) {
	now := time.Now()
	for _, b := range g.rules.Load().bans {
		if b.ID == id && now.Before(b.Until) {
			return b, nil
		}
	}
	return Ban{}, ErrNoBan
}

// Unban ends a ban. ErrNoBan.
func (g *Gate) Unban(ctx context.Context, id string) error {
	if _, err := g.FindBan(id); err != nil {
		return err
	}
	return g.withdraw(ctx, banNote, id)
}

// Usage lists limits in use, in order of their names, from after on (exclusive), at most limit.
func (g *Gate) Usage(ctx context.Context, after string, limit int) ([]session.Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	all, err := g.live.Usage(ctx, after, limit)
	if err != nil {
		g.failed("usage", err)
		return nil, fmt.Errorf("list limits in use: %w", err)
	}
	return all, nil
}

// RuleState is a blackout with what is to be known of it.
type RuleState struct {
	blackout.Rule
	Configured bool `json:"configured"` // it stands in the configuration, and cannot be ended here
	Open       bool `json:"open"`       // its window is open now
}

// Rules lists the blackouts in the order in which they are tried.
func (g *Gate) Rules(now time.Time) (all []RuleState) {
	r := g.rules.Load()
	add := func(rules []blackout.Rule, configured bool) {
		for i := range rules {
			all = append(all, RuleState{rules[i], configured, r.compiled.Open(len(all), now)})
		}
	}
	add(r.first, false)
	add(g.opt.Rules, true)
	add(r.last, false)
	return all
}

// FindRule is one of them. ErrNoRule.
func (g *Gate) FindRule(id string, now time.Time) (RuleState, error) {
	for _, r := range g.Rules(now) {
		if r.ID == id {
			return r, nil
		}
	}
	return RuleState{}, ErrNoRule
}

// maxAdded bounds the blackouts that are added to those of the configuration.
const maxAdded = 1_000

// AddRule adds a blackout after those there are, or before them if first is set, on every edge. An ID is minted if it has none;
// one for all streams must say so. ErrTaken, ErrInvalid.
func (g *Gate) AddRule(ctx context.Context, r blackout.Rule, first bool) (blackout.Rule, error) {
	if r.ID == "" {
		r.ID = string(session.NewID())
	}
	if r.Action == "" {
		r.Action = blackout.Deny
	}
	if r.Unknown == "" {
		r.Unknown = blackout.Deny
	}
	if len(r.Streams) == 0 { // it holds at once and everywhere: nobody hides everything by leaving something out
		return r, fmt.Errorf(`%w: streams is missing: write the keys of groups and streams, such as ["news", "tv-*"], or ["*"] for all`, ErrInvalid)
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if compiled, err := blackout.Compile([]blackout.Rule{r}); err == nil && compiled.NeedsPlace() && g.opt.Geo == nil {
		return r, fmt.Errorf("%w: where a listener is cannot be looked up; configure geo, or name networks", ErrInvalid)
	}
	now := g.Rules(time.Now())
	if slices.ContainsFunc(now, func(s RuleState) bool { return s.ID == r.ID }) {
		return r, ErrTaken
	}
	if len(now)-len(g.opt.Rules) >= maxAdded {
		return r, fmt.Errorf("%w: there are %d blackouts besides those of the configuration already; end some", ErrInvalid, maxAdded)
	}
	return r, g.postJSON(ctx, ruleNote, r.ID, time.Time{}, addedRule{r, first, time.Now()})
}

// EndRule ends a blackout that AddRule added. ErrNoRule, ErrConfigured.
func (g *Gate) EndRule(ctx context.Context, id string) error {
	for _, r := range g.Rules(time.Now()) {
		switch {
		case r.ID != id:
		case r.Configured:
			return ErrConfigured
		default:
			return g.withdraw(ctx, ruleNote, id)
		}
	}
	return ErrNoRule
}

// Evidence lists refusals and cuts, the oldest first, with the id of each row.
func (g *Gate) Evidence(ctx context.Context, q blackout.EvidenceQuery) ([]blackout.Evidence, error) {
	if g.opt.Keeper == nil {
		return nil, nil
	}
	return g.opt.Keeper.Evidence(ctx, q)
}
