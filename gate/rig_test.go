package gate

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"earshot/auth"
	"earshot/session"
	"earshot/session/sessiontest"
)

// rig is a gate whose background runs, with listeners who play.
type rig struct {
	t *testing.T
	*Gate
	table *session.Table
}

// door runs a test with a gate in a bubble of its own time.
func door(t *testing.T, opt Options, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if opt.Table == nil {
			opt.Table = session.NewTable(1000)
		}
		if opt.Live == nil {
			opt.Live = sessiontest.NewModel(time.Now)
		}
		signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
		if err != nil {
			t.Fatal(err)
		}
		opt.Signer, opt.Edge = signer, "edge"
		r := &rig{t, New(opt), opt.Table}
		r.Restore(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		test(r)
		cancel()
		<-done
	})
}

// player is somebody who plays.
type player struct {
	*rig
	user, device, address, agent string
	id                           session.ID
	group                        string
	kind                         session.Kind
	grant                        *session.Grant
	expires                      time.Time // of his token
}

func (r *rig) player(user, device, address, agent string) *player {
	return &player{rig: r, user: user, device: device, address: address, agent: agent, kind: session.HLS}
}

func (p *player) at() netip.Addr { return netip.MustParseAddr(p.address) }

// start begins a session on a group, as a master does.
func (p *player) start(group string) Verdict {
	p.id, p.group = session.NewID(), group
	return p.admit(nil, true)
}

func (p *player) admit(grant *session.Grant, starts bool) Verdict {
	r := &Request{Key: session.Key{ID: p.id, Group: p.group}, Kind: p.kind, Grant: grant, Starts: starts,
		Listener: session.Listener{Address: p.at(), Agent: p.agent}, Identity: auth.Identity{User: p.user, Device: p.device, Expires: p.expires}}
	if v := p.Look(r); v.Action != Allow {
		return v
	}
	v := p.Admit(p.t.Context(), r)
	if v.Action == Allow {
		p.grant = GrantOf(v.Session)
	}
	return v
}

// next asks for a piece of media.
func (p *player) next(piece int) Verdict {
	s, ok := p.table.Get(session.Key{ID: p.id, Group: p.group})
	if !ok {
		return p.admit(p.grant, false)
	}
	return p.Renew(p.t.Context(), s, Visit{Address: p.at(), Agent: p.agent, Piece: session.PieceOf(p.group, fmt.Sprint(piece))})
}

func (r *rig) want(v Verdict, code Code) {
	r.t.Helper()
	if code == "" && v.Action != Allow || code != "" && (v.Action != Deny || v.Code != code) {
		r.t.Fatalf("at %v: %v %q (%s), want %q", time.Now().UTC().Format("15:04:05"), v.Action, v.Code, v.Detail, code)
	}
}

// perUser is a limit.
func perUser(max int) []Limit { return []Limit{{Per: PerUser, Max: max}} }
