package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

const hlsJS = "player/node_modules/hls.js/dist/hls.min.js"

// startPlayer serves the page that plays with hls.js. It is another origin than the edge, as a broadcaster's site is: what it plays must
// come with CORS headers.
func startPlayer(t testing.TB) *httptest.Server {
	t.Helper()
	if _, err := os.Stat(hlsJS); err != nil {
		t.Fatalf("hls.js is not installed: run make test, which installs it (%v)", err)
	}
	mux := http.NewServeMux()
	for path, file := range map[string]string{
		"/player.html": "player/player.html",
		"/player.js":   "player/player.js",
		"/audio.html":  "player/audio.html",
		"/hls.js":      hlsJS,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	mux.Handle("/", http.FileServer(http.Dir("player")))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}
