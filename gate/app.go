package gate

import (
	"context"
	"net/netip"

	"earshot/session"
)

// App is who calls the app API.
type App struct {
	Name string // of the bearer token; empty: a user with a token of his own
	User string // whose sessions he may see and change; empty: everybody's
}

// App finds out who calls, by the bearer token he sends. The error is a [*Refusal] with TokenRequired or TokenInvalid.
func (g *Gate) App(ctx context.Context, bearer string) (App, error) {
	panic("not built")
}

// Play is what an app tells of a session.
type Play struct {
	ID         session.ID // empty: one is minted
	User       string
	Service    string
	DeviceID   string
	DeviceType string
	Agent      string
	Address    netip.Addr
	Shared     bool     // the device's players count once (multi-stream)
	Terminate  []string // termination codes of sessions that are to be ended for it
}

// Make makes a session that has not been played yet. The error is a [*Refusal] (TooManySessions, ChooseSession, Ended, Banned, EdgeFull, NotAllowed),
// ErrNotYours or ErrDeviceType if the id is taken. A session of that id that is the user's own is kept alive instead (made is false).
func (g *Gate) Make(ctx context.Context, p Play) (seat session.Seat, made bool, err error) {
	panic("not built")
}

// Keep keeps a session alive and changes what is not empty in p. ErrNoSession, ErrNotYours, ErrOverSession, ErrDeviceType.
func (g *Gate) Keep(ctx context.Context, p Play) (session.Seat, error) { panic("not built") }

// Played are the sessions of a user, those first that began first; those of everybody if user is empty. At most limit.
func (g *Gate) Played(ctx context.Context, user string, limit int) ([]session.Seat, error) {
	panic("not built")
}

// Find is one session. user "" takes everybody's. ErrNoSession, ErrNotYours, ErrOverSession.
func (g *Gate) Find(ctx context.Context, user string, id session.ID) (session.Seat, error) {
	panic("not built")
}

// Stop is the app's Stop: it releases a session that the app made and ends one that the edge sees. ErrNoSession, ErrNotYours, ErrOverSession.
func (g *Gate) Stop(ctx context.Context, user string, id session.ID) error { panic("not built") }
