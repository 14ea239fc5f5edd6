package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const mediaText = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n"

// serve is an origin that answers with f, and a client for it.
func serve(t *testing.T, opt Options, f http.HandlerFunc) (*Client, string) {
	t.Helper()
	s := httptest.NewServer(f)
	c := New(opt)
	t.Cleanup(func() {
		c.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return c, s.URL
}

// serveRaw is serve for an origin that need not speak HTTP: f answers each connection once its request has come.
func serveRaw(t *testing.T, opt Options, f func(net.Conn)) (*Client, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096)) // a request without a body comes in one piece
			f(conn)
			conn.Close()
		}
	}()
	c := New(opt)
	t.Cleanup(func() {
		l.Close()
		<-done
		c.Close()
	})
	return c, "http://" + l.Addr().String()
}

func one(u string) Source { return Source{URLs: []string{u}} }

// anywhere follows every redirect.
func anywhere(*url.URL) bool { return true }

func TestOpen(t *testing.T) {
	t.Parallel()
	c, base := serve(t, Options{UserAgent: "earshot/test"}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") != "earshot/test" || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("the header is %v", r.Header)
		}
		http.ServeContent(w, r, "1.ts", time.Time{}, strings.NewReader("0123456789"))
	})
	m, err := c.Open(t.Context(), http.MethodGet, one(base+"/1.ts"), http.Header{"Range": {"bytes=2-4"}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	body, err := io.ReadAll(m.Body)
	if err != nil || string(body) != "234" || m.Status != http.StatusPartialContent || m.Length != 3 {
		t.Errorf("%d, length %d: %q, %v", m.Status, m.Length, body, err)
	}
}

// TestHeads: what an origin says first, and what it is to us. Playlists and media agree on it.
func TestHeads(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, row := range map[string]struct {
		answer  string
		want    error
		outcome string
	}{
		"404":      {"HTTP/1.1 404 Not Found\r\n\r\n", ErrNotFound, "not-found"},
		"410":      {"HTTP/1.1 410 Gone\r\n\r\n", ErrNotFound, "not-found"},
		"403":      {"HTTP/1.1 403 Forbidden\r\n\r\n", ErrAnswer, "bad-answer"},
		"204":      {"HTTP/1.1 204 No Content\r\n\r\n", ErrAnswer, "bad-answer"},
		"500":      {"HTTP/1.1 500 Internal Server Error\r\n\r\n", ErrAnswer, "bad-answer"},
		"noise":    {"220 smtp.example ESMTP\r\n", ErrAnswer, "bad-answer"},
		"long":     {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 100_000) + "\r\n\r\n", ErrAnswer, "bad-answer"},
		"nothing":  {"", ErrUnreachable, "unreachable"},
		"half":     {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", ErrUnreachable, "unreachable"},
		"away":     {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\n\r\n", ErrRedirect, "redirect"},
		"no where": {"HTTP/1.1 302 Found\r\n\r\n", ErrAnswer, "bad-answer"},
		"refused":  {"", ErrUnreachable, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			c, base := serveRaw(t, Options{Metrics: NewMetrics(registry)}, func(conn net.Conn) { _, _ = io.WriteString(conn, row.answer) })
			if name == "refused" {
				base = "http://" + closed.Addr().String()
			}
			if _, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8")); !errors.Is(err, row.want) {
				t.Errorf("playlist: %v, want %v", err, row.want)
			}
			if _, err := c.Open(t.Context(), http.MethodGet, one(base+"/x.ts"), nil); !errors.Is(err, row.want) {
				t.Errorf("media: %v, want %v", err, row.want)
			}
			for _, kind := range []string{"playlist", "media"} {
				if n := counted(t, registry, kind, row.outcome); n != 1 {
					t.Errorf("%v fetches of %s counted as %s", n, kind, row.outcome)
				}
			}
		})
	}
}

// counted reads earshot_origin_fetches_total.
func counted(t *testing.T, registry *prometheus.Registry, kind, outcome string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "earshot_origin_fetches_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); l[0].GetValue() == kind && l[1].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		var hops int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d.m3u8", &hops); err == nil && hops > 0 {
			http.Redirect(w, r, fmt.Sprintf("/%d.m3u8", hops-1), http.StatusFound)
			return
		}
		fmt.Fprint(w, mediaText)
	})
	for _, row := range []struct {
		path   string
		follow func(*url.URL) bool
		want   error
	}{
		{"/0.m3u8", nil, nil}, {"/1.m3u8", nil, ErrRedirect}, {"/1.m3u8", anywhere, nil},
		{fmt.Sprintf("/%d.m3u8", maxRedirects), anywhere, nil}, {fmt.Sprintf("/%d.m3u8", maxRedirects+1), anywhere, ErrRedirect},
		{"/2.m3u8", func(u *url.URL) bool { return u.Path != "/0.m3u8" }, ErrRedirect},
	} {
		p, _, err := c.Playlist(t.Context(), Source{URLs: []string{base + row.path}, Follow: row.follow})
		if !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.path, err, row.want)
		}
		if err == nil && p.URL.Path != "/0.m3u8" {
			t.Errorf("%s: fetched from %s in the end", row.path, p.URL)
		}
	}
}

