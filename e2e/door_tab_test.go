package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestDoorSecondTab: two players of one user at one address, with one agent. They look like one who zaps; whoever opens the second hopes that they are
// taken for him for ever. The one who was first plays on, and the second is refused for as long as he does.
func TestDoorSecondTab(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("one")+o.live("two"), doorTokens+doorSeats+"limits: [{per: user, max: 1}]\n")
	for name, c := range map[string]struct {
		second string
		ids    bool // each has an id of its own, and asks for the playlist as it knows it, without the grant that the edge gave
	}{
		"of one channel":           {"/one/", false},
		"of another channel":       {"/two/", false},
		"that polls a URL":         {"/one/", true},
		"of another, that does so": {"/two/", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := token(t, "tabs "+name)
			open := func(path, id string) *doorPlayer {
				p := newDoorPlayer(t, home, "Browser")
				if !c.ids {
					p.begin(d.listen + path + "master.m3u8?token=" + text).plays(t)
					return p
				}
				p.header["X-Playback-Session-Id"] = id + " " + name
				p.media = mustParse(d.listen + path + "hi/index.m3u8?token=" + text)
				return p
			}
			first := open("/one/", "first")
			first.step().plays(t)
			time.Sleep(300 * time.Millisecond)
			first.step().plays(t)
			second := open(c.second, "second")
			began := time.Now()
			since := time.Time{} // that the second is refused each time
			for time.Since(began) < 30*time.Second && (since.IsZero() || time.Since(since) < doorSeatTTL) {
				first.step().plays(t)
				if r := second.step(); r.ok() {
					since = time.Time{}
				} else if r.is(t, http.StatusForbidden, "too-many-sessions"); since.IsZero() {
					since = time.Now()
				}
				time.Sleep(200 * time.Millisecond)
			}
			if since.IsZero() {
				t.Fatal("both play on one seat")
			}
		})
	}
}
