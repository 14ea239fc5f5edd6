package origin

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/origin/blob"
)

// TestScan: one who reads through an archive does not drive out what everybody listens to, and the budget holds.
func TestScan(t *testing.T) {
	t.Parallel()
	body := bytesOf(100_000, 1)
	opt := Options{Memory: leastMemory}
	bubble(t, opt, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=10000")
		_, _ = w.Write(body)
	}, func(t *testing.T, c *Client, o *script) {
		popular := func(i int) string { return fmt.Sprintf("http://o.example/popular/%d", i) }
		for range 2 {
			for i := range 50 {
				obtain(t, c, popular(i))
			}
		}
		before := o.asked()
		for i := range 1000 { // six times the budget
			obtain(t, c, fmt.Sprintf("http://o.example/archive/%d", i))
			if used := c.cache.memory.used.Load(); used > leastMemory {
				t.Fatalf("%d bytes are used", used)
			}
		}
		if o.asked()-before != 1000 {
			t.Errorf("asked %d times", o.asked()-before)
		}
		for i := range 50 {
			if g := obtain(t, c, popular(i)); g.Served.Status != Hit || !bytes.Equal(g.body, body) {
				t.Errorf("%d is gone: %v", i, g.Served.Status)
			}
		}
		quiet(t, c)
	})
}

// TestRandomNames: whoever asks for names without end fills neither the table nor what others listen to.
func TestRandomNames(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/none"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(r.URL.Path, "/alone"):
			w.Header().Set("Cache-Control", "no-store")
		default:
			_, _ = w.Write(make([]byte, 1000))
		}
	}, func(t *testing.T, c *Client, _ *script) {
		obtain(t, c, thing)
		obtain(t, c, thing)
		for i := range 40_000 {
			u := fmt.Sprintf("http://o.example/%s?%d", []string{"none", "alone"}[i%2], i)
			ask(t.Context(), c, http.MethodHead, one(u))
		}
		if n := len(c.cache.objects); n > leastMemory/overhead {
			t.Errorf("%d objects", n)
		}
		if g := obtain(t, c, thing); g.Served.Status != Hit {
			t.Errorf("%v", g.Served.Status)
		}
		quiet(t, c)
	})
}

// TestInUse: what listeners are reading is no victim, and does not hide those that are.
func TestInUse(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=10000")
		_, _ = w.Write(make([]byte, 1<<20))
	}, func(t *testing.T, c *Client, _ *script) {
		name := func(i int) string { return fmt.Sprintf("http://o.example/%d", i) }
		for range 2 {
			for i := range 11 { // protected
				obtain(t, c, name(i))
			}
		}
		for i := 11; i < 15; i++ { // on probation, and being read
			obtain(t, c, name(i))
		}
		for i := 11; i < 15; i++ {
			c.cache.mu.Lock()
			o := c.cache.objects[name(i)]
			o.memory.body.Hold()
			c.cache.mu.Unlock()
		}
		for i := 100; i < 105; i++ {
			if g := obtain(t, c, name(i)); g.err != nil || g.Served.Status != Miss || len(g.body) != 1<<20 {
				t.Errorf("%d: %v, %v", i, g.err, g.Served.Status)
			}
		}
		for i := 11; i < 15; i++ {
			o := c.cache.objects[name(i)]
			if o == nil || o.memory == nil {
				t.Errorf("%d was given up while it was read", i)
				continue
			}
			o.memory.body.Release()
		}
		quiet(t, c)
	})
}

// TestNoRoom: while memory is full of what is being read, bodies go by; once there is room again they are kept.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=10000")
		_, _ = w.Write(make([]byte, 1<<20))
	}, func(t *testing.T, c *Client, o *script) {
		var readers []*Media
		for i := range 15 {
			m, err := c.Open(t.Context(), http.MethodGet, one(fmt.Sprintf("http://o.example/%d", i)), nil)
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, m)
		}
		after(0)
		for range 2 {
			if g := obtain(t, c, thing); g.Served.Status != Bypass || len(g.body) != 1<<20 {
				t.Fatalf("%v, %v", g.Served.Status, g.err)
			}
		}
		for _, m := range readers {
			if b, err := read(m.Body); err != nil || len(b) != 1<<20 {
				t.Error(err)
			}
			m.Body.Close()
		}
		after(2 * s)
		for _, want := range []Status{Miss, Hit} {
			if g := obtain(t, c, thing); g.Served.Status != want || len(g.body) != 1<<20 {
				t.Errorf("%v, %v", g.Served.Status, g.err)
			}
		}
		quiet(t, c)
	})
}

// TestTooLarge: what is larger than may be kept of one body goes by, with its length, and is not kept; others may go on.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	body := bytesOf(5<<20, 4)
	for _, framing := range []string{"length", "chunked"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			c, base := serve(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1); r.URL.Path != "/large" {
					w.Header().Set("Cache-Control", "max-age=1000")
					_, _ = w.Write(body[:1<<20])
					return
				}
				if framing == "length" {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				_, _ = w.Write(body)
			})
			for i := range 8 {
				obtain(t, c, fmt.Sprintf("%s/%d", base, i))
			}
			for range 3 {
				if g := obtain(t, c, base+"/large"); g.err != nil || !bytes.Equal(g.body, body) {
					t.Errorf("%d bytes, %v", len(g.body), g.err)
				}
				if used := c.cache.memory.used.Load(); used > leastMemory {
					t.Errorf("%d bytes are used", used)
				}
			}
			quiet(t, c)
			if g := obtain(t, c, base+"/7"); g.Served.Status != Hit {
				t.Error("what was there is gone")
			}
			quiet(t, c)
		})
	}
}

