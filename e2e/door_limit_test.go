package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestDoorChoose: a refusal lists what plays, and a retry names what is to end for it.
func TestDoorChoose(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorTokens+doorSeats+"limits: [{per: user, max: 1}]\non_limit: choose\n")
	for _, by := range []string{"header", "query", "radio"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			user := "chooser by " + by
			text := token(t, user)
			tv := newDoorPlayer(t, home, "TV")
			tv.start(d.listen + "/news/master.m3u8?token=" + text).plays(t)
			id := tv.id()
			phone := newDoorPlayer(t, away, "Phone")
			master := d.listen + "/news/master.m3u8?token=" + text
			refused := phone.ask(master).is(t, http.StatusConflict, "choose")
			if len(refused.Conflicts) != 1 || refused.Conflicts[0].Code == "" || refused.Conflicts[0].Stream != "news" {
				t.Fatalf("the conflicts are %+v", refused.Conflicts)
			}
			code := refused.Conflicts[0].Code
			// Others' codes, and made-up ones, end nothing.
			other := newDoorPlayer(t, "203.0.113.1", "TV")
			otherToken := token(t, "other "+by)
			other.start(d.listen + "/news/master.m3u8?token=" + otherToken).plays(t)
			thief := newDoorPlayer(t, "203.0.113.2", "Phone")
			thief.header["X-Terminate"] = code + ", AAAA, " + flipped(t, code, 9)
			thief.ask(d.listen+"/news/master.m3u8?token="+otherToken).is(t, http.StatusConflict, "choose")
			phone.header["X-Terminate"] = flipped(t, code, 9)
			phone.ask(master).is(t, http.StatusConflict, "choose")
			delete(phone.header, "X-Terminate")
			tv.step().plays(t)
			other.step().plays(t)

			switch by {
			case "header":
				phone.header["X-Terminate"] = code
				phone.start(master).plays(t)
				delete(phone.header, "X-Terminate")
			case "query":
				phone.start(withParams(master, "terminate", code)).plays(t)
			case "radio":
				l := radioAsk{url: d.listen + "/radio.mp3?token=" + text, address: away, agent: "Phone", header: map[string]string{"X-Terminate": code}}.listens(t)
				l.plays(t)
				tv.step().is(t, http.StatusGone, "ended")
				l.listensFor(t, time.Second)
				return
			}
			tv.step().is(t, http.StatusGone, "ended")
			phone.step().plays(t)
			if seats := d.seats(t, user); len(seats) != 1 || seats[0] == id {
				t.Errorf("the seats are %q", seats)
			}
			other.step().plays(t)
		})
	}
}

// TestDoorEndOldest: the newest gets in, and the oldest is ended. Two devices that begin again by themselves do not end each other for ever.
func TestDoorEndOldest(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorTokens+doorBrief+"limits: [{per: user, max: 1}]\non_limit: end-oldest\n")
	t.Run("newest", func(t *testing.T) {
		t.Parallel()
		text := token(t, "mover")
		l := radioAsk{url: d.listen + "/radio.mp3?token=" + text, address: home, agent: "Kitchen"}.listens(t)
		l.plays(t)
		p := newDoorPlayer(t, away, "Phone")
		p.start(d.listen + "/news/master.m3u8?token=" + text).plays(t)
		l.waitCut(t, 10*time.Second, "the oldest")
		p.step().plays(t)
	})
	t.Run("no loop", func(t *testing.T) {
		t.Parallel()
		master := d.listen + "/news/master.m3u8?token=" + token(t, "stubborn")
		devices := []*doorPlayer{newDoorPlayer(t, home, "TV"), newDoorPlayer(t, away, "Tablet")}
		devices[0].start(master).plays(t)
		ended, refused := 0, 0
		const rounds = 3
		for end := time.Now().Add(rounds * briefTTL); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			for _, p := range devices {
				var r answered
				if p.media == nil {
					r = p.start(master) // it begins again, by itself
				} else {
					r = p.step()
				}
				switch {
				case r.ok():
				case r.status == http.StatusGone:
					ended++
					p.media = nil
				default:
					r.is(t, http.StatusForbidden, "too-many-sessions")
					refused++
					p.media = nil
				}
			}
		}
		// Once a cool-down, at most; without one it would be ten times a second.
		if ended == 0 || ended > rounds+1 || refused == 0 {
			t.Errorf("%d sessions were ended for another, and %d requests refused", ended, refused)
		}
	})
}
