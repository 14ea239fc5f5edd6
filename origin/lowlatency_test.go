package origin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBlockingReloads: all who wait for the same part make one request that the origin holds, and have its answer at once; who waits for another part
// makes another; what came stays good for who is late.
func TestBlockingReloads(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	published := map[string]chan struct{}{"1": make(chan struct{}), "2": make(chan struct{})}
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.URL.RawQuery]++
		mu.Unlock()
		if part := published[r.URL.Query().Get("_HLS_part")]; part != nil {
			<-part
		}
		fmt.Fprintf(w, "%s#%s\n", mediaText, r.URL.RawQuery)
	})
	const n = 200
	var work sync.WaitGroup
	collapsed := atomic.Int64{}
	for i := range n {
		query := []string{"_HLS_msn=7&_HLS_part=1", "_HLS_part=1&_HLS_msn=7", "_HLS_msn=7&_HLS_part=2", "_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"}[i%4]
		work.Go(func() {
			p, served, err := c.Playlist(t.Context(), one(base+"/x.m3u8?"+query))
			if err != nil {
				t.Error(err)
				return
			}
			for _, name := range []string{"_HLS_part=1", "_HLS_part=2", "_HLS_skip=YES"} {
				if strings.Contains(query, name) != strings.Contains(string(p.Body), name) {
					t.Errorf("%s got %s", query, p.Body)
				}
			}
			if served.Status == Collapsed {
				collapsed.Add(1)
			}
		})
	}
	waiting(t, c, n)
	close(published["1"])
	close(published["2"])
	work.Wait()
	if len(seen) != 3 || collapsed.Load() != n-3 {
		t.Errorf("%v; %d collapsed", seen, collapsed.Load())
	}
	for query, times := range seen {
		if times != 1 {
			t.Errorf("%s: %d times", query, times)
		}
	}
	if _, served, err := c.Playlist(t.Context(), one(base+"/x.m3u8?_HLS_msn=7&_HLS_part=1")); err != nil || served.Status != Hit {
		t.Errorf("%v, %v", served.Status, err)
	}
}

// TestHint: who asks for a part by its hint, before it is made, has its bytes as they come: the whole of it, and an open range of what it grows in.
func TestHint(t *testing.T) {
	t.Parallel()
	pieces := [][]byte{bytesOf(1000, 1), bytesOf(20_000, 2), bytesOf(100_000, 3)}
	for name, fields := range map[string][]string{"a part": nil, "a range": {"Range", "bytes=5000-"}, "a range to 2^53-1": {"Range", "bytes=5000-9007199254740991"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := make(chan int, len(pieces))
			var asked atomic.Int64
			c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				status := http.StatusOK
				if r.Header.Get("Range") != "" {
					w.Header().Set("Content-Range", "bytes 5000-9007199254740991/*")
					status = http.StatusPartialContent
				}
				w.WriteHeader(status)
				for i := range steps {
					_, _ = w.Write(pieces[i])
					_ = http.NewResponseController(w).Flush()
				}
			})
			h := http.Header{}
			for i := 0; i < len(fields); i += 2 {
				h.Set(fields[i], fields[i+1])
			}
			steps <- 0
			var readers []*Media
			for range 5 {
				m, err := c.Open(t.Context(), http.MethodGet, one(base+"/p.m4s"), h)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Body.Close()
				if m.Length != -1 {
					t.Errorf("its length is said to be %d", m.Length)
				}
				readers = append(readers, m)
			}
			for i, piece := range pieces {
				if i > 0 {
					steps <- i
				}
				for _, m := range readers {
					b := make([]byte, len(piece))
					if _, err := io.ReadFull(m.Body, b); err != nil || !bytes.Equal(b, piece) {
						t.Fatalf("piece %d: %v", i, err)
					}
				}
			}
			close(steps)
			for _, m := range readers {
				if rest, err := read(m.Body); err != nil || len(rest) > 0 {
					t.Errorf("%d bytes more, %v", len(rest), err)
				}
			}
			if g := obtain(t, c, base+"/p.m4s", fields...); g.Served.Status != Hit || !bytes.Equal(g.body, bytes.Join(pieces, nil)) || g.Length != int64(len(g.body)) || asked.Load() != 1 {
				t.Errorf("%v, %d bytes, length %d, %d requests", g.Served.Status, len(g.body), g.Length, asked.Load())
			}
		})
	}
}

// TestIncompletePart: a part that breaks off is an error to all who have some of it, however its end would have been told, and is not released
// again.
func TestIncompletePart(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 5000))
		_ = http.NewResponseController(w).Flush()
		if asked.Add(1) == 1 {
			time.Sleep(50 * time.Millisecond)
			panic(http.ErrAbortHandler)
		}
	})
	for _, g := range crowd(t, c, 10, base+"/p.m4s") {
		if g.err == nil && asked.Load() == 1 {
			t.Errorf("%d bytes look whole", len(g.body))
		}
	}
	quiet(t, c)
	if g := obtain(t, c, base+"/p.m4s"); g.err != nil || len(g.body) != 5000 {
		t.Errorf("%d bytes, %v", len(g.body), g.err)
	}
}

