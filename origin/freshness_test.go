package origin

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	s            = time.Second
	masterOfOne  = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"
	endedText    = mediaText + "#EXT-X-ENDLIST\n"
	targetOfText = 4 * s // mediaText's
)

// head makes an origin that answers everything with one body under one head.
func head(body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// TestFreshness: how long what came with a head is used without asking again: one moment less than that it is a hit, then it is not.
func TestFreshness(t *testing.T) {
	t.Parallel()
	date := func(d time.Duration) string { return epoch.Add(d).Format(http.TimeFormat) }
	for name, row := range map[string]struct {
		body   string // of a playlist; empty: media
		path   string
		target time.Duration
		fields []string
		want   time.Duration // fresh for
	}{
		"media, nothing said":             {want: 36 * s},
		"media, its target":               {target: 2 * s, want: 12 * s},
		"media, max-age":                  {fields: []string{"Cache-Control", "max-age=100"}, want: 100 * s},
		"media, a short max-age":          {fields: []string{"Cache-Control", "max-age=1"}, want: 1 * s},
		"media, s-maxage before max-age":  {fields: []string{"Cache-Control", "max-age=100, s-maxage=7"}, want: 7 * s},
		"media, s-maxage is longer":       {fields: []string{"Cache-Control", "s-maxage=70, max-age=1"}, want: 70 * s},
		"media, twice max-age":            {fields: []string{"Cache-Control", "max-age=100", "Cache-Control", "max-age=9"}, want: 9 * s},
		"media, max-age of no number":     {fields: []string{"Cache-Control", "max-age=soon"}},
		"media, max-age below zero":       {fields: []string{"Cache-Control", "max-age=-1"}},
		"media, max-age in quotes":        {fields: []string{"Cache-Control", `max-age="5"`}, want: 5 * s},
		"media, max-age beyond all":       {fields: []string{"Cache-Control", "max-age=99999999999999999999"}, want: maxLifetime},
		"media, max-age in an extension":  {fields: []string{"Cache-Control", `x="max-age=1, no-store", max-age=8`}, want: 8 * s},
		"media, capitals":                 {fields: []string{"Cache-Control", "MAX-AGE=8"}, want: 8 * s},
		"media, no-cache":                 {fields: []string{"Cache-Control", "no-cache, max-age=100"}},
		"media, no-cache and s-maxage":    {fields: []string{"Cache-Control", "s-maxage=100, no-cache"}},
		"media, no-store":                 {fields: []string{"Cache-Control", "max-age=100, no-store"}},
		"media, private":                  {fields: []string{"Cache-Control", "private, max-age=100"}},
		"media, private field":            {fields: []string{"Cache-Control", `private="set-cookie", max-age=100`}},
		"media, Vary: *":                  {fields: []string{"Vary", "*", "Cache-Control", "max-age=100"}},
		"media, Vary: Origin":             {fields: []string{"Vary", "Origin", "Cache-Control", "max-age=3"}, want: 3 * s},
		"media, Expires":                  {fields: []string{"Expires", date(20 * s), "Date", date(0)}, want: 20 * s},
		"media, Expires by a wrong clock": {fields: []string{"Expires", date(3620 * s), "Date", date(3600 * s)}, want: 20 * s},
		"media, Expires: 0":               {fields: []string{"Expires", "0"}},
		"media, max-age before Expires":   {fields: []string{"Expires", "0", "Cache-Control", "max-age=5"}, want: 5 * s},
		"media, Pragma":                   {fields: []string{"Pragma", "no-cache"}},
		"media, Age":                      {fields: []string{"Age", "40", "Cache-Control", "max-age=100"}, want: 60 * s},
		"media, older than its max-age":   {fields: []string{"Age", "140", "Cache-Control", "max-age=100"}},
		"media, long unchanged":           {fields: []string{"Last-Modified", date(-1000 * s)}, want: 100 * s},
		"media, for ages":                 {fields: []string{"Last-Modified", date(-10000 * time.Hour)}, want: maxHeuristic},
		"a playlist":                      {path: "/x.m3u8", body: mediaText, want: targetOfText / 2},
		"a playlist, long":                {path: "/x.m3u8", body: mediaText, fields: []string{"Cache-Control", "max-age=100"}, want: targetOfText / 2},
		"a playlist, short":               {path: "/x.m3u8", body: mediaText, fields: []string{"Cache-Control", "max-age=1"}, want: 1 * s},
		"a playlist, no-cache":            {path: "/x.m3u8", body: mediaText, fields: []string{"Cache-Control", "no-cache"}},
		"a playlist, no-store":            {path: "/x.m3u8", body: mediaText, fields: []string{"Cache-Control", "no-store"}},
		"a playlist, private":             {path: "/x.m3u8", body: mediaText, fields: []string{"Cache-Control", "private, max-age=9"}},
		"a playlist, held":                {path: "/x.m3u8?_HLS_msn=0", body: mediaText, want: 6 * targetOfText},
		"a playlist, held, short":         {path: "/x.m3u8?_HLS_msn=0&_HLS_part=1", body: mediaText, fields: []string{"Cache-Control", "max-age=3"}, want: 3 * s},
		"a delta, not held":               {path: "/x.m3u8?_HLS_skip=YES", body: mediaText, want: targetOfText / 2},
		"a playlist at its end":           {path: "/x.m3u8", body: endedText, fields: []string{"Cache-Control", "max-age=100"}, want: 100 * s},
		"a master":                        {path: "/x.m3u8", body: masterOfOne, want: 2 * s},
		"a master, longer":                {path: "/x.m3u8", body: masterOfOne, fields: []string{"Cache-Control", "max-age=10"}, want: 10 * s},
		"a master, for too long":          {path: "/x.m3u8", body: masterOfOne, fields: []string{"Cache-Control", "max-age=1000"}, want: 60 * s},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := row.body
			if body == "" {
				body = "media"
			}
			bubble(t, Options{}, head(body, row.fields...), func(t *testing.T, c *Client, o *script) {
				src := Source{URLs: []string{"http://origin.example" + row.path}, Target: row.target}
				want := Miss
				said := strings.Join(row.fields, " ")
				if row.want == 0 && (strings.Contains(said, "no-store") || strings.Contains(said, "private") || strings.Contains(said, "*")) {
					want = Bypass
				}
				look := func() Served {
					if row.body == "" {
						g := ask(t.Context(), c, http.MethodGet, src)
						if g.err != nil || string(g.body) != body {
							t.Fatalf("%q, %v", g.body, g.err)
						}
						return g.Served
					}
					p, served, err := c.Playlist(t.Context(), src)
					if err != nil || string(p.Body) != body {
						t.Fatal(err)
					}
					return served
				}
				if got := look(); got.Status != want || want == Miss && got.TTL != row.want && row.want > 0 {
					t.Errorf("at first: %v, ttl %v, want %v, %v", got.Status, got.TTL, want, row.want)
				}
				if row.want > 0 {
					after(row.want - time.Millisecond)
					if got := look(); got.Status != Hit || o.asked() != 1 {
						t.Errorf("a millisecond before %v: %v", row.want, got.Status)
					}
					after(time.Millisecond)
				}
				after(0) // whatever is at its end is at its end
				if got := look(); got.Status == Hit || got.Status == Collapsed || o.asked() != 2 {
					t.Errorf("after %v: %v", row.want, got.Status)
				}
			})
		})
	}
}