// TestFailover: the next origin is asked when one fails by its own fault, and not when it does not have the thing.
func TestFailover(t *testing.T) {
	t.Parallel()
	bad, good := 0, 0
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad.m3u8":
			bad++
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/none.m3u8":
			w.WriteHeader(http.StatusNotFound)
		default:
			good++
			fmt.Fprint(w, mediaText)
		}
	})
	if _, _, err := c.Playlist(t.Context(), Source{URLs: []string{"http://127.0.0.1:1/x.m3u8", base + "/bad.m3u8", base + "/good.m3u8"}}); err != nil || bad != 1 || good != 1 {
		t.Errorf("%v; the bad one was asked %d times, the good one %d", err, bad, good)
	}
	if _, _, err := c.Playlist(t.Context(), Source{URLs: []string{base + "/none.m3u8", base + "/good.m3u8"}}); !errors.Is(err, ErrNotFound) || good != 1 {
		t.Errorf("%v; the good one was asked %d times", err, good)
	}
}

// TestHold: a blocking playlist reload may take longer than another request (rfc8216bis, 6.2.5.2).
func TestHold(t *testing.T) {
	t.Parallel()
	const held = 300 * time.Millisecond
	c, base := serve(t, Options{HeaderTimeout: held / 6, HoldTimeout: 20 * held}, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(held)
		fmt.Fprint(w, mediaText)
	})
	if _, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8?a=b&_HLS_msn=4&_HLS_part=0")); err != nil {
		t.Errorf("held: %v", err)
	}
	if _, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8?a=b")); !errors.Is(err, ErrTimeout) {
		t.Errorf("slow: %v", err)
	}
}

// TestSilence: an origin that takes a request and does not answer, or stops in the middle, is given up.
func TestSilence(t *testing.T) {
	t.Parallel()
	const limit = 200 * time.Millisecond
	opt := Options{HeaderTimeout: limit, StallTimeout: limit}
	hang := func(begin string) func(net.Conn) {
		return func(conn net.Conn) {
			for i := range begin { // drip-fed: every byte in time
				_, _ = io.WriteString(conn, begin[i:i+1])
				time.Sleep(2 * time.Millisecond)
			}
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
	for name, begin := range map[string]string{"no head": "", "half a head": head[:20], "no body": head, "half a body": head + mediaText} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, base := serveRaw(t, opt, hang(begin))
			began := time.Now()
			if _, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8")); !errors.Is(err, ErrTimeout) {
				t.Errorf("playlist: %v", err)
			}
			m, err := c.Open(t.Context(), http.MethodGet, one(base+"/x.ts"), nil)
			if err == nil {
				_, err = io.ReadAll(m.Body)
				m.Body.Close()
			}
			if !errors.Is(err, ErrTimeout) {
				t.Errorf("media: %v", err)
			}
			if took := time.Since(began); took > 50*limit {
				t.Errorf("given up after %v", took)
			}
		})
	}
}

// TestSlowReader: that a listener is slow is no fault of the origin's, however long he leaves it waiting.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	c, base := serve(t, Options{StallTimeout: limit}, func(w http.ResponseWriter, _ *http.Request) {
		for range 4 {
			_, _ = w.Write(make([]byte, 1<<20)) // more than the kernels hold
		}
	})
	m, err := c.Open(t.Context(), http.MethodGet, one(base+"/x.ts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	for range 3 {
		time.Sleep(2 * limit)
		if _, err := io.ReadFull(m.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := io.Copy(io.Discard, m.Body); err != nil || n != 4<<20-3000 {
		t.Errorf("%d bytes more, %v", n, err)
	}
}

// TestShortMedia: a body that ends before its length is an error to whoever reads it.
func TestShortMedia(t *testing.T) {
	t.Parallel()
	c, base := serveRaw(t, Options{}, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") })
	m, err := c.Open(t.Context(), http.MethodGet, one(base+"/x.ts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	if b, err := io.ReadAll(m.Body); string(b) != "abc" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", b, err)
	}
}

// TestLeaving: a listener who leaves ends the fetch of his segment.
func TestLeaving(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	c, base := serve(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	})
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	if _, err := c.Open(ctx, http.MethodGet, one(base+"/x.ts"), nil); err == nil {
		t.Error("it was answered")
	}
	<-ended
}
