package origin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestKeys: what is one thing and what are two.
func TestKeys(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, mediaText+"# "+r.URL.String()) }, func(t *testing.T, c *Client, o *script) {
		for i, row := range []struct {
			url string
			new bool
		}{
			{"/x.m3u8", true}, {"/x.m3u8", false}, {"/x.m3u8?a=1", true}, {"/x.m3u8?a=2", true}, {"/y.m3u8", true},
			{"/x.m3u8?_HLS_msn=3&_HLS_part=1", true}, {"/x.m3u8?_HLS_part=1&_HLS_msn=3", false}, {"/x.m3u8?_HLS_msn=3&_HLS_part=2", true},
			{"/x.m3u8?_HLS_msn=3", true}, {"/x.m3u8?_HLS_msn=3&_HLS_part=1&_HLS_skip=YES", true}, {"/x.m3u8?a=1&_HLS_msn=3", true},
			{"/x.m3u8?_HLS_msn=3&a=1", false},
		} {
			before := o.asked()
			if _, _, err := c.Playlist(t.Context(), one("http://o.example"+row.url)); err != nil {
				t.Fatal(err)
			}
			if asked := o.asked() > before; asked != row.new {
				t.Errorf("%d, %s: asked %v", i, row.url, asked)
			}
		}
	})
}

// TestMethods: a HEAD and a GET of one thing help each other where they can.
func TestMethods(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, head("0123456789", "Cache-Control", "max-age=100"), func(t *testing.T, c *Client, o *script) {
		look := func(method, body string, asked int, fields ...string) {
			t.Helper()
			g := ask(t.Context(), c, method, one(thing), fields...)
			if g.err != nil || string(g.body) != body || g.Status != http.StatusOK || g.Length != 10 || o.asked() != asked {
				t.Errorf("%s: %+v; asked %d times", method, g, o.asked())
			}
		}
		look(http.MethodHead, "", 1)
		look(http.MethodHead, "", 1)
		look(http.MethodHead, "", 1, "Range", "bytes=1-2") // there are ranges of GET only (RFC 9110, 14.2)
		look(http.MethodGet, "0123456789", 2)
		look(http.MethodHead, "", 2)
		look(http.MethodHead, "", 2, "Range", "bytes=1-2")
		after(101 * s)
		look(http.MethodHead, "", 3)
	})
}

// TestFiltered: what of a head is an origin's own business does not reach players.
func TestFiltered(t *testing.T) {
	t.Parallel()
	private := []string{"Set-Cookie", "Server", "Alt-Svc", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Via", "X-Cache", "Strict-Transport-Security",
		"Access-Control-Allow-Origin", "Proxy-Authenticate", "Www-Authenticate", "Age", "Date", "Cache-Status", "Location"}
	for name, control := range map[string]string{"shared": "max-age=9", "alone": "no-store"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := []string{"Cache-Control", control, "Content-Type", "video/mp2t", "Etag", `"a"`, "Content-Language", "cy", "Content-Encoding", "x"}
			for _, name := range private {
				fields = append(fields, name, "1")
			}
			bubble(t, Options{}, head("x", fields...), func(t *testing.T, c *Client, _ *script) {
				for range 2 {
					g := obtain(t, c, thing)
					for _, name := range private {
						if v := g.Header.Get(name); v != "" {
							t.Errorf("%s: %s passes", name, v)
						}
					}
					for _, name := range []string{"Content-Type", "Etag", "Content-Language", "Content-Encoding"} {
						if g.Header.Get(name) == "" {
							t.Errorf("%s does not pass", name)
						}
					}
				}
			})
		})
	}
}

// TestPlaylistByType: what is a playlist by its type only is one, and is asked for once.
func TestPlaylistByType(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, head(mediaText, "Content-Type", "application/vnd.apple.mpegurl"), func(t *testing.T, c *Client, o *script) {
		for range 3 {
			if g := obtain(t, c, thing); !errors.Is(g.err, ErrPlaylist) {
				t.Fatal(g.err)
			}
			if p, _, err := c.Playlist(t.Context(), one(thing)); err != nil || string(p.Body) != mediaText {
				t.Fatal(err)
			}
		}
		if o.asked() != 1 {
			t.Errorf("asked %d times", o.asked())
		}
	})
	bubble(t, Options{MaxPlaylist: 1000}, head(mediaText+strings.Repeat("# \n", 1000), "Content-Type", "audio/mpegurl"), func(t *testing.T, c *Client, _ *script) {
		if g := obtain(t, c, thing); !errors.Is(g.err, ErrTooLarge) {
			t.Error(g.err)
		}
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			if g := ask(t.Context(), c, method, one(thing+"?2")); !errors.Is(g.err, ErrTooLarge) && !errors.Is(g.err, ErrPlaylist) {
				t.Error(g.err)
			}
		}
	})
}

// TestOddAnswers: answers that do not fit what was asked are of no use, and are not kept.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		asked  string
		status int
		fields []string
	}{
		"304 to no condition":       {status: 304},
		"206 to no range":           {status: 206, fields: []string{"Content-Range", "bytes 0-3/9"}},
		"206 without a range":       {asked: "bytes=0-3", status: 206},
		"206 with a wrong range":    {asked: "bytes=0-3", status: 206, fields: []string{"Content-Range", "bytes 3-0/9"}},
		"206 of another length":     {asked: "bytes=0-3", status: 206, fields: []string{"Content-Range", "bytes 0-5/9"}},
		"206 beyond its end":        {asked: "bytes=0-3", status: 206, fields: []string{"Content-Range", "bytes 0-3/2"}},
		"416 to no range":           {status: 416},
		"206 of several parts":      {asked: "bytes=0-3", status: 206, fields: []string{"Content-Type", "multipart/byteranges; boundary=x"}},
		"a status that says little": {status: 299},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < len(row.fields); i += 2 {
					w.Header().Set(row.fields[i], row.fields[i+1])
				}
				w.WriteHeader(row.status)
				if row.status != http.StatusNotModified {
					_, _ = io.WriteString(w, "0123")
				}
			}, func(t *testing.T, c *Client, o *script) {
				for n := 1; n < 3; n++ {
					var fields []string
					if row.asked != "" {
						fields = []string{"Range", row.asked}
					}
					if g := obtain(t, c, thing, fields...); !errors.Is(g.err, ErrAnswer) || o.asked() != n {
						t.Errorf("%v, %v; asked %d times", g.Media, g.err, o.asked())
					}
				}
			})
		})
	}
}

// TestOtherVersion: an origin says that another version than the one that is here has not changed. It is asked for that (RFC 9111, 4.3.4).
func TestOtherVersion(t *testing.T) {
	t.Parallel()
	version := `"v1"`
	bubble(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=1")
		w.Header().Set("Etag", version)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte("body of " + version))
	}, func(t *testing.T, c *Client, o *script) {
		for _, version = range []string{`"v1"`, `"v2"`} {
			g := obtain(t, c, "http://o.example/x.ts")
			if want := "body of " + version; g.err != nil || string(g.body) != want || g.Header.Get("Etag") != version {
				t.Errorf("%q, %v, %v", g.body, g.Header, g.err)
			}
			time.Sleep(2 * time.Second)
		}
	})
}
