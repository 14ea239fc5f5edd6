package e2e

import (
	"fmt"
	"math"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"
	"time"
)

// report is what the page of player.js has to say.
type report struct {
	Requests []request
	Errors   []string
	Waits    []float64 // where playing stood still for want of media, in seconds of media
	Starved  []float64 // where it stood still with media in hand, for want of a processor
	Levels   []int
	Played   float64 // seconds of media
	Wall     float64 // seconds of clock
}

type request struct {
	URL    string
	Status int
	Bytes  int64
}

// playSeconds is what hls.js plays; on the way it changes to the other variant. EARSHOT_LONG=1 has it play for longer.
func playSeconds() float64 {
	if os.Getenv("EARSHOT_LONG") != "" {
		return 20
	}
	return 12
}

// ours are the parameters that stay between the player and the edge.
var ours = []string{"X-Playback-Session-Id", "earshot", "CMCD"}

// testHLS: hls.js in Chromium, and ffmpeg, play a live group through the edge, and the database says what they received. With sid,
// hls.js sends CMCD with that session id.
func testHLS(t *testing.T, kind segmentKind, sid string) {
	dir := t.TempDir()
	startPackager(t, dir, kind)
	origin := startFileServer(t, dir)
	e := startEdge(t, hlsStream("live", "/hls/live/", origin.URL+"/"))
	master := e.listen + "/hls/live/master.m3u8"

	player := startPlayer(t)
	query := url.Values{"src": {master}, "seconds": {fmt.Sprint(playSeconds())}, "sid": {sid}}
	opened := time.Now()
	page := openPage(t, player.URL+"/player.html?"+query.Encode())

	// Meanwhile ffmpeg plays the group, and one variant directly, whose playlist it polls without our parameters.
	ffmpeg := func(u string) func(*testing.T) {
		return func(t *testing.T) {
			run(t, 30*time.Second, "ffmpeg", "-nostdin", "-v", "error", "-i", u, "-t", "8", "-f", "null", "-")
		}
	}
	together(t, map[string]func(*testing.T){"ffmpeg": ffmpeg(master), "ffmpeg, one variant": ffmpeg(e.listen + "/hls/live/lo/index.m3u8")})

	r := waitReport(t, page)
	complain := blames(t, opened, 500*time.Millisecond)
	if r.smooth(t, complain); r.gaveUp(complain) {
		return // who knows what came of those
	}
	page.quiet(t)
	id := r.sessionID(t)
	if sid != "" && id != sid {
		t.Errorf("the session is %q, but CMCD says %q", id, sid)
	}
	unseen(t, origin)
	e.checkMetrics(t)

	events, sessions := e.finalised(t, "live")
	if len(events) != 3 || len(sessions) != 3 {
		complain("%d sessions in listen_events and %d in sessions, want hls.js and ffmpeg twice: %+v, %+v",
			len(events), len(sessions), events, sessions)
		return // who was silent for too long has two
	}
	r.matches(t, origin, byID(t, "listen_events", events, id))
	r.matches(t, origin, byID(t, "sessions", sessions, id))
	if row := byID(t, "sessions", sessions, id); row.rows != 1 {
		t.Errorf("%d rows in sessions, want 1", row.rows)
	}
}

