package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestThousand: a thousand listeners who ask for what is not there make one request, whatever they ask for it as.
func TestThousand(t *testing.T) {
	t.Parallel()
	const n = 1000
	body := bytesOf(200_000, 3)
	go1 := make(chan struct{})
	var asked atomic.Int64
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-go1
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		for _, part := range [][]byte{body[:1000], body[1000:100_000], body[100_000:]} {
			_, _ = w.Write(part)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	})
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			want, g := body, got{}
			switch i % 4 {
			case 0, 1:
				g = ask(t.Context(), c, http.MethodGet, one(base+"/1.ts"))
			case 2:
				g = ask(t.Context(), c, http.MethodGet, one(base+"/1.ts"), "Range", "bytes=0-")
			case 3:
				g = ask(t.Context(), c, http.MethodGet, one(base+"/1.ts"), "Range", "bytes=0-1", "If-Range", `"x"`)
			}
			if g.err != nil || !bytes.Equal(g.body, want) {
				t.Errorf("%d bytes, %v", len(g.body), g.err)
			}
		})
	}
	joined(t, c, n)
	close(go1)
	work.Wait()
	if got := asked.Load(); got != 1 {
		t.Errorf("%d requests", got)
	}
	quiet(t, c)
}

// TestStreams: readers have what has come before the rest is there, also who comes late; who leaves leaves the others alone.
func TestStreams(t *testing.T) {
	t.Parallel()
	first, rest := bytesOf(50_000, 1), bytesOf(300_000, 2)
	more, asked := make(chan struct{}), atomic.Int64{}
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Length", fmt.Sprint(len(first)+len(rest)))
		_, _ = w.Write(first)
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = w.Write(rest)
	})
	open := func(ctx context.Context, fields ...string) *Media {
		h := http.Header{}
		if len(fields) > 0 {
			h.Set(fields[0], fields[1])
		}
		m, err := c.Open(ctx, http.MethodGet, one(base+"/1.ts"), h)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	leaver, leave := context.WithCancel(t.Context())
	readers := []*Media{open(leaver), open(t.Context()), open(t.Context(), "Range", "bytes=0-"), open(t.Context(), "Range", "bytes=100-249999")}
	for i, m := range readers {
		b := make([]byte, 40_000)
		from := 0
		if i == 3 {
			from = 100
		}
		if _, err := io.ReadFull(m.Body, b); err != nil || !bytes.Equal(b, first[from:from+len(b)]) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	// One leaves in the middle of a read.
	gone := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, readers[0].Body)
		gone <- err
	}()
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	readers[0].Body.Close()
	readers[0].Body.Close() // twice is once
	close(more)
	whole := append(bytes.Clone(first), rest...)
	for i, want := range [][]byte{nil, whole[40_000:], whole[40_000:], whole[40_100:250_000]} {
		if i == 0 {
			continue
		}
		body, err := read(readers[i].Body)
		readers[i].Body.Close()
		if err != nil || !bytes.Equal(body, want) {
			t.Errorf("%d: %d bytes, %v", i, len(body), err)
		}
	}
	if g := obtain(t, c, base+"/1.ts"); !bytes.Equal(g.body, whole) || g.Served.Status != Hit || asked.Load() != 1 {
		t.Errorf("%v; %d requests", g.Served.Status, asked.Load())
	}
	quiet(t, c)
}

// TestAllLeave: a fill that nobody waits for ends, unless it is nearly done; who comes after that begins another.
func TestAllLeave(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		came int // bytes before all leave
		size int
		on   bool // it goes on
	}{
		"before the head": {came: -1, size: 1_000_000}, "at the head": {came: 0, size: 1_000_000}, "early": {came: 100_000, size: 1_000_000},
		"at three quarters": {came: 760_000, size: 1_000_000, on: true}, "with little missing": {came: 30_000, size: 80_000, on: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := bytesOf(row.size, 9)
			ended, asked, goOn := make(chan error, 2), atomic.Int64{}, make(chan struct{})
			c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > 1 {
					_, _ = w.Write(body)
					return
				}
				if row.came >= 0 {
					w.Header().Set("Content-Length", fmt.Sprint(row.size))
					_, _ = w.Write(body[:row.came])
					_ = http.NewResponseController(w).Flush()
				}
				select {
				case <-r.Context().Done():
					ended <- r.Context().Err()
				case <-goOn:
					_, err := w.Write(body[row.came:])
					ended <- err
				}
			})
			ctx, leave := context.WithCancel(t.Context())
			var work sync.WaitGroup
			for range 3 {
				work.Go(func() {
					m, err := c.Open(ctx, http.MethodGet, one(base+"/1.ts"), nil)
					if err != nil {
						if !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
						return
					}
					_, _ = io.Copy(io.Discard, m.Body)
					m.Body.Close()
				})
			}
			joined(t, c, 3)
			for asked.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			if row.came >= 0 {
				c.cache.mu.Lock()
				f := c.cache.objects[base+"/1.ts"].fill
				c.cache.mu.Unlock()
				wrote := func() int64 { return f.written.Load() }
				headed := func() bool {
					select {
					case <-f.head:
						return true
					default:
						return false
					}
				}
				for wrote() < int64(row.came) || !headed() {
					time.Sleep(time.Millisecond)
				}
			}
			leave()
			work.Wait()
			if row.on {
				close(goOn)
			}
			if err := <-ended; (err == nil) != row.on {
				t.Errorf("at the origin: %v", err)
			}
			quiet(t, c)
			if g := obtain(t, c, base+"/1.ts"); !bytes.Equal(g.body, body) || (g.Served.Status == Hit) != row.on {
				t.Errorf("%d bytes, %v, %v", len(g.body), g.Served.Status, g.err)
			}
			quiet(t, c)
		})
	}
}

