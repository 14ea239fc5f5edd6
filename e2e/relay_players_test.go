package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// TestRelayPlayers: what people listen to radio with plays every format through the edge, without an error.
func TestRelayPlayers(t *testing.T) {
	t.Parallel()
	w, e := startFormats(t)
	d := formatTime()
	todo := map[string]func(*testing.T){"Chromium": func(t *testing.T) { playChromium(t, e, d*3/4) }}
	for n := range formats {
		f := &formats[n]
		url := e.listen + f.mount
		players := map[string]func() error{
			"ffmpeg": func() error { return playFFmpeg(t, url, d) },
			"VLC":    func() error { return playVLC(t, url, d, f.rate) },
			"curl":   func() error { return playCurl(t, url, d, f) },
		}
		if f.mpg123 {
			players["mpg123"] = func() error { return playMPG123(t, url, d, f) }
		}
		for name, play := range players {
			todo[name+" "+f.key()] = func(t *testing.T) {
				if err := play(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	together(t, todo)
	for n := range formats {
		w.waitListeners(t, 20*time.Second, formats[n].mount, 1)
	}
}

// inChromium is what became of an audio element.
type inChromium struct {
	URL    string
	Error  string
	Played float64 // seconds, since it began
	Waits  int     // that it stood still for want of media, since then
}

// A page without a player of its own: an audio element for each mount. One that has played for long enough is emptied: Chromium has no more
// than six connections to a server, and the seventh waits.
const chromiumPlays = `((urls, enough) => { window.all = urls.map(url => {
	const audio = new Audio(url), r = {url, error: '', played: 0, waits: 0};
	let began = -1, done = false;
	audio.onerror = () => { if (!done) { r.error = audio.error.message; } };
	audio.onplaying = () => { if (began < 0) { began = audio.currentTime; } };
	audio.onwaiting = () => { if (began >= 0 && !done) { r.waits++; } };
	audio.ontimeupdate = () => {
		if (began < 0 || done) { return; }
		r.played = audio.currentTime - began;
		if (r.played >= enough) { done = true; audio.pause(); audio.removeAttribute('src'); audio.load(); }
	};
	audio.play().catch(e => { if (!done) { r.error = r.error || String(e); } });
	return r;
}); })(%s, %v)`

// playChromium has the browser's own player play all mounts, as many at once as it will.
func playChromium(t *testing.T, e *outpost, d time.Duration) {
	var urls []string
	for n := range formats {
		urls = append(urls, e.listen+formats[n].mount)
	}
	list, err := json.Marshal(urls)
	if err != nil {
		t.Fatal(err)
	}
	// A page of loopback: one from nowhere may not ask there.
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!DOCTYPE html><title>Radios</title><link rel="icon" href="data:,">`)
	}))
	defer site.Close()
	page := openPage(t, site.URL)
	eventually(t, 10*time.Second, "the page", func() error {
		var title string
		if err := page.eval("document.title", &title); err != nil || title != "Radios" {
			return fmt.Errorf("%q, %w", title, errOrNone(err))
		}
		return nil
	})
	if err := page.eval(fmt.Sprintf(chromiumPlays, list, d.Seconds()), nil); err != nil {
		t.Fatal(err)
	}
	var all []inChromium
	eventually(t, 2*d+40*time.Second, "Chromium plays every format", func() error {
		if err := page.eval("window.all", &all); err != nil {
			return err
		}
		if at := slices.IndexFunc(all, func(p inChromium) bool { return p.Error != "" }); at >= 0 {
			t.Fatalf("%+v", all[at])
		}
		if at := slices.IndexFunc(all, func(p inChromium) bool { return p.Played < d.Seconds() }); at >= 0 {
			return fmt.Errorf("%+v", all[at])
		}
		return nil
	})
	for _, p := range all {
		if p.Waits > 0 {
			t.Logf("%s: %d waits", p.URL, p.Waits)
		}
	}
	page.quiet(t)
}