// waitReport waits until the page has played to the end.
func waitReport(t *testing.T, page *browser) report {
	t.Helper()
	var r report
	eventually(t, time.Duration(playSeconds()+60)*time.Second, "hls.js plays", func() error {
		var played struct {
			Done   bool
			Played float64
			Errors []string
		}
		if err := page.eval("({done: report.done, played: report.played, errors: report.errors})", &played); err != nil {
			return err
		}
		if !played.Done {
			return fmt.Errorf("%.1f s played; errors: %q", played.Played, played.Errors)
		}
		return nil
	})
	if err := page.eval("report", &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// smooth: no error, no stall, both variants, and never slower than the clock.
func (r report) smooth(t *testing.T, complain complain) {
	t.Helper()
	for _, err := range r.Errors {
		complain("hls.js: %s", err)
	}
	if len(r.Waits) > 0 {
		complain("hls.js stalls at %v", r.Waits)
	}
	if len(r.Starved) > 0 {
		t.Logf("this machine is too busy to play without a break, at %v", r.Starved)
	} else if r.Played < playSeconds() || r.Wall > r.Played+1 {
		complain("played %.2f s in %.2f s", r.Played, r.Wall)
	}
	played := make(map[int]bool)
	for _, level := range r.Levels {
		played[level] = true
	}
	if len(played) != 2 {
		complain("the variants played were %v, want both", r.Levels)
	}
	for _, q := range r.Requests {
		if q.Status != 200 && q.Status != 0 {
			t.Errorf("status %d for %s", q.Status, q.URL)
		}
	}
}

// gaveUp tells whether hls.js has given up requests, as it does when they take too long.
func (r report) gaveUp(complain complain) (some bool) {
	for _, q := range r.Requests {
		if q.Status == 0 {
			complain("a request was given up after %d bytes", q.Bytes)
			some = true
		}
	}
	return some
}

// sessionID returns the one session id that every request but the first carried. A grant belongs to the playlist that named the
// URI, and is the same on all that it names: the master's on both variants' playlists, a variant's on its segments.
func (r report) sessionID(t *testing.T) string {
	t.Helper()
	ids, grants := make(map[string]int), make(map[string]map[string]bool)
	for n, q := range r.Requests {
		u, err := url.Parse(q.URL)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && strings.HasSuffix(u.Path, "/master.m3u8") {
			continue
		}
		values := u.Query()
		ids[values.Get("X-Playback-Session-Id")]++
		if values.Get("earshot") == "" {
			t.Errorf("no grant on %s", q.URL)
		}
		namedBy := path.Dir(u.Path)
		if strings.HasSuffix(u.Path, ".m3u8") {
			namedBy = "the master"
		}
		if grants[namedBy] == nil {
			grants[namedBy] = make(map[string]bool)
		}
		grants[namedBy][values.Get("earshot")] = true
	}
	if len(ids) != 1 || ids[""] > 0 {
		t.Fatalf("the session ids of the requests are %v, want one", ids)
	}
	for playlist, of := range grants {
		if len(of) != 1 {
			t.Errorf("%d grants on what %s names, want one", len(of), playlist)
		}
	}
	for id := range ids {
		return id
	}
	return ""
}

// unseen: nothing of ours reached the origin.
func unseen(t *testing.T, origin *fileServer) {
	t.Helper()
	asked := origin.asked()
	if len(asked) == 0 {
		t.Error("the origin was asked for nothing")
	}
	for _, u := range asked {
		for _, name := range ours {
			if u.Query().Has(name) {
				t.Errorf("the origin was asked for %s", u.String())
			}
		}
	}
}

func byID(t *testing.T, table string, all []heard, id string) heard {
	t.Helper()
	for _, h := range all {
		if h.id == id {
			return h
		}
	}
	t.Fatalf("%s has no session %q: %+v", table, id, all)
	return heard{}
}

// matches: the edge's books say what the page received. Bytes are exact. Media time counts each moment once, at whatever bitrate and
// however often it came; the variants of this packager are cut at the same frames, so a segment's number says which moment it is.
func (r report) matches(t *testing.T, origin *fileServer, h heard) {
	t.Helper()
	var bytes int64
	moments := make(map[string]float64)
	for _, q := range r.Requests {
		u, err := url.Parse(q.URL)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(u.Path, ".m3u8") {
			continue
		}
		bytes += q.Bytes
		if seconds, isSegment := origin.duration(strings.TrimPrefix(u.Path, "/hls/live")); isSegment {
			moments[path.Base(u.Path)] = seconds
		}
	}
	var seconds float64
	for _, s := range moments {
		seconds += s
	}
	if seconds < playSeconds() {
		t.Errorf("the page received %.3f s in segments that the playlists name, and played %.0f s", seconds, playSeconds())
	}
	if h.kind != "hls" || h.bytes != bytes {
		t.Errorf("%s: %d bytes, and %d at the page", h.kind, h.bytes, bytes)
	}
	if got := float64(h.durationMS) / 1000; math.Abs(got-seconds) > seconds/1000 {
		t.Errorf("%.3f s of media, and %.3f s at the page", got, seconds)
	}
}
