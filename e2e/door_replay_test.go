package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestDoorKicked: an operator ends sessions. Whoever was ended hopes that something of what he was given still holds.
func TestDoorKicked(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorTokens+doorSeats)
	ann := token(t, "ann")
	newDoorPlayer(t, away, "First").start(d.listen + "/news/master.m3u8?token=" + token(t, "first")).plays(t)
	p := newDoorPlayer(t, home, "Player")
	p.start(d.listen + "/news/master.m3u8?token=" + ann).plays(t)
	id, grant := p.id(), p.grant()
	radio := radioAsk{url: withParams(d.listen+"/radio.mp3", "token", ann), address: home, agent: "Radio",
		header: map[string]string{"X-Playback-Session-Id": "my-radio"}}
	l := radio.listens(t)
	l.plays(t)
	bystander := newDoorPlayer(t, home, "Player") // the same in all but his session
	bystander.start(d.listen + "/news/master.m3u8?token=" + ann).plays(t)

	d.kick(t, id)
	d.kick(t, "my-radio")
	l.waitCut(t, 10*time.Second, "a kicked radio")

	tries := func(t *testing.T) {
		t.Helper()
		header := func(name, value string) *doorPlayer {
			q := newDoorPlayer(t, home, "Player")
			q.header[name] = value
			return q
		}
		p.ask(p.media.String()).is(t, http.StatusGone, "ended")                     // where he was
		p.ask(p.last[len(p.last)-1].String()).is(t, http.StatusGone, "ended")       // what he was to hear next
		p.ask(d.grantedTo("/news/master.m3u8", id, grant)).is(t, 410, "ended")      // another path
		p.ask(d.grantedTo("/news/hi/2.ts", id, grant)).is(t, 410, "ended")          // any segment
		p.alias(away, "Else").ask(p.media.String()).is(t, 410, "ended")             // from elsewhere
		named := d.listen + "/news/master.m3u8?token=" + ann                        // his token still holds, and he names his session:
		header("X-Playback-Session-Id", id).ask(named).is(t, 410, "ended")          // in a header
		header("CMCD-Session", `sid="`+id+`"`).ask(named).is(t, 410, "ended")       // as CMCD does
		p.ask(withParams(named, "X-Playback-Session-Id", id)).is(t, 410, "ended")   // in the query
		radio.listens(t).is(t, http.StatusGone, "ended")                            // and on the mount
		bystander.step().plays(t)                                                   // nobody else notices
		newDoorPlayer(t, home, "Player").start(named).plays(t)                      // and he may begin again: he was not banned
		fresh := radioAsk{url: radio.url, address: home, agent: "Radio"}.listens(t) // there, too
		fresh.plays(t)
		fresh.leave()
	}
	tries(t)
	d.restart(t) // he hopes that the edge forgets
	tries(t)
}

// grantedTo is a URL that shows an id and a grant.
func (d *gated) grantedTo(path, id, grant string) string {
	return withParams(d.listen+path, "X-Playback-Session-Id", id, "earshot", grant)
}

// TestDoorBanned: who is banned hopes to come back as if he were another, after a while, or after a restart.
func TestDoorBanned(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.live("open", "auth: none")+o.mount("radio", "auth: none"), doorTokens+doorSeats)

	// A user: on whatever device.
	ann, bob := token(t, "ann"), token(t, "bob")
	user, other := newDoorPlayer(t, home, "Player"), newDoorPlayer(t, home, "Player")
	user.start(d.listen + "/news/master.m3u8?token=" + ann).plays(t)
	other.start(d.listen + "/news/master.m3u8?token=" + bob).plays(t)
	// And who has no user: by address and agent.
	nobody, neighbour := newDoorPlayer(t, away, "Pirate"), newDoorPlayer(t, away, "Player")
	nobody.start(d.listen + "/open/master.m3u8").plays(t)
	neighbour.start(d.listen + "/open/master.m3u8").plays(t)
	pirate := radioAsk{url: d.listen + "/radio.mp3", address: away, agent: "Pirate"}
	honest := radioAsk{url: d.listen + "/radio.mp3", address: away, agent: "Player"}
	cut, kept := pirate.listens(t), honest.listens(t)

	d.operate(t, http.MethodPost, "/bans", map[string]string{"user": "ann", "for": "1h"}, http.StatusCreated)
	d.operate(t, http.MethodPost, "/bans", map[string]string{"session": nobody.id(), "for": "1h"}, http.StatusCreated)
	cut.waitCut(t, 10*time.Second, "a banned radio")

	tries := func(t *testing.T) {
		t.Helper()
		user.ask(user.media.String()).is(t, http.StatusForbidden, "banned")
		user.segment().is(t, http.StatusForbidden, "banned")
		user.ask(d.listen+"/news/master.m3u8?token="+ann).is(t, 403, "banned") // a master reload begins anew
		elsewhere := newDoorPlayer(t, "203.0.113.5", "Another phone")
		elsewhere.ask(d.listen+"/news/master.m3u8?token="+ann).is(t, 403, "banned")
		nobody.step().is(t, http.StatusForbidden, "banned")
		nobody.ask(d.listen+"/open/master.m3u8").is(t, 403, "banned")
		pirate.listens(t).is(t, http.StatusForbidden, "banned")

		other.step().plays(t)
		other.start(d.listen + "/news/master.m3u8?token=" + bob).plays(t)
		neighbour.step().plays(t)
		neighbour.start(d.listen + "/open/master.m3u8").plays(t)
	}
	tries(t)
	kept.listensFor(t, time.Second)
	d.restart(t)
	tries(t)
	again := honest.listens(t)
	again.plays(t)
	again.listensFor(t, time.Second)

	var page struct {
		Bans []struct{ ID string }
	}
	d.operate(t, http.MethodGet, "/bans", nil, http.StatusOK).into(t, &page)
	if len(page.Bans) != 2 {
		t.Fatalf("%d bans, want 2", len(page.Bans))
	}
	for _, b := range page.Bans {
		d.operate(t, http.MethodDelete, "/bans/"+b.ID, nil, http.StatusNoContent)
	}
	newDoorPlayer(t, home, "Player").start(d.listen + "/news/master.m3u8?token=" + ann).plays(t)
	newDoorPlayer(t, away, "Pirate").start(d.listen + "/open/master.m3u8").plays(t)
}

// TestDoorShortBan: a ban ends when it was said to.
func TestDoorShortBan(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news"), doorTokens+doorSeats)
	u := d.listen + "/news/master.m3u8?token=" + token(t, "ann")
	d.operate(t, http.MethodPost, "/bans", map[string]string{"user": "ann", "for": "4s", "reason": "calm down"}, http.StatusCreated)
	p := newDoorPlayer(t, home, "Player")
	if r := p.ask(u).is(t, http.StatusForbidden, "banned"); r.Detail != "calm down" {
		t.Errorf("the reason is %q", r.Detail)
	}
	eventually(t, 20*time.Second, "the ban ends", func() error {
		_, err := get(u)
		return err
	})
}
