package redislive

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"

	"earshot/session"
)

// Claim asks for a seat.
func (t *Table) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	m, err := member(c.Seat.Key)
	if err == nil {
		err = check(&c.Seat)
	}
	if err != nil {
		return session.Answer{}, fmt.Errorf("claim: %w", err)
	}
	l, err := t.list(ctx, "claim", t.scripts.claim, claimArgs(m, c)...)
	if err != nil {
		return session.Answer{}, err
	}
	return t.answer(c, l)
}

// claimArgs are the arguments of claim.lua after the first.
func claimArgs(m string, c *session.Claim) []any {
	s := &c.Seat
	var terminate []any
	for _, k := range c.Terminate[:min(len(c.Terminate), maxTerminate)] {
		if m, err := member(k); err == nil {
			terminate = append(terminate, m)
		}
	}
	back, _ := member(c.Back) // of none it is empty
	args := make([]any, 0, 25+2*len(s.Uses)+len(terminate))
	args = append(args, m, escape(s.Key.ID), max(1, milliseconds(c.TTL)), string(c.Policy), flags(c), milliseconds(c.Age), milliseconds(c.Silence),
		milliseconds(c.Cooldown), milliseconds(c.Sentence), tag(s.Owner), len(s.Uses), len(terminate),
		s.UserID, s.Slot, bit(s.API), s.Edge, addressText(s.Address), s.Agent, string(s.Kind), s.DeviceID, s.DeviceType, s.Service, s.Owner, back)
	for _, u := range s.Uses {
		args = append(args, u.Name, u.Max)
	}
	return append(args, terminate...)
}

func flags(c *session.Claim) string {
	var b strings.Builder
	for _, f := range []struct {
		on   bool
		char byte
	}{
		{c.Adopt, 'a'}, {c.OfUser, 'u'}, {c.Goes, 'g'}, {c.Stay, 's'}, {c.Restore, 'r'},
		{c.Seat.Owner != "" && c.Seat.Slot == "" && (!c.Seat.API || c.Seat.Key.Group != ""), 'p'},
	} {
		if f.on {
			b.WriteByte(f.char)
		}
	}
	return b.String()
}

// tag stands for an owner in keys: an owner may be as long as an agent. It is 22 characters.
func tag(owner string) string {
	if owner == "" {
		return strings.Repeat(".", 22)
	}
	sum := sha256.Sum256([]byte(owner))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// answer reads what claim.lua returned.
func (t *Table) answer(c *session.Claim, l []any) (session.Answer, error) {
	r := reader{rest: l}
	a := session.Answer{Outcome: session.Outcome(r.number()), Reason: r.text()}
	own, taken, ended, full, conflicts := r.list(), r.list(), r.list(), r.list(), r.list()
	t.metrics.damage(r.number())
	if r.bad || a.Outcome > session.Another {
		return session.Answer{}, fail("claim", "%d elements", len(l))
	}
	if a.Outcome == session.Held {
		s, err := seat(own)
		if err != nil {
			t.metrics.damage(1)
			return session.Answer{}, fail("claim", "the seat")
		}
		a.Seat = s
	}
	a.Taken, a.Ended = keys(taken), keys(ended)
	for _, v := range full {
		if i, ok := v.(int64); ok && i >= 1 && int(i) <= len(c.Seat.Uses) {
			a.Full = append(a.Full, c.Seat.Uses[i-1])
		}
	}
	a.Conflicts = t.seats(conflicts[:min(len(conflicts), session.MaxConflicts)])
	return a, nil
}
