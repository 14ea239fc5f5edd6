package origin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const windowText = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:4,\n%d.ts\n"

// TestOddDirectives: what an origin may read as it likes has no name that others ask by.
func TestOddDirectives(t *testing.T) {
	t.Parallel()
	const u = "http://o.example/x.m3u8"
	for _, s := range [][2]string{
		{"?a=1&_HLS_skip=YES&_HLS_skip=YES", "?a=1"},
		{"?a=1&_HLS_msn=1&_HLS_msn=2", "?a=1"},
		{"?a=1&_HLS_msn=%zz", "?a=1"},
		{"?_HLS_msn=5%26_HLS_part=3", "?_HLS_msn=5&_HLS_part=3"},
		{"?_HLS_msn=5&_HLS_part=3&_HLS_part=3", "?_HLS_msn=5"},
	} {
		if playlistKey(u+s[0]) == playlistKey(u+s[1]) {
			t.Errorf("%s and %s are one thing", s[0], s[1])
		}
	}
	if playlistKey(u+"?_HLS_part=3&a=1&_HLS_msn=5") != playlistKey(u+"?a=1&_HLS_msn=5&_HLS_part=3") {
		t.Error("the order counts")
	}
}

// TestUnawaited: an answer to a blocking reload without what was waited for is kept no longer than another.
func TestUnawaited(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, windowText, 10, 10)
	}, func(t *testing.T, c *Client, o *script) {
		for _, s := range []struct {
			msn int
			ttl time.Duration
		}{{10, 24 * time.Second}, {11, 2 * time.Second}, {9, 24 * time.Second}} {
			_, served, err := c.Playlist(t.Context(), one(fmt.Sprintf("http://o.example/x.m3u8?_HLS_msn=%d", s.msn)))
			if err != nil || served.TTL != s.ttl || served.Came.IsZero() {
				t.Errorf("%d: %v, came %v, %v", s.msn, served.TTL, served.Came, err)
			}
		}
	})
}

// TestListedSince: what was missing before a playlist listed it is asked for again, once.
func TestListedSince(t *testing.T) {
	t.Parallel()
	there := false
	bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if !there {
			http.NotFound(w, nil)
			return
		}
		w.Write([]byte("here"))
	}, func(t *testing.T, c *Client, o *script) {
		early, now := one(thing), one(thing)
		early.Target, now.Target, now.Listed = 6*time.Second, 6*time.Second, func() bool { return true }
		ask(t.Context(), c, http.MethodGet, early)
		for range 3 {
			if g := ask(t.Context(), c, http.MethodGet, now); g.err == nil || o.asked() != 2 {
				t.Fatal(g.err, o.asked())
			}
		}
		after(7 * time.Second)
		ask(t.Context(), c, http.MethodGet, early)
		there = true
		if g := ask(t.Context(), c, http.MethodGet, early); g.err == nil {
			t.Error("it is not remembered")
		}
		if g := ask(t.Context(), c, http.MethodGet, now); g.err != nil || string(g.body) != "here" {
			t.Error(g.err)
		}
	})
}

// TestLongNames: what players make names of counts.
func TestLongNames(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }, func(t *testing.T, c *Client, _ *script) {
		obtain(t, c, thing+"?"+strings.Repeat("x", 40_000))
		if used := c.cache.memory.used.Load(); used < 80_000 {
			t.Errorf("%d bytes are counted", used)
		}
	})
}

// TestPartsOfLarge: one whole answer that is too large to keep does not take the parts from the others.
func TestPartsOfLarge(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("x", 4<<20)))
	}, func(t *testing.T, c *Client, o *script) {
		obtain(t, c, thing) // too large: memory has 16 MiB, there is no disk
		for range 2 {
			obtain(t, c, thing, "Range", "bytes=5-9")
		}
		if o.asked() != 2 {
			t.Errorf("asked %d times", o.asked())
		}
	})
}

// TestOtherOrigins: what one stream's second origin gave, or its redirects led to, is not another stream's that has no such origin, or follows nowhere.
func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "down.example" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, mediaText)
	}, func(t *testing.T, c *Client, _ *script) {
		for _, name := range []string{"/x.ts", "/x.m3u8"} {
			both := Source{URLs: []string{"http://down.example" + name, "http://up.example" + name}}
			alone := Source{URLs: both.URLs[:1]}
			via := Source{URLs: both.URLs, Via: "elsewhere.example"}
			if g := ask(t.Context(), c, http.MethodGet, both); name == "/x.ts" && g.err != nil {
				t.Errorf("%v", g.err)
			}
			if _, _, err := c.Playlist(t.Context(), both); err != nil {
				t.Error(err)
			}
			if _, err := c.Open(t.Context(), http.MethodGet, alone, http.Header{}); err == nil {
				t.Error("another's origin answers")
			}
			if _, _, err := c.Playlist(t.Context(), alone); err == nil {
				t.Error("another's origin answers with a playlist")
			}
			if _, served, err := c.Playlist(t.Context(), via); err != nil || served.Status != Miss {
				t.Errorf("%v, %v", served.Status, err)
			}
		}
	})
}