// epoch is when bubbles begin.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestMissing: for how long it is remembered that the origin has not got it.
func TestMissing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		path    string
		target  time.Duration
		control string
		want    time.Duration
	}{
		"media":               {path: "/1.ts", want: 1 * s},
		"media, its target":   {path: "/1.ts", target: 4 * s, want: 4 * s},
		"media, less":         {path: "/1.ts", target: 4 * s, control: "max-age=2", want: 2 * s},
		"media, no-store":     {path: "/1.ts", target: 4 * s, control: "no-store"},
		"a playlist":          {path: "/1.m3u8", target: 4 * s, want: 4 * s},
		"a playlist, held":    {path: "/1.m3u8?_HLS_msn=3", target: 4 * s, want: 16 * s},
		"a playlist, unknown": {path: "/1.m3u8", want: 1 * s},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", row.control)
				if row.control == "" {
					w.Header().Del("Cache-Control")
				}
				w.WriteHeader(http.StatusNotFound)
			}, func(t *testing.T, c *Client, o *script) {
				src := Source{URLs: []string{"http://origin.example" + row.path}, Target: row.target}
				look := func(asked int) {
					t.Helper()
					var err error
					if IsPlaylist(strings.Split(row.path, "?")[0]) {
						_, _, err = c.Playlist(t.Context(), src)
					} else {
						err = ask(t.Context(), c, http.MethodGet, src).err
					}
					if !errors.Is(err, ErrNotFound) || o.asked() != asked {
						t.Errorf("%v; asked %d times, want %d", err, o.asked(), asked)
					}
				}
				look(1)
				if row.want > 0 {
					after(row.want - time.Millisecond)
					look(1)
					after(time.Millisecond)
				}
				look(2)
			})
		})
	}
}