// TestBrokenFill: a body that breaks off is an error to all its readers, is not kept, and what was there before it stays.
func TestBrokenFill(t *testing.T) {
	t.Parallel()
	for name, framing := range map[string]string{"length": "length", "chunked": "chunked", "reset": "reset"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := bytesOf(200_000, 5)
			var asked atomic.Int64
			open := make(chan struct{})
			c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) > 1 {
					_, _ = w.Write(body)
					return
				}
				if framing == "length" {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				_, _ = w.Write(body[:100_000])
				_ = http.NewResponseController(w).Flush()
				<-open
				if framing == "reset" {
					conn, _, err := http.NewResponseController(w).Hijack()
					if err == nil {
						conn.Close()
					}
					return
				}
				panic(http.ErrAbortHandler)
			})
			all := make(chan []got)
			go func() { all <- crowd(t, c, 20, base+"/1.ts") }()
			joined(t, c, 20)
			close(open)
			for _, g := range <-all {
				if g.err == nil || !bytes.Equal(g.body, body[:len(g.body)]) {
					t.Errorf("%d bytes, %v", len(g.body), g.err)
				}
			}
			quiet(t, c)
			if used := c.cache.memory.used.Load(); used != 0 {
				t.Errorf("%d bytes are kept", used)
			}
			if g := obtain(t, c, base+"/1.ts"); !bytes.Equal(g.body, body) {
				t.Error(g.err)
			}
			quiet(t, c)
		})
	}
}

// TestGiftEnds: who got an answer that is not shared ends its fetch when he leaves, though the origin is silent.
func TestGiftEnds(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ctx, leave := context.WithCancel(t.Context())
	m, err := c.Open(ctx, http.MethodGet, one(base+"/1.ts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, leave)
	began := time.Now()
	if _, err := io.ReadAll(m.Body); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	m.Body.Close()
	<-ended
	quiet(t, c)
}

// TestOutdatedFill: who comes while a body dribbles in that has been too old for a while gets one that is not.
func TestOutdatedFill(t *testing.T) {
	t.Parallel()
	versions := atomic.Int64{}
	bubbleSlow(t, func(r *http.Request) *http.Response {
		v := versions.Add(1)
		resp := answerOf(r, 200, "Cache-Control", "max-age=1")
		in, out := io.Pipe()
		resp.Body, resp.ContentLength = in, 4
		go func() {
			if fmt.Fprintf(out, "v%d", v); v == 1 {
				time.Sleep(8 * s)
			}
			fmt.Fprintf(out, "v%d", v)
			out.Close()
		}()
		return resp
	}, func(t *testing.T, c *Client) {
		first, err := c.Open(t.Context(), http.MethodGet, one(thing), nil)
		if err != nil {
			t.Fatal(err)
		}
		after(500 * time.Millisecond)
		near, err := c.Open(t.Context(), http.MethodGet, one(thing), nil)
		if err != nil {
			t.Fatal(err)
		}
		after(5 * s)
		if g := obtain(t, c, thing); string(g.body) != "v2v2" {
			t.Errorf("%q, %v", g.body, g.err)
		}
		after(5 * s)
		for _, m := range []*Media{first, near} {
			if body, err := read(m.Body); string(body) != "v1v1" {
				t.Errorf("%q, %v", body, err)
			}
			m.Body.Close()
		}
		if g := obtain(t, c, thing); string(g.body) != "v3v3" {
			t.Errorf("%q, %v", g.body, g.err)
		}
	})
}
