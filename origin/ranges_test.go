package origin

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// rangeHeaders is a table of hundreds of Range headers for a body of n bytes: those that mean something, and those that are near it.
func rangeHeaders(n int64) (all []string) {
	edges := []int64{0, 1, 2, n / 2, n - 2, n - 1, n, n + 1, 1<<53 - 1, 1<<63 - 1}
	for _, from := range edges {
		all = append(all, fmt.Sprintf("bytes=%d-", from), fmt.Sprintf("bytes=-%d", from))
		for _, to := range edges {
			all = append(all, fmt.Sprintf("bytes=%d-%d", from, to))
		}
	}
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for range 150 {
		from := r.Int64N(n)
		all = append(all, fmt.Sprintf("bytes=%d-%d", from, from+r.Int64N(n)), fmt.Sprintf("bytes=%d-", from), fmt.Sprintf("bytes=-%d", 1+r.Int64N(2*n)))
	}
	return append(all, "bytes= 1 - 3 ", "bytes=01-003", "bytes=1-3,5-7", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "seconds=1-2", "bytes 1-2", "=1-2", "bytes=--1",
		"bytes=+1-2", "bytes=1-+2", "bytes=99999999999999999999999-", "bytes=0-99999999999999999999999", "bytes=-99999999999999999999999", "bytes=5-1")
}

// opinion is what net/http says to a range of a body.
func opinion(body []byte, header string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", header)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	return w
}

// agrees compares an answer with net/http's. A range that is malformed, or names several parts, is answered with the whole, as it may be (RFC 9110,
// 14.2), where net/http refuses it or sends several; the last zero bytes are none, where net/http sends an empty part.
func agrees(g got, body []byte, header string) error {
	if g.err != nil {
		return g.err
	}
	part := readRange(header)
	want := opinion(body, header)
	switch {
	case !part.given:
		want = opinion(body, "")
	case part.first < 0 && part.last == 0:
		want = opinion(body, fmt.Sprintf("bytes=%d-", len(body)))
	case header == "bytes=0-99999999999999999999999":
		want = opinion(body, "bytes=0-")
	case header == "bytes=99999999999999999999999-":
		want = opinion(body, fmt.Sprintf("bytes=%d-", len(body)))
	case header == "bytes=-99999999999999999999999":
		want = opinion(body, fmt.Sprintf("bytes=-%d", len(body)))
	}
	text := want.Body.Bytes()
	if want.Code == http.StatusRequestedRangeNotSatisfiable {
		text = nil
	}
	if g.Status == http.StatusOK && want.Code == http.StatusPartialContent && part.whole() { // all of it is a whole too
		want.Code = http.StatusOK
		want.Header().Del("Content-Range")
	}
	if g.Status != want.Code || !bytes.Equal(g.body, text) || g.Header.Get("Content-Range") != want.Header().Get("Content-Range") || g.Length != int64(len(text)) {
		return fmt.Errorf("%d, %d bytes, length %d, %q; net/http: %d, %d bytes, %q", g.Status, len(g.body), g.Length, g.Header.Get("Content-Range"), want.Code,
			len(text), want.Header().Get("Content-Range"))
	}
	return nil
}

