package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// libraries are the players that the pages load.
var libraries = map[string]string{
	"/hls.js":     "player/node_modules/hls.js/dist/hls.min.js",
	"/videojs.js": "player/node_modules/video.js/dist/video.min.js",
	"/shaka.js":   "player/node_modules/shaka-player/dist/shaka-player.compiled-es2021.js",
}

// startPlayer serves the pages that play. It is another origin than the edge, as a broadcaster's site is: what it plays must
// come with CORS headers.
func startPlayer(t testing.TB) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for path, file := range libraries {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("a player is not installed: run make test, which installs it (%v)", err)
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	mux.Handle("/", http.FileServer(http.Dir("player")))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}