// TestRevalidation: what is too old is asked for by what it is; an answer that it has not changed is good for another while, to the last byte of
// the body; one with another body replaces it.
func TestRevalidation(t *testing.T) {
	t.Parallel()
	for name, validator := range map[string][2]string{"ETag": {"Etag", `"v1"`}, "Last-Modified": {"Last-Modified", epoch.Add(-100 * s).Format(http.TimeFormat)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version := 1
			small, large := bytesOf(100, 1), bytesOf(300_000, 2)
			bubble(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=10")
				w.Header().Set("X-Secret", "x")
				if version == 1 {
					w.Header().Set(validator[0], validator[1])
				}
				if version == 1 && (r.Header.Get("If-None-Match") == validator[1] || r.Header.Get("If-Modified-Since") == validator[1]) {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				if strings.HasSuffix(r.URL.Path, "small") {
					_, _ = w.Write(small[version-1:])
				} else {
					_, _ = w.Write(large[version-1:])
				}
			}, func(t *testing.T, c *Client, o *script) {
				for u, body := range map[string][]byte{"http://o.example/small": small, "http://o.example/large": large} {
					version = 1
					before := o.asked()
					for i, want := range []Status{Miss, Revalidated, Hit, Revalidated} {
						g := obtain(t, c, u)
						if g.err != nil || string(g.body) != string(body) || g.Served.Status != want {
							t.Fatalf("%d: %d bytes, %v, %v, want %v", i, len(g.body), g.err, g.Served.Status, want)
						}
						if g.Served.TTL > 10*s || g.Length != int64(len(body)) || g.Header.Get("X-Secret") != "" {
							t.Errorf("%d: %+v", i, g.Media)
						}
						if i != 1 {
							after(11 * s)
						}
					}
					if n := o.asked() - before; n != 3 {
						t.Errorf("asked %d times", n)
					}
					// A range of what is renewed is a range of it.
					if g := obtain(t, c, u, "Range", "bytes=10-19"); g.Status != 206 || string(g.body) != string(body[10:20]) {
						t.Errorf("%d %q, %v", g.Status, g.body, g.err)
					}
					after(11 * s)
					version = 2
					if g := obtain(t, c, u); string(g.body) != string(body[1:]) || g.Served.Status != Miss || !strings.Contains(g.Served.CacheStatus(), "fwd=stale; fwd-status=200; stored") {
						t.Errorf("%d bytes, %s, %v", len(g.body), g.Served.CacheStatus(), g.err)
					}
				}
			})
		})
	}
}

// TestRenewedForNobody: an answer that it has not changed and is not to be kept any more.
func TestRenewedForNobody(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"a"`)
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Cache-Control", "max-age=10")
		_, _ = io.WriteString(w, "body")
	}, func(t *testing.T, c *Client, o *script) {
		obtain(t, c, thing)
		after(11 * s)
		for n := 2; n < 5; n++ {
			if g := obtain(t, c, thing); string(g.body) != "body" || o.asked() != n {
				t.Errorf("%q, %v; asked %d times", g.body, g.err, o.asked())
			}
		}
	})
}

// TestAge: it grows from what the origin said, and the delay on the way counts (RFC 9111, 4.2.3).
func TestAge(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(2 * s)
		w.Header().Set("Age", "5")
		w.Header().Set("Cache-Control", "max-age=100")
		_, _ = io.WriteString(w, "x")
	}, func(t *testing.T, c *Client, _ *script) {
		for i, want := range []string{"7", "10"} {
			g := obtain(t, c, thing)
			if age := g.Served.AgeHeader(); age != want {
				t.Errorf("%d: Age %s, want %s", i, age, want)
			}
			after(3 * s)
		}
		if got, want := obtain(t, c, thing).Served.CacheStatus(), "Earshot; hit; ttl=87"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