// TestStalePlaylist: while the origin is down a live playlist is used for one and a half target durations from when it came, a finished one for as
// long as it takes, and one that must not be, not; the origin is asked once a second meanwhile.
func TestStalePlaylist(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text, control string
		failing       int // status
		until         time.Duration
	}{
		"live":            {text: mediaText, failing: 503, until: targetOfText * 3 / 2},
		"live, 404":       {text: mediaText, failing: 404, until: targetOfText / 2},
		"live, 403":       {text: mediaText, failing: 403, until: targetOfText / 2},
		"ended":           {text: endedText, failing: 503, until: time.Hour},
		"a master":        {text: masterOfOne, failing: 503, until: time.Hour},
		"must-revalidate": {text: mediaText, control: "max-age=1, must-revalidate", failing: 503, until: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			down := false
			bubble(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				if down {
					w.WriteHeader(row.failing)
					return
				}
				if row.control != "" {
					w.Header().Set("Cache-Control", row.control)
				}
				_, _ = io.WriteString(w, row.text)
			}, func(t *testing.T, c *Client, o *script) {
				look := func() (Served, error) {
					_, served, err := c.Playlist(t.Context(), one("http://o.example/x.m3u8"))
					return served, err
				}
				if _, err := look(); err != nil {
					t.Fatal(err)
				}
				down = true
				began := time.Now()
				for time.Since(began) < min(row.until, time.Minute)-2*time.Millisecond {
					after(min(500*time.Millisecond, row.until-time.Since(began)-time.Millisecond))
					served, err := look()
					if err != nil || (served.TTL <= 0) != (served.Status == Stale) {
						t.Fatalf("after %v: %v, %v, %v", time.Since(began), served.Status, served.TTL, err)
					}
				}
				if n := float64(o.asked()); n > time.Since(began).Seconds()+2 {
					t.Errorf("asked %v times within %v", n, time.Since(began))
				}
				if row.until < time.Minute {
					after(2 * time.Millisecond)
					if _, err := look(); err == nil {
						t.Errorf("after %v it is still used", time.Since(began))
					}
				}
			})
		})
	}
}

// TestStaleMedia: while the origin is down segments that are too old are used, to their last byte; where it answers, or forbids it, they are not.
func TestStaleMedia(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		control string
		failing int
		used    bool
	}{
		"500": {"max-age=1", 500, true}, "503": {"max-age=1", 503, true}, "silent": {"max-age=1", 0, true},
		"403": {"max-age=1", 403, false}, "404": {"max-age=1", 404, false}, "must-revalidate": {"max-age=1, must-revalidate", 503, false},
		"no-cache": {"no-cache", 503, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			down, body := false, bytesOf(100_000, 1)
			bubble(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if down && row.failing == 0 {
					<-r.Context().Done()
					return
				}
				if down {
					w.WriteHeader(row.failing)
					return
				}
				w.Header().Set("Cache-Control", row.control)
				w.Header().Set("Etag", `"a"`)
				_, _ = w.Write(body)
			}, func(t *testing.T, c *Client, o *script) {
				obtain(t, c, thing)
				down = true
				after(2 * time.Hour)
				for i := range 3 {
					g := obtain(t, c, thing)
					if used := g.err == nil && g.Served.Status == Stale && bytes.Equal(g.body, body); used != row.used {
						t.Errorf("%d: used %v; %d bytes, %v", i, used, len(g.body), g.err)
					}
					if row.used && (!strings.Contains(g.Served.CacheStatus(), "detail=stale") || g.Served.TTL >= 0 || i > 0 && o.asked() != 2) {
						t.Errorf("%d: %s; asked %d times", i, g.Served.CacheStatus(), o.asked())
					}
				}
				down = false
				after(3 * time.Second)
				if g := obtain(t, c, thing); g.err != nil || g.Served.Status == Stale || !bytes.Equal(g.body, body) {
					t.Errorf("back: %v, %v", g.Served.Status, g.err)
				}
			})
		})
	}
}

// TestPlaylistBounds: a playlist that is too long is none, by its head or by what comes.
func TestPlaylistBounds(t *testing.T) {
	t.Parallel()
	for _, framed := range []bool{true, false} {
		c, base := serve(t, Options{MaxPlaylist: 300 << 10}, func(w http.ResponseWriter, _ *http.Request) {
			if framed {
				w.Header().Set("Content-Length", fmt.Sprint(len(mediaText)+400<<10))
			}
			_, _ = io.WriteString(w, mediaText)
			_, _ = w.Write(bytes.Repeat([]byte("#\n"), 200<<10))
		})
		if _, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8")); !errors.Is(err, ErrTooLarge) {
			t.Errorf("framed %v: %v", framed, err)
		}
	}
}
