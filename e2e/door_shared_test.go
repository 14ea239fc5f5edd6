package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// Addresses of listeners, as the proxy in front of the edge tells them.
const (
	home  = "192.0.2.10"
	away  = "198.51.100.20"
	home6 = "2001:db8:1::10"
)

// TestDoorSharedURL: an HLS listener hands his URL on, with the id and the grant in it. The attacker hopes that two people play on one seat.
func TestDoorSharedURL(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("user-one")+o.live("user-two")+o.live("house", "auth: none"), doorTokens+doorSeats+
		"limits: [{per: user, group: user-one, max: 1}, {per: user, group: user-two, max: 2}, {per: address, group: house, max: 1}]\n")
	for name, c := range map[string]struct {
		group, address, agent string
		room                  bool
	}{
		// He hopes that the limit of his friend's account is not asked once more, as he shows no token.
		"another address, one per user": {"user-one", away, "Player", false},
		"another agent, one per user":   {"user-one", home, "Thief", false},
		// Where there is room he may play; he hopes not to be counted.
		"another address, two per user": {"user-two", away, "Player", true},
		"another agent, two per user":   {"user-two", home, "Thief", true},
		// He hopes that the seat of the address that the id began at is good for his.
		"another address, one per address": {"house", away, "Player", true},
		"another agent, one per address":   {"house", home, "Thief", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, other := home, c.address
			if c.group == "house" { // which counts by it: each case has its own
				n := len(name)
				address = fmt.Sprintf("192.0.2.%d", n)
				if other = address; c.address == away {
					other = away
				}
			}
			first := newDoorPlayer(t, address, "Player")
			first.start(d.listen + "/" + c.group + "/master.m3u8?token=" + token(t, name)).plays(t)
			id := first.id()
			thief := first.alias(other, c.agent)
			if c.room {
				d.sharedWithRoom(t, first, thief, id)
			} else {
				sharedWithoutRoom(t, first, thief, id)
			}
		})
	}
}

// sharedWithoutRoom: the newcomer is refused, and the one whose session it is never notices.
func sharedWithoutRoom(t *testing.T, first, thief *doorPlayer, id string) {
	var found answered
	for end := time.Now().Add(30 * time.Second); found.status == 0; time.Sleep(150 * time.Millisecond) {
		first.step().plays(t)
		if r := thief.step(); !r.ok() {
			found = r
		}
		if time.Now().After(end) {
			t.Fatal("two play on one seat")
		}
	}
	found.is(t, http.StatusForbidden, "too-many-sessions")
	for range 12 {
		first.step().plays(t)
		thief.step().is(t, http.StatusForbidden, "too-many-sessions")
		time.Sleep(200 * time.Millisecond)
	}
	if first.id() != id {
		t.Errorf("the first is now %q", first.id())
	}
	// He has stopped; the other may have the seat then.
	eventually(t, 4*doorSeatTTL, "the second plays when the first has stopped", func() error {
		if r := thief.step(); !r.ok() {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
}

// sharedWithRoom: the newcomer gets an id of his own in his next playlist, and the books have two listeners.
func (d *gated) sharedWithRoom(t *testing.T, first, thief *doorPlayer, id string) {
	for end := time.Now().Add(30 * time.Second); thief.id() == id; time.Sleep(150 * time.Millisecond) {
		first.step().plays(t)
		thief.step().plays(t)
		if time.Now().After(end) {
			t.Fatal("two play as one")
		}
	}
	own := thief.id()
	for range 12 {
		first.step().plays(t)
		thief.step().plays(t)
		time.Sleep(200 * time.Millisecond)
	}
	if first.id() != id || thief.id() != own || own == "" {
		t.Errorf("the first is %q and was %q; the second is %q and was %q", first.id(), id, thief.id(), own)
	}
	d.waitCredited(t, id, own)
	if seats := d.seats(t, ""); !slices.Contains(seats, id) || !slices.Contains(seats, own) {
		t.Errorf("seats are held by %q; want %q and %q", seats, id, own)
	}
}

// TestDoorSharedRadio: two devices listen to a mount with one id. The attacker hopes that connections of one id are one listener's.
func TestDoorSharedRadio(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	// Connections are looked at six times within seat_ttl, and written to once a second: the looks must not come between the writes.
	d := startDoor(t, o.mount("one")+o.mount("two"), "seat_ttl: 9s\n"+
		"limits: [{per: address, group: one, max: 1}, {per: address, group: two, max: 2}]\n")
	t.Run("without room", func(t *testing.T) {
		t.Parallel()
		ask := radioAsk{url: d.listen + "/one.mp3", address: home, agent: "Radio", header: map[string]string{"X-Playback-Session-Id": "shared"}}
		first := ask.listens(t)
		first.plays(t)
		first.listensFor(t, 10*time.Second) // he has asked for nothing for longer than seat_ttl
		ask.agent = "Thief"
		thief := ask.listens(t)
		if thief.ok() {
			thief.waitCut(t, 40*time.Second, "a second device with the first one's id")
		} else {
			thief.is(t, http.StatusForbidden, "too-many-sessions")
		}
		first.listensFor(t, 2*time.Second)
	})
	t.Run("with room", func(t *testing.T) {
		t.Parallel()
		ask := radioAsk{url: d.listen + "/two.mp3", address: home, agent: "Radio", header: map[string]string{"X-Playback-Session-Id": "roomy"}}
		first := ask.listens(t)
		first.plays(t)
		ask.agent = "Other radio"
		second := ask.listens(t)
		second.plays(t)
		eventually(t, 40*time.Second, "the two have a seat each", func() error {
			n := 0
			for _, id := range d.seats(t, "") {
				if id != "shared" {
					n++
				}
			}
			if n < 2 {
				return fmt.Errorf("%d seats", n)
			}
			return nil
		})
		first.listensFor(t, time.Second)
		second.listensFor(t, time.Second)
		eventually(t, 15*time.Second, "the books have two listeners", func() error {
			var n int
			err := d.database(t).QueryRow(`SELECT count(DISTINCT session_id) FROM listen_events WHERE group_key = 'two' AND bytes > 0`).Scan(&n)
			if err == nil && n != 2 {
				err = fmt.Errorf("%d", n)
			}
			return err
		})
	})
}
