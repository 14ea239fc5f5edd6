package gate

import (
	"context"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// End ends the sessions of an id on every edge, whatever groups they are of, and reports how many it knew of. What was ended stays so for a day.
func (g *Gate) End(ctx context.Context, id session.ID) (int, error) { panic("not built") }

// Ban has a ban begin now, and ends what he plays, on every edge. Made is filled in, and ID if it is empty. If session is not empty, User, Address and Agent
// are filled in from it: ErrNoSession if it is not known. ErrInvalid.
func (g *Gate) Ban(ctx context.Context, b Ban, id session.ID) (Ban, error) { panic("not built") }

// Bans lists the bans that are not over, in order of their ids.
func (g *Gate) Bans() []Ban { panic("not built") }

// Unban ends a ban. ErrNoBan.
func (g *Gate) Unban(ctx context.Context, id string) error { panic("not built") }

// Usage lists limits in use, in order of their names, from after on (exclusive), at most limit.
func (g *Gate) Usage(ctx context.Context, after string, limit int) ([]session.Usage, error) {
	panic("not built")
}

// RuleState is a blackout with what is to be known of it.
type RuleState struct {
	blackout.Rule
	Configured bool `json:"configured"` // it stands in the configuration, and cannot be ended here
	Open       bool `json:"open"`       // its window is open now
}

// Rules lists the blackouts in the order in which they are tried.
func (g *Gate) Rules(now time.Time) []RuleState { panic("not built") }

// AddRule adds a blackout after those there are, or first if first is set, on every edge. An ID is minted if it has none. ErrTaken, ErrInvalid.
func (g *Gate) AddRule(ctx context.Context, r blackout.Rule, first bool) (blackout.Rule, error) {
	panic("not built")
}

// EndRule ends a blackout that AddRule added. ErrNoRule, ErrConfigured.
func (g *Gate) EndRule(ctx context.Context, id string) error { panic("not built") }

// Evidence lists refusals and cuts, the oldest first, with the id of each row.
func (g *Gate) Evidence(ctx context.Context, q blackout.EvidenceQuery) ([]blackout.Evidence, error) {
	panic("not built")
}
