package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// appSession is a session as the app API shows it.
type appSession struct {
	Type, ID   string
	Attributes struct {
		Service    string
		IP4        string `json:"ip4_address"`
		IP6        string `json:"ip6_address"`
		Agent      string `json:"user_agent"`
		DeviceType string `json:"device_type"`
		Started    int64  `json:"play_started_timestamp"`
		Updated    int64  `json:"last_updated_timestamp"`
		Stream     string
		Bytes      int64
		Duration   float64
	}
}

const doorApps = "auth:\n" + doorJWT + "  tokens: {app: " + doorAppKey + "}\n"

func (d *gated) playedBy(t testing.TB, user, bearer string) (all []appSession) {
	t.Helper()
	var doc struct{ Data []appSession }
	d.app(t, http.MethodGet, "/users/"+user+"/media_play_sessions", bearer, nil, http.StatusOK).into(t, &doc)
	return doc.Data
}

// TestDoorApp: an app makes a session, has it played, looks at it, keeps it and stops it; and sees what it did not make.
func TestDoorApp(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorApps+doorSeats+"api_session_ttl: 2s\nlimits: [{per: user, max: 1}]\n")
	of := func(user string) string { return "/users/" + user + "/media_play_sessions" }
	made := func(t *testing.T, user string) string {
		t.Helper()
		answer := d.app(t, http.MethodPost, of(user), doorAppKey, map[string]string{"service": "live", "device_type": "stb"}, http.StatusCreated)
		var doc struct{ Data appSession }
		answer.into(t, &doc)
		if want := d.listen + "/api/v1" + of(user) + "/" + doc.Data.ID; answer.header.Get("Location") != want || doc.Data.Type != "MediaPlaySession" ||
			doc.Data.Attributes.Service != "live" || doc.Data.Attributes.DeviceType != "stb" || doc.Data.Attributes.Started == 0 {
			t.Errorf("made: %s at %s, want %s", answer.text, answer.header.Get("Location"), want)
		}
		return doc.Data.ID
	}
	play := func(t *testing.T, user, id string) *doorPlayer {
		t.Helper()
		p := newDoorPlayer(t, home, "Set-top")
		p.start(withParams(d.listen+"/news/master.m3u8", "X-Playback-Session-Id", id, "token", token(t, user))).plays(t)
		if p.id() != id {
			t.Errorf("the app's session is %q, and %q plays", id, p.id())
		}
		return p
	}

	t.Run("made and played", func(t *testing.T) {
		t.Parallel()
		id := made(t, "amy")
		full := d.app(t, http.MethodPost, of("amy"), doorAppKey, map[string]string{"service": "live"}, http.StatusForbidden)
		if !strings.Contains(full.text, "Too many sessions") {
			t.Errorf("the refusal says %s", full.text)
		}
		p := play(t, "amy", id)
		if seats := d.seats(t, "amy"); len(seats) != 1 || seats[0] != id {
			t.Errorf("the seats are %q, want one: %q", seats, id)
		}
		for range 10 {
			p.step().plays(t)
			time.Sleep(200 * time.Millisecond)
		}
		all := d.playedBy(t, "amy", doorAppKey)
		if len(all) != 1 {
			t.Fatalf("the app sees %+v", all)
		}
		if a := all[0].Attributes; all[0].ID != id || a.Service != "live" || a.Stream != "news" || a.DeviceType != "stb" || a.IP4 != home ||
			a.Agent != "Set-top" || a.Bytes < goodBytes || a.Duration <= 0 || a.Updated < a.Started {
			t.Errorf("the app sees %+v", all[0])
		}
		// The app's Stop: there is room for another, and nothing is denied to whoever plays on, where there is.
		d.app(t, http.MethodDelete, of("amy")+"/"+id, doorAppKey, nil, http.StatusNoContent)
		if all := d.playedBy(t, "amy", doorAppKey); len(all) != 0 {
			t.Errorf("after the end the app sees %+v", all)
		}
		play(t, "amy", made(t, "amy"))
	})
	t.Run("kept alive", func(t *testing.T) {
		t.Parallel()
		id := made(t, "bea")
		for range 8 { // twice its time to live
			time.Sleep(500 * time.Millisecond)
			d.app(t, http.MethodPatch, of("bea")+"/"+id, doorAppKey, map[string]string{"user_agent": "Set-top/2"}, http.StatusOK)
		}
		var doc struct{ Data appSession }
		d.app(t, http.MethodGet, of("bea")+"/"+id, doorAppKey, nil, http.StatusOK).into(t, &doc)
		if doc.Data.Attributes.Agent != "Set-top/2" {
			t.Errorf("it is %+v", doc.Data)
		}
		// And then it is not.
		eventually(t, 15*time.Second, "who is not seen is cleaned up", func() error {
			if all := d.playedBy(t, "bea", doorAppKey); len(all) > 0 {
				return fmt.Errorf("%+v", all)
			}
			return nil
		})
		d.app(t, http.MethodPatch, of("bea")+"/"+id, doorAppKey, nil, http.StatusNotFound)
		made(t, "bea")
	})
	t.Run("of real traffic", func(t *testing.T) {
		t.Parallel()
		p := newDoorPlayer(t, home6, "Player")
		p.start(d.listen + "/news/master.m3u8?token=" + token(t, "cleo")).plays(t)
		all := d.playedBy(t, "cleo", token(t, "cleo")) // with a token of her own
		if len(all) != 1 || all[0].ID != p.id() || all[0].Attributes.Stream != "news" || all[0].Attributes.IP6 != home6 {
			t.Fatalf("she sees %+v, and plays %q", all, p.id())
		}
		d.app(t, http.MethodGet, of("cleo"), token(t, "curious"), nil, http.StatusForbidden)
		d.app(t, http.MethodDelete, of("cleo")+"/"+p.id(), token(t, "curious"), nil, http.StatusForbidden)
		d.app(t, http.MethodDelete, "/media_play_sessions/"+p.id(), token(t, "curious"), nil, http.StatusNotFound)
		d.app(t, http.MethodGet, of("cleo"), "", nil, http.StatusUnauthorized)
		p.step().plays(t)
		d.app(t, http.MethodDelete, "/media_play_sessions/"+p.id(), token(t, "cleo"), nil, http.StatusNoContent)
		p.step().is(t, http.StatusGone, "ended") // the edge saw it: that is an end
		d.app(t, http.MethodGet, of("cleo")+"/"+p.id(), doorAppKey, nil, http.StatusGone)
	})
	t.Run("of a radio", func(t *testing.T) {
		t.Parallel()
		l := radioAsk{url: d.listen + "/radio.mp3?token=" + token(t, "dora"), address: home, agent: "Radio"}.listens(t)
		l.plays(t)
		l.listensFor(t, 2*time.Second)
		all := d.playedBy(t, "dora", doorAppKey)
		if len(all) != 1 || all[0].Attributes.Stream != "radio" || all[0].Attributes.Bytes == 0 {
			t.Fatalf("the app sees %+v", all)
		}
		d.app(t, http.MethodPost, of("dora"), doorAppKey, map[string]string{"service": "live"}, http.StatusForbidden)
		d.app(t, http.MethodDelete, of("dora")+"/"+all[0].ID, doorAppKey, nil, http.StatusNoContent)
		l.waitCut(t, 10*time.Second, "a radio that the app ended")
	})
	t.Run("released while it plays", func(t *testing.T) {
		t.Parallel()
		id := made(t, "eve")
		p := play(t, "eve", id)
		d.app(t, http.MethodDelete, of("eve")+"/"+id, doorAppKey, nil, http.StatusNoContent)
		p.step().plays(t) // nothing is denied: there is room
		if seats := d.seats(t, "eve"); len(seats) != 1 {
			t.Errorf("he plays on, and the seats are %q", seats)
		}
	})
}