// TestRanges compares with a second opinion what is answered to hundreds of ranges: from what is there, from an origin that knows ranges, from
// one that does not, and from what is on its way.
func TestRanges(t *testing.T) {
	t.Parallel()
	const n = 100_000
	body := bytesOf(n, 7)
	var asked atomic.Int64
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=100")
		w.Header().Set("Etag", `"a"`)
		switch r.URL.Path {
		case "/without":
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write(body)
			return
		case "/slow":
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write(body[:n/2])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
			_, _ = w.Write(body[n/2:])
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	headers := rangeHeaders(n)
	obtain(t, c, base+"/warm")
	for i, header := range headers {
		before := asked.Load()
		if err := agrees(obtain(t, c, base+"/warm", "Range", header), body, header); err != nil || asked.Load() != before {
			t.Errorf("warm, %q: %v", header, err)
		}
		u := fmt.Sprintf("%s/cold?%d", base, i)
		for range 2 {
			if err := agrees(obtain(t, c, u, "Range", header), body, header); err != nil {
				t.Errorf("cold, %q: %v", header, err)
			}
		}
		// Nobody needs the body for the last zero bytes: the fetch is given up as soon as the first has his answer, or is not.
		if n := asked.Load() - before; n != 1 && !(n == 2 && readRange(header).none()) {
			t.Errorf("cold, %q: asked %d times", header, n)
		}
		if i%4 == 0 {
			before = asked.Load()
			for range 2 {
				if err := agrees(obtain(t, c, fmt.Sprintf("%s/without?%d", base, i), "Range", header), body, header); err != nil {
					t.Errorf("of an origin without ranges, %q: %v", header, err)
				}
			}
			// Who needs no more than its beginning leaves early, and with him the fetch.
			if _, to, ok := readRange(header).of(n); asked.Load()-before != 1 && ok && to > n-nearlyBytes {
				t.Errorf("without, %q: asked %d times", header, asked.Load()-before)
			}
		}
	}
	// While the whole is on its way.
	for i, header := range headers {
		if i%8 > 0 {
			continue
		}
		before := asked.Load()
		u := fmt.Sprintf("%s/slow?%d", base, i)
		m, err := c.Open(t.Context(), http.MethodGet, one(u), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := agrees(obtain(t, c, u, "Range", header), body, header); err != nil {
			t.Errorf("on its way, %q: %v", header, err)
		}
		if whole, err := read(m.Body); err != nil || !bytes.Equal(whole, body) {
			t.Error(err)
		}
		m.Body.Close()
		if asked.Load()-before != 1 {
			t.Errorf("on its way, %q: asked %d times", header, asked.Load()-before)
		}
	}
	quiet(t, c)
}

// TestFarRange: a range deep in something large, of an origin that does not know ranges, is one request.
func TestFarRange(t *testing.T) {
	t.Parallel()
	body := bytesOf(3<<20, 1)
	var asked atomic.Int64
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
	header := "bytes=3000000-3000999"
	if err := agrees(obtain(t, c, base+"/1.mp4", "Range", header), body, header); err != nil || asked.Load() != 1 {
		t.Errorf("%v; asked %d times", err, asked.Load())
	}
}

// TestFarFromFill: a range far ahead of where the whole has come is fetched by itself, and waits for nobody.
func TestFarFromFill(t *testing.T) {
	t.Parallel()
	body := bytesOf(4<<20, 1)
	open := make(chan struct{})
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body[:1000])
			_ = http.NewResponseController(w).Flush()
			<-open
			_, _ = w.Write(body[1000:])
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	m, err := c.Open(t.Context(), http.MethodGet, one(base+"/1.mp4"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"bytes=4000000-4000999", "bytes=-1000", "bytes=4000000-"} {
		if err := agrees(obtain(t, c, base+"/1.mp4", "Range", header), body, header); err != nil {
			t.Error(err)
		}
	}
	close(open)
	if whole, err := read(m.Body); err != nil || !bytes.Equal(whole, body) {
		t.Error(err)
	}
	m.Body.Close()
	quiet(t, c)
}

// TestConditions: If-Range, If-None-Match and If-Modified-Since, of what is there and of what is on its way.
func TestConditions(t *testing.T) {
	t.Parallel()
	body := bytesOf(1000, 3)
	modified := epoch.Format(http.TimeFormat)
	for _, warm := range []bool{true, false} {
		for i, row := range []struct {
			fields []string
			want   int
		}{
			{[]string{"If-None-Match", `"a"`}, 304}, {[]string{"If-None-Match", `"x", W/"a"`}, 304}, {[]string{"If-None-Match", "*"}, 304},
			{[]string{"If-None-Match", `"b"`}, 200}, {[]string{"If-None-Match", `"b"`, "If-Modified-Since", modified}, 200},
			{[]string{"If-Modified-Since", modified}, 304}, {[]string{"If-Modified-Since", epoch.Add(-s).Format(http.TimeFormat)}, 200},
			{[]string{"If-Modified-Since", "yesterday"}, 200}, {[]string{"If-None-Match", `"a"`, "Range", "bytes=1-2"}, 304},
			{[]string{"If-Range", `"a"`, "Range", "bytes=1-2"}, 206}, {[]string{"If-Range", `"b"`, "Range", "bytes=1-2"}, 200},
			{[]string{"If-Range", `W/"a"`, "Range", "bytes=1-2"}, 200}, {[]string{"If-Range", modified, "Range", "bytes=1-2"}, 206},
			{[]string{"If-Range", epoch.Add(s).Format(http.TimeFormat), "Range", "bytes=1-2"}, 200}, {[]string{"If-Range", `"a"`}, 200},
			{[]string{"If-Range", `"b"`, "Range", "bytes=5000-"}, 200}, {[]string{"If-Range", `"a"`, "Range", "bytes=5000-"}, 416},
		} {
			c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"a"`)
				http.ServeContent(w, r, "x.ts", epoch, bytes.NewReader(body))
			})
			if warm {
				obtain(t, c, base+"/1.ts")
			}
			g := obtain(t, c, base+"/1.ts", row.fields...)
			want := map[int][]byte{200: body, 206: body[1:3]}[row.want]
			if g.err != nil || g.Status != row.want || !bytes.Equal(g.body, want) || g.Header.Get("Etag") != `"a"` {
				t.Errorf("%d, warm %v, %v: %d, %d bytes, %v", i, warm, row.fields, g.Status, len(g.body), g.err)
			}
		}
	}
}
