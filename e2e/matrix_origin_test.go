package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stage is an origin where each play has a folder of its own, /NAME/, with the content it asks for. It is asked by players directly, for which
// it allows other sites what the edge does, and by the edge, and remembers what each play came to.
type stage struct {
	*httptest.Server
	library *library

	mu    sync.Mutex
	plays map[string]*play // by name
}

// play is what the origin has seen of one.
type play struct {
	kind     kind
	began    time.Time // when the playlist that grows was first asked for
	requests []fetched
	leaks    []string // URLs with our parameters in them
}

// Of an EVENT, the segments that there are at first, and how often another comes. It is over soon, and not before a player that asks
// once in a target duration, which is a second, has seen it grow. The last segment comes with the end tag: VHS, which has all segments when
// the tag comes, plays to the end and does not see that it is one.
const (
	eventHead  = 4
	eventEvery = 500 * time.Millisecond
)

func startStage(t testing.TB, l *library) *stage {
	t.Helper()
	s := &stage{library: l, plays: make(map[string]*play)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// add makes room for a play, and returns its folder's URL.
func (s *stage) add(name string, k kind) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plays[name] = &play{kind: k}
	return s.URL + "/" + name + "/"
}

// typeOf is written down, because not all machines agree on what .ts is.
var typeOf = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4", ".m4s": "video/iso.segment", ".aac": "audio/aac",
	".mp3": "audio/mpeg", ".vtt": "text/vtt", ".key": "application/octet-stream",
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(path.Clean(r.URL.Path), "/"), "/")
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Age, Date, Content-Length, Content-Range, Cache-Status")
	s.mu.Lock()
	p := s.plays[name]
	s.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}
	if rest == p.kind.slow {
		time.Sleep(500 * time.Millisecond)
	}
	c := &countingWriter{ResponseWriter: w, status: http.StatusOK}
	file := filepath.Join(s.library.dir, p.kind.name, filepath.FromSlash(rest))
	h.Set("Content-Type", typeOf[path.Ext(rest)])
	if p.kind.grows && rest == p.kind.variants[0] {
		c.Write(s.soFar(p, file))
	} else {
		http.ServeFile(c, r, file)
	}
	s.note(p, r, fetched{URL: rest, Range: r.Header.Get("Range"), Status: c.status, Bytes: c.bytes})
}

func (s *stage) note(p *play, r *http.Request, q fetched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.requests = append(p.requests, q)
	for _, name := range ours {
		if r.URL.Query().Has(name) {
			p.leaks = append(p.leaks, r.URL.String())
		}
	}
}

// soFar is the growing playlist: of the whole, what there is by now.
func (s *stage) soFar(p *play, file string) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.began.IsZero() {
		p.began = time.Now()
	}
	// The first holds what comes before, the last is the end tag.
	pieces := strings.SplitAfter(string(text), ".ts\n")
	n := eventHead + int(time.Since(p.began)/eventEvery)
	if n >= len(pieces)-1 {
		n = len(pieces)
	}
	return []byte(strings.Join(pieces[:n], ""))
}

// seen is what the origin saw of a play.
func (s *stage) seen(name string) (requests []fetched, leaks []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plays[name]
	return append([]fetched(nil), p.requests...), p.leaks
}

// countingWriter knows what was answered.
type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}
