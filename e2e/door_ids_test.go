package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestDoorGuessedIDs: an id names a session and proves nothing. Who guesses one, or has seen it, hopes that it does.
func TestDoorGuessedIDs(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorTokens+"  tokens: {app: '"+doorAppKey+"'}\n"+doorSeats+"limits: [{per: user, max: 1}]\n")
	named := func(path, id string) string { return withParams(d.listen+path, "X-Playback-Session-Id", id) }

	t.Run("of nobody", func(t *testing.T) { // he hopes that an id is enough
		t.Parallel()
		p := newDoorPlayer(t, away, "Thief")
		for _, path := range []string{"/news/master.m3u8", "/news/hi/index.m3u8", "/news/hi/1.ts", "/radio.mp3"} {
			p.ask(named(path, "guessed")).is(t, http.StatusUnauthorized, "token-required")
		}
		p.start(withParams(named("/news/master.m3u8", "guessed"), "token", token(t, "guesser"))).plays(t)
		if p.id() != "guessed" {
			t.Errorf("the session is %q: a client may choose its id", p.id())
		}
	})
	t.Run("of a listener", func(t *testing.T) { // he hopes to be taken for his victim, on his victim's seat
		t.Parallel()
		victim := newDoorPlayer(t, home, "Player")
		victim.start(d.listen + "/news/master.m3u8?token=" + token(t, "victim")).plays(t)
		id := victim.id()
		bare := newDoorPlayer(t, home, "Player") // without anything: he looks like his victim, too
		for _, path := range []string{"/news/master.m3u8", "/news/hi/index.m3u8", "/news/hi/1.ts"} {
			bare.ask(named(path, id)).is(t, http.StatusUnauthorized, "token-required")
		}
		thief := newDoorPlayer(t, home, "Player")
		thief.start(withParams(named("/news/master.m3u8", id), "token", token(t, "thief"))).plays(t)
		if thief.id() == id || thief.id() == "" {
			t.Errorf("the thief's session is %q, his victim's %q", thief.id(), id)
		}
		for range 10 {
			victim.step().plays(t)
			thief.step().plays(t)
			time.Sleep(100 * time.Millisecond)
		}
		if victim.id() != id {
			t.Errorf("the victim's session is now %q", victim.id())
		}
		for user, own := range map[string]string{"victim": id, "thief": thief.id()} {
			if seats := d.seats(t, user); len(seats) != 1 || seats[0] != own {
				t.Errorf("%s has the seats %q, want %q", user, seats, own)
			}
		}
	})
	t.Run("of a radio", func(t *testing.T) { // he hopes that one connection of an id speaks for the next
		t.Parallel()
		victim := radioAsk{url: d.listen + "/radio.mp3?token=" + token(t, "listener"), address: home, agent: "Radio",
			header: map[string]string{"X-Playback-Session-Id": "kitchen"}}
		l := victim.listens(t)
		l.plays(t)
		thief := victim
		thief.url = d.listen + "/radio.mp3"
		thief.listens(t).is(t, http.StatusUnauthorized, "token-required")
		thief.url = d.listen + "/radio.mp3?token=" + token(t, "eavesdropper")
		k := thief.listens(t)
		k.plays(t)
		k.listensFor(t, doorSeatTTL)
		l.listensFor(t, 0)
		for _, user := range []string{"listener", "eavesdropper"} {
			if seats := d.seats(t, user); len(seats) != 1 || (seats[0] == "kitchen") != (user == "listener") {
				t.Errorf("%s has the seats %q", user, seats)
			}
		}
	})
	t.Run("of an app", func(t *testing.T) { // he hopes for the seat that an app keeps for another
		t.Parallel()
		d.app(t, http.MethodPut, "/users/owner/media_play_sessions/tv-42", doorAppKey, map[string]string{"service": "live"}, http.StatusCreated)
		thief := newDoorPlayer(t, home, "Player")
		thief.ask(named("/news/master.m3u8", "tv-42")).is(t, http.StatusUnauthorized, "token-required")
		thief.start(withParams(named("/news/master.m3u8", "tv-42"), "token", token(t, "burglar"))).plays(t)
		if thief.id() == "tv-42" {
			t.Error("the thief has the app's session")
		}
		owner := newDoorPlayer(t, home, "Player")
		owner.start(withParams(named("/news/master.m3u8", "tv-42"), "token", token(t, "owner"))).plays(t)
		if seats := d.seats(t, "owner"); owner.id() != "tv-42" || len(seats) != 1 {
			t.Errorf("the owner's session is %q, and he has the seats %q", owner.id(), seats)
		}
	})
}

// TestDoorForwarded: a listener writes another address into X-Forwarded-For. Where his own is not a proxy that is trusted he hopes that somebody
// believes him.
func TestDoorForwarded(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	for name, trusted := range map[string]string{"nobody is trusted": "[]", "another is trusted": "[10.0.0.0/8]"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDoor(t, o.live("limited")+o.live("hidden")+o.live("shown")+o.live("free")+o.mount("radio"), "trusted_proxies: "+trusted+"\n"+doorSeats+
				"limits: [{per: address, group: limited, max: 1}, {per: address, group: radio, max: 1}]\n"+
				"blackouts: [{id: here, streams: [hidden], where: {network: 127.0.0.0/8}}, {id: there, streams: [shown], where: {network: 198.51.100.0/24}}]\n")
			// He hopes for a seat per address that he can think of.
			first := newDoorPlayer(t, home, "Player")
			first.start(d.listen + "/limited/master.m3u8").plays(t)
			newDoorPlayer(t, away, "Other").start(d.listen+"/limited/master.m3u8").is(t, http.StatusForbidden, "too-many-sessions")
			l := radioAsk{url: d.listen + "/radio.mp3", address: home, agent: "Radio"}.listens(t)
			l.plays(t)
			radioAsk{url: d.listen + "/radio.mp3", address: away, agent: "Other"}.listens(t).is(t, http.StatusForbidden, "too-many-sessions")
			// He hopes to be where he is not hidden from; and that others' words hide nothing from him.
			r := newDoorPlayer(t, away, "Player").start(d.listen+"/hidden/master.m3u8").is(t, http.StatusForbidden, "blackout")
			if r.Rule != "here" {
				t.Errorf("the rule is %q", r.Rule)
			}
			newDoorPlayer(t, away, "Player").start(d.listen + "/shown/master.m3u8").plays(t)
			// He hopes to leave his ban behind.
			pirate := newDoorPlayer(t, home, "Pirate")
			pirate.start(d.listen + "/free/master.m3u8").plays(t)
			var ban struct{ Address string }
			d.operate(t, http.MethodPost, "/bans", map[string]string{"session": pirate.id(), "for": "1h"}, http.StatusCreated).into(t, &ban)
			if ban.Address != "127.0.0.1" {
				t.Errorf("the ban is on %q", ban.Address)
			}
			newDoorPlayer(t, away, "Pirate").start(d.listen+"/free/master.m3u8").is(t, http.StatusForbidden, "banned")
		})
	}
}
