package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// badAnswer is a way in which an HLS origin fails, and what a player is told.
type badAnswer struct {
	do      act
	status  int
	code    string
	outcome string // of the fetch
}

// badHeads are wrong before there is a body, so that they are the same for playlists and media.
func badHeads(victim *villain) map[string]badAnswer {
	return map[string]badAnswer{
		"500":      {badStatus(500), 502, "origin-answer", "bad-answer"},
		"403":      {badStatus(403), 502, "origin-answer", "bad-answer"},
		"404":      {badStatus(404), 404, "not-found", "not-found"},
		"silent":   {silent, 504, "origin-timeout", "timeout"},
		"hangup":   {says(""), 502, "origin-unreachable", "unreachable"},
		"noise":    {says("\x00\x01\x02 what is HTTP?\r\n\r\n"), 502, "origin-answer", "bad-answer"},
		"hugehead": {says("HTTP/1.1 200 OK\r\nX-Filler: " + strings.Repeat("x", 200_000) + "\r\n\r\n"), 502, "origin-answer", "bad-answer"},
		"loop":     {redirects(func(r *http.Request) string { return r.URL.Path }), 502, "origin-redirect", "redirect"},
		"deeper": {redirects(func(r *http.Request) string { return "x" + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] }),
			502, "origin-redirect", "redirect"},
		"elsewhere": {redirects(func(*http.Request) string { return "http://" + victim.host + "/secret/x.m3u8" }), 502, "origin-redirect", "redirect"},
		"nowhere":   {redirects(func(*http.Request) string { return "file:///etc/passwd" }), 502, "origin-redirect", "redirect"},
	}
}

