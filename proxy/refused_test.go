package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"earshot/gate"
)

// TestRefusedAfterTheOrigin: whom there is no room for is refused when the origin has answered. Nothing that it said of its answer goes with the refusal, or a cache might keep that.
func TestRefusedAfterTheOrigin(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, field := range []string{"Cache-Control: public, max-age=3600", "ETag: \"a\"", "Last-Modified: Sat, 02 May 2026 18:00:00 GMT", "Age: 7", "Expires: Sat, 02 May 2099 18:00:00 GMT",
			"X-Origin: here", "Accept-Ranges: bytes", "Content-Type: video/mp2t"} {
			name, value, _ := strings.Cut(field, ": ")
			w.Header().Set(name, value)
		}
		if strings.HasSuffix(r.URL.Path, ".m3u8") {
			w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
			io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n1.ts\n")
			return
		}
		w.Write(make([]byte, 1000))
	}))
	t.Cleanup(up.Close)
	d := newDoorway(t, gate.Options{Limits: []gate.Limit{{Per: gate.PerAddress, Max: 1}}}, nil, &Stream{Group: "full", Path: "/full/", HLS: []string{up.URL + "/"}})
	get := func(path, agent string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", agent)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := get("/full/media.m3u8", "first"); resp.StatusCode != 200 || resp.Header.Get("Cache-Status") == "" {
		t.Fatal(resp.StatusCode, resp.Header)
	}
	own := []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Timing-Allow-Origin", "Server", "Date", "Content-Type", "Content-Length", "Cache-Control", "Retry-After"}
	for i, path := range []string{"/full/media.m3u8", "/full/1.ts", "/full/1.ts"} { // from the origin, and from the cache
		resp := get(path, fmt.Sprint("another ", i))
		h := resp.Header
		if resp.StatusCode != 403 || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/problem+json" || h.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, h)
		}
		for name := range h {
			if !slices.Contains(own, name) {
				t.Errorf("%s: %s: %s", path, name, h.Get(name))
			}
		}
	}
}
