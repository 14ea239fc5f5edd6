package gate

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"earshot/session"
)

// late is a live table whose answer to what is there comes before the others' claims.
type late struct{ session.Live }

func (late) Seats(context.Context, string, session.ID, int) ([]session.Seat, error) { return nil, nil }

// TestRacingForAnID: of two users who make a session of the same id at the same time one gets it, and the other nothing of it.
func TestRacingForAnID(t *testing.T) {
	g := New(Options{Table: session.NewTable(10), Live: late{session.NewMemory(10)}})
	if _, made, err := g.Make(t.Context(), Play{ID: "x", User: "ann"}); err != nil || !made {
		t.Fatal(made, err)
	}
	seat, made, err := g.Make(t.Context(), Play{ID: "x", User: "bob"})
	if !errors.Is(err, ErrNotYours) || made || seat.Key.ID != "" {
		t.Errorf("%+v, %v, %v", seat, made, err)
	}
	if _, _, err := g.Make(t.Context(), Play{ID: "x", User: "ann"}); err != nil {
		t.Error(err)
	}
}

// TestServiceMovesOn: what an app calls what it plays stays with the id that it put into the URLs, whatever station is played by it.
func TestServiceMovesOn(t *testing.T) {
	for _, live := range []session.Live{nil, session.NewMemory(100)} {
		door(t, Options{Live: live, Limits: perUser(1), Tokens: map[string]string{"app": "t"}}, func(r *rig) {
			seat, _, err := r.Make(r.t.Context(), Play{User: "ann", Service: "radio", DeviceType: "car"})
			if err != nil {
				r.t.Fatal(err)
			}
			for _, group := range []string{"kpcc", "news", "kpcc"} {
				app, ok := r.AppSeat(r.t.Context(), seat.Key.ID)
				if !ok {
					r.t.Fatal("the app's session is gone")
				}
				req := &Request{Key: session.Key{ID: seat.Key.ID, Group: group}, Kind: session.HLS, Starts: true, App: &app,
					Listener: session.Listener{Address: netip.MustParseAddr(home), Agent: "A"}}
				r.want(r.Look(req), "")
				r.want(r.Admit(r.t.Context(), req), "")
				time.Sleep(30 * time.Second)
				found, err := r.Find(r.t.Context(), "ann", seat.Key.ID)
				if err != nil || found.Key.Group != group || found.Service != "radio" || found.DeviceType != "car" {
					t.Errorf("%s: %+v, %v", group, found, err)
				}
			}
		})
	}
}
