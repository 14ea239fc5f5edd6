package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// head is how each odd playlist begins, and what follows it is one segment at the least.
const oddHead = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"

// oddPlaylists are strange and within bounds: they pass, byte for byte but for what the edge adds.
var oddPlaylists = map[string]string{
	"tags":      oddHead + strings.Repeat("#EXT-Q\n", 1_000_000) + "#EXTINF:4,\n1.ts\n",
	"line":      oddHead + "#EXTINF:4,\n" + strings.Repeat("a", 2<<20) + ".ts\n",
	"tagline":   oddHead + "#EXT-X-DATERANGE:ID=\"" + strings.Repeat("b", 2<<20) + "\"\n#EXTINF:4,\n1.ts\n",
	"nuls":      oddHead + "#EXT\x00INF:4\x00,\n\x00\x00\n#EXTINF:4,\n1\x00.ts\n#\x00\n#EXTINF:4,\n2.ts\n",
	"binary":    oddHead + "#EXTINF:4,\n\xff\xfe\x80.ts\n#EXTINF:\xff,\n2.ts\n",
	"returns":   "#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n\r\n\r#EXTINF:4,\r\n1.ts",
	"numbers":   "#EXTM3U\n#EXT-X-TARGETDURATION:99999999999999999999\n#EXT-X-MEDIA-SEQUENCE:-9223372036854775809\n#EXTINF:1e999,\n1.ts\n#EXTINF:NaN,\n2.ts\n",
	"variables": oddHead + "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$a}{$a}\"\n#EXTINF:4,\n{$a}{$b}.ts\n#EXTINF:4,\n1.ts\n",
	"nothing":   "#EXTM3U",
}

// added is what the edge adds to a URI.
var added = regexp.MustCompile(`[?&]X-Playback-Session-Id=[^&\s]*&earshot=[\w-]*`)

// TestBadInputOddPlaylists: what is strange and within bounds comes through as it is.
func TestBadInputOddPlaylists(t *testing.T) {
	t.Parallel()
	acts := make(map[string]act)
	for name, text := range oddPlaylists {
		acts[name] = wholeBody(hlsType, text)
	}
	v := startVillain(t, acts)
	g := startGood(t)
	e := startEdge(t, g.streams(), hlsStream("evil", "/evil/", "http://"+v.host+"/"))
	c := startCrowd(t, e)
	todo := make(map[string]func(*testing.T))
	for name, want := range oddPlaylists {
		todo[name] = func(t *testing.T) {
			res, text, err := askEdge(t, http.MethodGet, e.listen+"/evil/"+name+"/index.m3u8", nil)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s, %v: %.300s", res.Status, err, text)
			}
			if name != "nothing" && !added.MatchString(text) {
				t.Error("nothing was added to any URI")
			}
			if got := added.ReplaceAllString(text, ""); got != want {
				t.Errorf("%d bytes, and %d at the origin: %.200q", len(got), len(want), got)
			}
		}
	}
	together(t, todo)
	c.undisturbed(t)
	e.unharmed(t, 256<<20)
}

// TestBadInputPlaylistFlood: fifty playlists of 50 MB at once, in every encoding, and sixteen that are as large as they may be. The edge's
// memory does not follow.
func TestBadInputPlaylistFlood(t *testing.T) {
	t.Parallel()
	const atOnce, large = 50, 16
	largest := oddHead + strings.Repeat("#EXTINF:4,\n"+strings.Repeat("x", 200)+".ts\n", 38_000)
	v := startVillain(t, map[string]act{
		"length": endless("length", 50<<20), "chunked": endless("chunked", 50<<20), "gzip": endless("gzip", 50<<20),
		"largest": wholeBody(hlsType, largest),
	})
	g := startGood(t)
	e := startEdge(t, g.streams(), hlsStream("evil", "/evil/", "http://"+v.host+"/"))
	c := startCrowd(t, e)
	for _, kind := range []string{"length", "chunked", "gzip"} {
		e.moves(t, atOnce, func() {
			atOneTime(atOnce, func(n int) {
				wantRefused(t, fmt.Sprintf("%s/evil/%s/%d.m3u8?X-Playback-Session-Id=x", e.listen, kind, n), 502, "playlist-too-large", v.host)
			})
		}, "earshot_origin_fetches_total", `kind="playlist"`, `outcome="too-large"`)
	}
	_, after50MB := e.memory(t)
	t.Logf("after 150 playlists of 50 MB, 50 at once: at most %d MiB resident", after50MB>>20)
	atOneTime(large, func(n int) {
		size, err := drainBody(fmt.Sprintf("%s/evil/largest/%d.m3u8?X-Playback-Session-Id=x", e.listen, n))
		if err != nil || size < int64(len(largest)) {
			t.Errorf("%d bytes of a large playlist: %v", size, err)
		}
	})
	c.undisturbed(t)
	e.unharmed(t, 1024<<20)
}

// drainBody reads the body of a 200 answer without keeping it, and returns its length.
func drainBody(u string) (int64, error) {
	res, err := slowClient.Get(u)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	return io.Copy(io.Discard, res.Body)
}

// atOneTime runs do n times, all at once.
func atOneTime(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
