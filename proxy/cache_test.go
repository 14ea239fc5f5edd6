package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/listen"
)

// cached is a segment that an origin tells much of.
var cached = func() []byte {
	b := make([]byte, 300_000)
	for i := range b {
		b[i] = byte(i * 7 >> (i & 7))
	}
	return b
}()

func serveCached(asked *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h := w.Header()
		for name, v := range map[string]string{"Set-Cookie": "a=b", "Server": "packager/1", "Alt-Svc": `h3=":443"`, "Via": "1.1 x", "X-Powered-By": "y",
			"Access-Control-Allow-Origin": "https://elsewhere.example", "Strict-Transport-Security": "max-age=1", "Keep-Alive": "timeout=5",
			"Content-Type": "video/mp2t", "Etag": `"a"`, "Cache-Control": "max-age=100", "Age": "7"} {
			h.Set(name, v)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(cached))
	}
}

// request asks the edge, with header fields in pairs.
func (r *road) request(method, path string, fields ...string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, body
}

// TestCachedHeads: what players are told of a cached segment, and what not.
func TestCachedHeads(t *testing.T) {
	var asked atomic.Int64
	r := newRoad(t, map[string]http.HandlerFunc{"/c.ts": serveCached(&asked)})
	for i, row := range []struct {
		method, path string
		fields       []string
		status       int
		cache        string // Cache-Status
	}{
		{"GET", "c.ts", nil, 200, "Earshot; fwd=uri-miss; fwd-status=200; stored; ttl=9"},
		{"GET", "c.ts", nil, 200, "Earshot; hit; ttl="},
		{"GET", "c.ts?X-Playback-Session-Id=abc&CMCD=bl%3D1", nil, 200, "Earshot; hit; ttl="},
		{"GET", "c.ts?earshot=x", []string{"CMCD-Session", `sid="x"`}, 200, "Earshot; hit; ttl="},
		{"GET", "c.ts", []string{"Range", "bytes=10-19"}, 206, "Earshot; hit; ttl="},
		{"GET", "c.ts", []string{"Range", "bytes=300000-"}, 416, "Earshot; hit; ttl="},
		{"GET", "c.ts", []string{"If-None-Match", `"a"`}, 304, "Earshot; hit; ttl="},
		{"HEAD", "c.ts", nil, 200, "Earshot; hit; ttl="},
		{"GET", "c.ts?version=2", nil, 200, "Earshot; fwd=uri-miss; fwd-status=200; stored; ttl=9"},
	} {
		resp, body := r.request(row.method, row.path, row.fields...)
		h := resp.Header
		if resp.StatusCode != row.status || !strings.HasPrefix(h.Get("Cache-Status"), row.cache) {
			t.Errorf("%d: %s, %q", i, resp.Status, h.Get("Cache-Status"))
		}
		age, err := strconv.Atoi(h.Get("Age"))
		if err != nil || age < 7 || age > 20 {
			t.Errorf("%d: Age %q", i, h.Get("Age"))
		}
		for _, name := range []string{"Set-Cookie", "Alt-Svc", "Via", "X-Powered-By", "Strict-Transport-Security", "Keep-Alive"} {
			if h.Get(name) != "" {
				t.Errorf("%d: %s: %s passes", i, name, h.Get(name))
			}
		}
		if v := h.Get("Server"); strings.Contains(v, "packager") || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Etag") != `"a"` {
			t.Errorf("%d: %v", i, h)
		}
		want := map[int][]byte{200: cached, 206: cached[10:20]}[row.status]
		if row.method == "HEAD" {
			want = nil
			if resp.ContentLength != int64(len(cached)) {
				t.Errorf("%d: length %d", i, resp.ContentLength)
			}
		}
		if !bytes.Equal(body, want) {
			t.Errorf("%d: %d bytes", i, len(body))
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the origin was asked %d times", asked.Load())
	}
}

