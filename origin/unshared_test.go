package origin

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNotShared: an answer that is not to be shared reaches one of those who waited, and the others ask side by side.
func TestNotShared(t *testing.T) {
	t.Parallel()
	const n = 50
	for _, control := range []string{"no-store", "private"} {
		t.Run(control, func(t *testing.T) {
			t.Parallel()
			var asked, here, most atomic.Int64
			open := make(chan struct{})
			c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					<-open
				}
				most.Store(max(most.Load(), here.Add(1)))
				defer here.Add(-1)
				w.Header().Set("Cache-Control", control)
				w.Header().Set("Etag", fmt.Sprintf(`"%d"`, asked.Load()))
				w.Write(bytesOf(100_000, 0))
				time.Sleep(100 * time.Millisecond)
				fmt.Fprintf(w, "%d", asked.Load())
			})
			all := make(chan []got)
			go func() { all <- crowd(t, c, n, base+"/k") }()
			joined(t, c, n)
			began := time.Now()
			close(open)
			for _, g := range <-all {
				if g.err != nil || len(g.body) < 100_000 || g.Served.Status != Bypass {
					t.Errorf("%d bytes, %v", len(g.body), g.err)
				}
			}
			if asked.Load() != n || most.Load() < 10 {
				t.Errorf("%d requests, at most %d at once, in %v", asked.Load(), most.Load(), time.Since(began))
			}
			quiet(t, c)
		})
	}
}

// TestPrivatePlaylist: a playlist that is not to be shared is handed to one, however late the others wake up.
func TestPrivatePlaylist(t *testing.T) {
	t.Parallel()
	for range 20 {
		var asked atomic.Int64
		open := make(chan struct{})
		c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			n := asked.Add(1)
			if n == 1 {
				<-open
			}
			w.Header().Set("Cache-Control", "private")
			fmt.Fprintf(w, "%s#%d\n", mediaText, n)
		})
		var work sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{}
		for range 20 {
			work.Go(func() {
				p, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8"))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				seen[string(p.Body)]++
			})
		}
		waiting(t, c, 20)
		close(open)
		work.Wait()
		for text, n := range seen {
			if n > 1 {
				t.Fatalf("%d listeners got %q", n, text[len(mediaText):])
			}
		}
	}
}

// waiting waits until so many wait for a playlist.
func waiting(t *testing.T, c *Client, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.playlists.mu.Lock()
		askers := 0
		for _, f := range c.playlists.flights {
			askers += f.askers
		}
		c.playlists.mu.Unlock()
		if askers == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, want %d", askers, n)
		}
	}
}

// TestFailedForAll: a failure reaches all who waited at once, and is nobody's who comes after.
func TestFailedForAll(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	open := make(chan struct{})
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			<-open
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "x")
	})
	all := make(chan []got)
	go func() { all <- crowd(t, c, 100, base+"/1.ts") }()
	joined(t, c, 100)
	close(open)
	for _, g := range <-all {
		if !errors.Is(g.err, ErrAnswer) {
			t.Error(g.err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if g := obtain(t, c, base+"/1.ts"); string(g.body) != "x" {
		t.Error(g.err)
	}
	quiet(t, c)
}
