package gate

import (
	"strings"
	"time"

	"earshot/session"
)

// Termination codes name a seat to the user whose it is, and to nobody else.
const (
	terminatePurpose = "terminate"
	maxCodes         = 8 // that one request may name
)

// conflicts are the seats of a user, with the codes that end them.
func (g *Gate) conflicts(user string, seats []session.Seat) (all []Conflict) {
	if g.opt.Signer == nil {
		return nil
	}
	until := time.Now().Add(TerminateWithin)
	for i := range seats {
		s := &seats[i]
		if s.UserID != user {
			continue
		}
		text := strings.Join([]string{user, s.Key.Group, string(s.Key.ID)}, "\x00")
		all = append(all, Conflict{Code: g.opt.Signer.Code(terminatePurpose, text, until), SessionID: s.Key.ID, Group: s.Key.Group, Service: s.Service,
			DeviceType: s.DeviceType, Agent: s.Agent, Started: s.Started, Seen: s.Seen})
	}
	return all
}

// terminated are the sessions that a user's codes name. Others' codes are passed over.
func (g *Gate) terminated(codes []string, user string) (keys []session.Key) {
	if g.opt.Signer == nil || user == "" {
		return nil
	}
	for _, code := range codes[:min(len(codes), maxCodes)] {
		text, ok := g.opt.Signer.Decode(terminatePurpose, code, time.Now())
		whose, rest, _ := strings.Cut(text, "\x00")
		group, id, _ := strings.Cut(rest, "\x00")
		if ok && whose == user {
			keys = append(keys, session.Key{ID: session.ID(id), Group: group})
		}
	}
	return keys
}