// TestCachedRanges compares the ranges that players get, of what is there and of what is not, with net/http's own; the book has every byte.
func TestCachedRanges(t *testing.T) {
	var asked atomic.Int64
	r := newRoad(t, map[string]http.HandlerFunc{"/c.ts": serveCached(&asked)})
	var sent int64
	n := len(cached)
	for _, header := range []string{"bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-70000", fmt.Sprintf("bytes=%d-", n-1), "bytes=100-100099", "bytes=299999-400000",
		"bytes=0-9007199254740990", "bytes=5000-9007199254740990", "bytes=-9007199254740991", fmt.Sprintf("bytes=%d-", n), "bytes=9007199254740990-", "bytes=32768-65535"} {
		want := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Range", header)
		http.ServeContent(want, req, "", time.Time{}, bytes.NewReader(cached))
		for _, query := range []string{"", "?cold=" + header[6:]} {
			resp, body := r.request(http.MethodGet, "c.ts"+query, "Range", header)
			status, text := want.Code, want.Body.Bytes()
			if resp.StatusCode == http.StatusOK && header == "bytes=0-" {
				status = http.StatusOK
			}
			if status == http.StatusRequestedRangeNotSatisfiable {
				text = nil
			}
			if resp.StatusCode != status || !bytes.Equal(body, text) || status != 200 && resp.Header.Get("Content-Range") != want.Header().Get("Content-Range") {
				t.Errorf("%s, %q: %s, %d bytes, %q; net/http: %d, %d bytes, %q", header, query, resp.Status, len(body), resp.Header.Get("Content-Range"),
					want.Code, len(text), want.Header().Get("Content-Range"))
			}
			sent += int64(len(body))
		}
		if header == "bytes=0-" {
			r.request(http.MethodHead, "c.ts") // is no byte in the book
		}
	}
	var booked int64
	for deadline := time.Now().Add(5 * time.Second); booked != sent; time.Sleep(5 * time.Millisecond) {
		booked = 0
		r.book.Each(func(a *listen.Account) bool { booked += a.Snapshot().Bytes; return true })
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are in the book, %d were sent", booked, sent)
		}
	}
}

// TestThousandListeners: a thousand who ask for a segment that the edge has not make one request, and each has all of it, and is booked for it.
func TestThousandListeners(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	var asked atomic.Int64
	open := make(chan struct{})
	r := newRoad(t, map[string]http.HandlerFunc{"/c.ts": func(w http.ResponseWriter, req *http.Request) {
		<-open
		serveCached(&asked)(w, req)
	}})
	want := sha256.Sum256(cached)
	collapsed := atomic.Int64{}
	var work, sent sync.WaitGroup
	sent.Add(n)
	for range n {
		work.Go(func() {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				sent.Done()
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprint(c, "GET /news/c.ts?X-Playback-Session-Id=one HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			sent.Done()
			answer, err := io.ReadAll(c)
			head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
			if err != nil || !ok || sha256.Sum256(body) != want {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			if bytes.Contains(head, []byte("; collapsed")) {
				collapsed.Add(1)
			}
		})
	}
	sent.Wait()
	for end := time.Now().Add(time.Minute); r.came.Load() < int64(n) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // most are waiting by now
	close(open)
	work.Wait()
	if asked.Load() != 1 || collapsed.Load() < int64(n/2) {
		t.Errorf("%d requests; %d of %d were collapsed", asked.Load(), collapsed.Load(), n)
	}
	if s := r.heard(); s.Bytes != int64(n*len(cached)) {
		t.Errorf("%d bytes are in the book, %d were sent", s.Bytes, n*len(cached))
	}
}

// TestBrokenForAll: when the origin breaks off, all who have some of a segment see that it is not whole, and are booked for what they have.
func TestBrokenForAll(t *testing.T) {
	const n = 50
	for _, framed := range []bool{true, false} {
		open := make(chan struct{})
		r := newRoad(t, map[string]http.HandlerFunc{"/c.ts": func(w http.ResponseWriter, _ *http.Request) {
			if framed {
				w.Header().Set("Content-Length", strconv.Itoa(len(cached)))
			}
			_, _ = w.Write(cached[:200_000])
			_ = http.NewResponseController(w).Flush()
			<-open
			panic(http.ErrAbortHandler)
		}})
		var work sync.WaitGroup
		var received atomic.Int64
		for range n {
			work.Go(func() {
				resp, err := http.Get(r.url + "c.ts?X-Playback-Session-Id=one")
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				received.Add(int64(len(body)))
				if err == nil || !bytes.HasPrefix(cached, body) {
					t.Errorf("framed %v: %d bytes look whole", framed, len(body))
				}
			})
		}
		time.AfterFunc(300*time.Millisecond, func() { close(open) })
		work.Wait()
		if s := r.heard(); s.Bytes != received.Load() {
			t.Errorf("framed %v: %d bytes are in the book, %d were received", framed, s.Bytes, received.Load())
		}
	}
}

// TestLeaverIsBooked: who takes a part of a large cached segment, which the kernel sends, and leaves, is booked for what he took and not for
// what his edge still held.
func TestLeaverIsBooked(t *testing.T) {
	large := make([]byte, 20<<20)
	r := newRoad(t, map[string]http.HandlerFunc{"/large.ts": func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "x.ts", time.Time{}, bytes.NewReader(large))
	}})
	for range 2 { // cold, then there
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).SetReadBuffer(32 << 10)
		fmt.Fprint(c, "GET /news/large.ts?X-Playback-Session-Id=one HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		c.Close()
	}
	if s := r.heard(); s.Bytes < 2<<20-2000 || s.Bytes > 2<<20+512<<10 {
		t.Errorf("%d bytes are in the book, 2 MiB were taken", s.Bytes)
	}
}