// TestEndless: a body without an end, for several listeners: memory stays bounded, nothing that others have is driven out for it, and it ends when the last one leaves.
func TestEndless(t *testing.T) {
	t.Parallel()
	block := bytesOf(1<<20, 8)
	start, ended := make(chan struct{}), make(chan struct{})
	c, base := serve(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			w.Header().Set("Cache-Control", "max-age=1000")
			_, _ = w.Write(block[:1000])
			return
		}
		defer close(ended)
		_ = http.NewResponseController(w).Flush()
		<-start
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	obtain(t, c, base+"/small")
	var work sync.WaitGroup
	most := atomic.Int64{}
	for range 3 {
		m, err := c.Open(t.Context(), http.MethodGet, one(base+"/endless"), nil)
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			defer m.Body.Close()
			b := make([]byte, 1<<20)
			for i := range 30 {
				if _, err := io.ReadFull(m.Body, b); err != nil || !bytes.Equal(b, block) {
					t.Errorf("at %d: %v", i, err)
					return
				}
				most.Store(max(most.Load(), c.cache.memory.used.Load()))
			}
		})
	}
	close(start)
	work.Wait()
	<-ended
	quiet(t, c)
	if most.Load() > leastMemory/4 {
		t.Errorf("%d bytes were used", most.Load())
	}
	if g := obtain(t, c, base+"/small"); g.Served.Status != Hit {
		t.Errorf("%v", g.Served.Status)
	}
}

// TestLongUnknown: the end of a long body of unknown length costs others nothing.
func TestLongUnknown(t *testing.T) {
	t.Parallel()
	block := bytesOf(1<<20, 8)
	c, base := serve(t, Options{Memory: leastMemory}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			w.Header().Set("Cache-Control", "max-age=1000")
			_, _ = w.Write(block[:1000])
			return
		}
		for range 40 {
			_, _ = w.Write(block)
		}
	})
	obtain(t, c, base+"/small")
	m, err := c.Open(t.Context(), http.MethodGet, one(base+"/long"), nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyN(io.Discard, m.Body, 40<<20-10)
	if err != nil {
		t.Fatal(n, err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // until its end has come
		b := m.Body.(*body)
		b.fill.mu.Lock()
		over := b.fill.over
		b.fill.mu.Unlock()
		if over {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
	if used := c.cache.memory.used.Load(); used > leastMemory/4 {
		t.Errorf("%d bytes are used", used)
	}
	obtain(t, c, base+"/other") // wants room
	if g := obtain(t, c, base+"/small"); g.Served.Status != Hit {
		t.Errorf("%v", g.Served.Status)
	}
	if rest, err := read(m.Body); err != nil || len(rest) != 10 {
		t.Errorf("%d, %v", len(rest), err)
	}
	m.Body.Close()
	quiet(t, c)
}

// TestDisk: what memory gives up and was asked for again lies on disk, without a name; a new process finds nothing.
func TestDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "[cache]")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"body-1.tmp", "body-half.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	room, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	nameless := func() {
		t.Helper()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
	}
	nameless()
	body := func(i int) []byte { return bytesOf(500_000, byte(i)) }
	bubble(t, Options{Memory: leastMemory, Disk: 64 << 20, Room: room}, func(w http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscanf(r.URL.Path, "/%d", &i)
		w.Header().Set("Cache-Control", "max-age=10000")
		_, _ = w.Write(body(i))
	}, func(t *testing.T, c *Client, o *script) {
		const n = 60 // twice the memory
		for i := range n {
			for range 2 {
				if g := obtain(t, c, fmt.Sprintf("http://o.example/%d", i)); !bytes.Equal(g.body, body(i)) {
					t.Fatal(g.err)
				}
			}
			after(2 * s) // the spooler's turn
			nameless()
		}
		if o.asked() != n {
			t.Errorf("asked %d times", o.asked())
		}
		hits := 0
		for i := range n {
			g := obtain(t, c, fmt.Sprintf("http://o.example/%d", i), "Range", "bytes=100-200099")
			if !bytes.Equal(g.body, body(i)[100:200_100]) || g.Status != http.StatusPartialContent {
				t.Fatalf("%d: %d, %d bytes, %v", i, g.Status, len(g.body), g.err)
			}
			if g.Served.Status == Hit {
				hits++
			}
		}
		if hits < n*9/10 {
			t.Errorf("%d hits of %d", hits, n)
		}
		quiet(t, c)
		if used := c.cache.disk.used.Load(); used < 10<<20 {
			t.Errorf("%d bytes are on disk", used)
		}
	})
	nameless()
}

// TestCloseEarly: a client that is closed while all sorts of things are on their way gives back everything.
func TestCloseEarly(t *testing.T) {
	t.Parallel()
	for range 30 {
		c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "404") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = w.Write(make([]byte, 60_000))
		})
		var work sync.WaitGroup
		for i := range 20 {
			work.Go(func() {
				u := fmt.Sprintf("%s/%d", base, i)
				if i%3 == 0 {
					u += "404"
				}
				if g := obtain(t, c, u); g.err == nil && len(g.body) != 60_000 {
					t.Error("short")
				}
			})
		}
		c.Close()
		work.Wait()
		c.work.Wait()
		empty(t, c)
	}
}
