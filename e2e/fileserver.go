package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fileServer is a plain origin: a directory over HTTP. It remembers what was asked of it, and how long the segments are that its
// playlists named.
type fileServer struct {
	*httptest.Server
	dir string

	mu        sync.Mutex
	requests  []url.URL
	durations map[string]float64 // segment's path -> its EXTINF, seconds
}

func startFileServer(t testing.TB, dir string) *fileServer {
	t.Helper()
	s := &fileServer{dir: dir, durations: make(map[string]float64)}
	files := http.FileServer(http.Dir(dir))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note(r.URL)
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *fileServer) note(u *url.URL) {
	var playlist []byte
	if strings.HasSuffix(u.Path, ".m3u8") {
		// Not what is sent, which may be a moment newer; segments once named keep their duration, so both are true.
		playlist, _ = os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(path.Clean(u.Path))))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, *u)
	s.learn(path.Dir(u.Path), string(playlist))
}

// learn takes the durations out of a media playlist in folder.
func (s *fileServer) learn(folder, playlist string) {
	var duration float64
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		if value, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
			value, _, _ = strings.Cut(value, ",")
			duration, _ = strconv.ParseFloat(value, 64)
		} else if line != "" && line[0] != '#' && duration > 0 {
			s.durations[path.Join(folder, line)] = duration
			duration = 0
		}
	}
}

// duration returns the EXTINF of a segment by its path, in seconds.
func (s *fileServer) duration(segment string) (seconds float64, named bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seconds, named = s.durations[segment]
	return seconds, named
}

// asked returns the URLs that were asked for.
func (s *fileServer) asked() []url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.URL(nil), s.requests...)
}
