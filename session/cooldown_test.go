package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"earshot/session"
)

// TestWhoRetriesForEver: two radios of one user, neither of which ever gives up, do not go on throwing each other out, each as soon as it has cooled down.
func TestWhoRetriesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := session.NewMemory(10)
		defer m.Close()
		ask := func(id string) session.Outcome {
			a, err := m.Claim(t.Context(), &session.Claim{
				Seat: session.Seat{Key: session.Key{ID: session.ID(id), Group: "kpcc"}, Owner: id, Uses: []session.Use{{Name: "user=ann", Max: 1}}},
				TTL:  24 * time.Hour, Policy: session.EndOldest, Cooldown: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			return a.Outcome
		}
		if ask("kitchen") != session.Held || ask("car") != session.Held {
			t.Fatal("the newest is not let in")
		}
		for range 600 {
			time.Sleep(10 * time.Second)
			if got := ask("kitchen"); got == session.Held {
				t.Fatal("who retries has thrown the other one out")
			}
		}
		time.Sleep(16 * time.Second) // a person, who presses the button again
		if got := ask("kitchen"); got != session.Held {
			t.Fatalf("who tries again after a while: %v", got)
		}
	})
}
