package gate

import (
	"context"
	"errors"
	"testing"

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
