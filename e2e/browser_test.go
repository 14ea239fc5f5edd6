package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"testing"
	"time"
)

// listened is what a page says of an audio element.
type listened struct {
	Errors []string
	Played float64 // seconds
}

// TestPlayers: what people listen with plays through the edge, without an error. It runs before the parallel tests: on a machine that
// they keep busy, a player may stall through no fault of the edge.
func TestPlayers(t *testing.T) {
	for _, test := range []struct {
		name string
		play func(t *testing.T)
	}{
		{"HLS in TS", func(t *testing.T) { testHLS(t, mpegTS, "") }},
		{"HLS in fMP4 with CMCD", func(t *testing.T) { testHLS(t, fmp4, "6e2fb550-c457-11e9-bb97-0800200c9a66") }},
		{"MP3", func(t *testing.T) { testAudioElement(t, mp3) }},
		{"AAC", func(t *testing.T) { testAudioElement(t, aac) }},
		{"demo", testDemo},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.play(t)
		})
	}
}

// testAudioElement: Chromium's own audio element plays a mount.
func testAudioElement(t *testing.T, c codec) {
	_, e := station(t, c)
	player := startPlayer(t)
	page := openPage(t, player.URL+"/audio.html?"+url.Values{"src": {e.listen + c.mount}}.Encode())
	var l listened
	eventually(t, 30*time.Second, "Chromium plays "+c.mount, func() error {
		if err := page.eval("report", &l); err != nil {
			return err
		}
		if l.Played < 6 { // more than the burst holds
			return fmt.Errorf("%.1f s played; errors: %q", l.Played, l.Errors)
		}
		return nil
	})
	if len(l.Errors) > 0 {
		t.Errorf("errors: %q", l.Errors)
	}
	page.quiet(t)
}

// testDemo: the page of `earshot demo` opens, both of its players play, and it counts them.
func testDemo(t *testing.T) {
	e := startDemo(t)
	var address string
	eventually(t, 20*time.Second, "the demo prints its address", func() error {
		address = regexp.MustCompile(regexp.QuoteMeta(e.listen) + `/\S*`).FindString(e.proc.output(t))
		if address == "" {
			return fmt.Errorf("it has printed %q", e.proc.output(t))
		}
		return nil
	})
	page := openPage(t, address)
	players := []string{"icy"}
	var native string
	eventually(t, 30*time.Second, "the demo's page", func() error {
		return page.eval(`document.getElementById('hls').canPlayType('application/vnd.apple.mpegurl')`, &native)
	})
	if native != "" {
		players = append(players, "hls")
	} else {
		t.Log("this Chromium has no HLS of its own: the page offers the mount only")
	}
	for _, id := range players {
		if err := page.eval(fmt.Sprintf(`document.getElementById(%q).play()`, id), nil); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range players {
		eventually(t, 30*time.Second, "the demo's player "+id, func() error {
			var seconds float64
			if err := page.eval(fmt.Sprintf(`document.getElementById(%q).currentTime`, id), &seconds); err != nil {
				return err
			}
			if seconds < 5 {
				return fmt.Errorf("%.1f s played", seconds)
			}
			return nil
		})
	}
	eventually(t, 10*time.Second, "the demo's page counts its listeners", func() error {
		var counts []string
		const cells = `[...document.querySelectorAll('#rows td[data-label=Listeners]')].map(td => td.textContent)`
		if err := page.eval(cells, &counts); err != nil {
			return err
		}
		ones := 0
		for _, c := range counts {
			if c == "1" {
				ones++
			}
		}
		if ones != len(players) {
			return fmt.Errorf("the listeners on the page are %q", counts)
		}
		return nil
	})
	page.quiet(t)
}