// badPlaylists are heads that would do before bodies that do not.
var badPlaylists = map[string]badAnswer{
	"html":     {wholeBody("text/html", "<p>sorry</p>"), 502, "origin-answer", "bad-answer"},
	"lying":    {wholeBody(hlsType, "\n <!DOCTYPE html><title>login</title>"), 502, "origin-answer", "bad-answer"},
	"short":    {claims(hlsType, 5000, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"), 502, "origin-answer", "bad-answer"},
	"cut":      {breaksOff(hlsType, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"), 502, "origin-answer", "bad-answer"},
	"notgzip":  {says("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n#EXTM3U\n"), 502, "origin-answer", "bad-answer"},
	"50MB":     {endless("length", 50<<20), 502, "playlist-too-large", "too-large"},
	"chunked":  {endless("chunked", 50<<20), 502, "playlist-too-large", "too-large"},
	"bomb":     {endless("gzip", 50<<20), 502, "playlist-too-large", "too-large"},
	"segments": {wholeBody(hlsType, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"+strings.Repeat("#EXTINF:1,\na\n", 600_000)), 502, "playlist-too-large", "too-large"},
}

// TestBadInputHLSOrigin: an HLS origin does everything wrong that can be done. Players get a clear error each, and who plays another
// origin notices nothing.
func TestBadInputHLSOrigin(t *testing.T) {
	t.Parallel()
	victim := startVillain(t, nil)
	cases := badHeads(victim)
	acts := make(map[string]act)
	for name, c := range cases {
		acts[name] = c.do
	}
	for name, c := range badPlaylists {
		acts[name] = c.do
	}
	g := startGood(t)
	streams := g.streams() + hlsStream("down", "/down/", fmt.Sprintf("http://127.0.0.1:%d/", freePort(t)))
	villains := make(map[string]*villain) // each fault has an origin of its own, which would else answer for the others'
	for name := range acts {
		villains[name] = startVillain(t, acts)
		streams += hlsStream("evil-"+name, "/evil/"+name+"/", "http://"+villains[name].host+"/"+name+"/")
	}
	e := startEdge(t, streams)
	c := startCrowd(t, e)
	todo := make(map[string]func(*testing.T))
	moves := make(map[[2]string]float64) // kind and outcome of fetches
	add := func(folder, kind string, want badAnswer) {
		moves[[2]string{kind, want.outcome}]++
		host := "127.0.0.1"
		if v := villains[path.Base(folder)]; v != nil {
			host = v.host
		}
		todo[folder+" "+kind] = func(t *testing.T) { refusedBy(t, e, folder, kind, host, want) }
	}
	for name, want := range cases {
		add("evil/"+name, "playlist", want)
		add("evil/"+name, "media", want)
	}
	for name, want := range badPlaylists {
		add("evil/"+name, "playlist", want)
	}
	add("down", "playlist", badAnswer{nil, 502, "origin-unreachable", "unreachable"})
	add("down", "media", badAnswer{nil, 502, "origin-unreachable", "unreachable"})
	together(t, todo)
	for m, want := range moves {
		if got := e.value(t, "earshot_origin_fetches_total", `kind="`+m[0]+`"`, `outcome="`+m[1]+`"`); got < want {
			t.Errorf("earshot_origin_fetches_total %v: %v, want %v", m, got, want)
		}
	}
	if asked := victim.targets(); len(asked) > 0 {
		t.Errorf("the edge was led to another host and asked for %q", asked)
	}
	c.undisturbed(t)
	e.unharmed(t, 512<<20)
	for _, v := range villains {
		checkNoAddress(t, e, v.host)
	}
	e.checkMetrics(t)
}

// together runs subtests at the same time, however many the machine has processors for: most of them wait.
func together(t *testing.T, todo map[string]func(*testing.T)) {
	t.Helper()
	var all sync.WaitGroup
	for name, do := range todo {
		all.Go(func() { t.Run(name, do) })
	}
	all.Wait()
}

// refusedBy runs one case.
func refusedBy(t *testing.T, e *edge, folder, kind, host string, want badAnswer) {
	u := e.listen + "/" + folder + "/index.m3u8"
	if kind == "media" {
		u = e.listen + "/" + folder + "/1.ts"
	}
	began := time.Now()
	if want.status != http.StatusOK {
		e.moves(t, 1, func() { wantRefused(t, u, want.status, want.code, host, "127.0.0.1") },
			"earshot_problems_total", `code="`+want.code+`"`)
	} else if res, text, err := askEdge(t, http.MethodGet, u, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%v, %v: %.200s", res.Status, err, text)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("it took %v", took)
	}
}

// checkNoAddress: what operators scrape holds no origin's address either.
func checkNoAddress(t *testing.T, e *edge, host string) {
	t.Helper()
	if text := mustGet(t, e.admin+"/metrics"); strings.Contains(text, host) {
		t.Errorf("/metrics names the origin %s", host)
	}
}

// TestBadInputHLSLength: an origin lies about the length of its segments. Who receives one that is short sees a broken transfer, never a
// short body that looks whole, and what is counted is what he received.
func TestBadInputHLSLength(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789abcdef", 10_000)
	v := startVillain(t, map[string]act{
		"short": claims("video/mp2t", len(body)+50_000, body),
		"cut":   breaksOff("video/mp2t", body),
		"long":  claims("video/mp2t", len(body)-50_000, body),
		"html":  wholeBody("text/html", body),
	})
	g := startGood(t)
	e := startEdge(t, g.streams(), hlsStream("evil", "/evil/", "http://"+v.host+"/"))
	c := startCrowd(t, e)
	cases := map[string]badLength{"short": {true, len(body)}, "cut": {true, len(body)}, "long": {false, len(body) - 50_000},
		"html": {false, len(body)}}
	todo := make(map[string]func(*testing.T))
	for name, want := range cases {
		todo[name] = func(t *testing.T) {
			receiveBad(t, e, name, want)
			e.counts(t, "session-"+name, int64(want.bytes))
		}
	}
	e.moves(t, 2, func() { together(t, todo) }, "earshot_origin_fetches_total", `kind="media"`, `outcome="broken"`)
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
}

// badLength is what becomes of a body whose length is not what its head says.
type badLength struct {
	broken bool
	bytes  int // that arrive
}

// receiveBad fetches a segment, as a session named after the case.
func receiveBad(t *testing.T, e *edge, name string, want badLength) {
	t.Helper()
	res, text, err := askEdge(t, http.MethodGet, e.listen+"/evil/"+name+"/1.ts?X-Playback-Session-Id=session-"+name, nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, text)
	}
	if len(text) != want.bytes {
		t.Errorf("%d bytes received, want %d", len(text), want.bytes)
	}
	if want.broken != (err != nil) {
		t.Errorf("the transfer ends with %v; it is broken: %v", err, want.broken)
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the transfer breaks with %v", err)
	}
}

// counts: the database says that the session received so many bytes, no more and no less.
func (e *edge) counts(t testing.TB, id string, bytes int64) {
	t.Helper()
	db := e.database(t)
	eventually(t, 15*time.Second, "the bytes of "+id, func() error {
		var n int64
		err := db.QueryRow(`SELECT coalesce(sum(bytes), 0) FROM listen_events WHERE session_id = ?`, id).Scan(&n)
		if err == nil && n != bytes {
			err = fmt.Errorf("%d bytes counted, %d received", n, bytes)
		}
		return err
	})
}
