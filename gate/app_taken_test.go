package gate

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"earshot/session"
)

// unlisted is a table that does not list its seats in time.
type unlisted struct{ session.Live }

func (unlisted) Seats(context.Context, string, session.ID, int) ([]session.Seat, error) {
	return nil, session.ErrLive
}

// TestMadeIsNobodyElses: whoever asks for an id that is another user's changes nothing of that one's session, even if it could not be looked up before.
func TestMadeIsNobodyElses(t *testing.T) {
	live := session.NewMemory(100)
	g := New(Options{Table: session.NewTable(100), Live: unlisted{live}})
	home, elsewhere := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.9")
	if _, made, err := g.Make(t.Context(), Play{ID: "hers", User: "ann", Address: home, Agent: "TV"}); err != nil || !made {
		t.Fatal(made, err)
	}
	if _, _, err := g.Make(t.Context(), Play{ID: "hers", User: "bob", Address: elsewhere, Agent: "Thief"}); !errors.Is(err, ErrNotYours) {
		t.Errorf("bob: %v", err)
	}
	seats, err := live.Seats(t.Context(), "", "hers", 10)
	if err != nil || len(seats) != 1 || seats[0].UserID != "ann" || seats[0].Address != home || seats[0].Agent != "TV" {
		t.Errorf("%+v, %v", seats, err)
	}
}
