package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stormOrigin is a slow origin of one live group: a master, two variants, a segment of each every two seconds. It counts what it is asked.
type stormOrigin struct {
	*httptest.Server
	began time.Time

	mu    sync.Mutex
	asked map[string][]time.Time // by path
}

const (
	stormSegment = 2 * time.Second // and target duration
	stormWindow  = 6
	stormFirst   = 100
)

func startStorm(t testing.TB) *stormOrigin {
	t.Helper()
	o := &stormOrigin{began: time.Now(), asked: make(map[string][]time.Time)}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// stormBody is a segment, by its path; the init section is number 0.
func stormBody(path string) []byte {
	track, name, _ := strings.Cut(strings.Trim(path, "/"), "/")
	msn, _ := strconv.Atoi(strings.TrimSuffix(name, ".m4s"))
	size := map[string]int{"hi": 160_000, "lo": 50_000}[track] + msn%7*1001
	if name == "init.mp4" {
		size = 900
	}
	from := msn * 7919 % (len(tape) - size)
	return tape[from : from+size]
}

func (o *stormOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	o.mu.Lock()
	o.asked[r.URL.Path] = append(o.asked[r.URL.Path], now)
	o.mu.Unlock()
	time.Sleep(time.Duration(20+rand.IntN(100)) * time.Millisecond)
	last := stormFirst + stormWindow + int(time.Since(o.began)/stormSegment)
	switch {
	case r.URL.Path == "/master.m3u8":
		sendPlaylist(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=640000\nhi/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=200000\nlo/index.m3u8\n")
	case strings.HasSuffix(r.URL.Path, "/index.m3u8"):
		text := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-MAP:URI=\"init.mp4\"\n", last-stormWindow)
		for msn := last - stormWindow; msn < last; msn++ {
			text += fmt.Sprintf("#EXTINF:2,\n%d.m4s\n", msn)
		}
		sendPlaylist(w, text)
	default:
		body := stormBody(r.URL.Path)
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("Cache-Control", "max-age=300")
		if strings.HasPrefix(r.URL.Path, "/hi/") { // the other is chunked
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		for n := len(body)/8 + 1; len(body) > 0; body = body[min(n, len(body)):] {
			if _, err := w.Write(body[:min(n, len(body))]); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		}
	}
}

// stormListener follows one variant, as a player does: playlist, init section, segments.
type stormListener struct {
	client   *http.Client
	address  string
	id       string // of his session
	bytes    int64  // of media received
	segments int
	slowest  time.Duration // until he had all of a segment
}

func (l *stormListener) get(u *url.URL) (body []byte, err error) {
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", l.address)
	req.Header.Set("User-Agent", "storm")
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", u.Path, resp.Status, body)
	}
	return body, err
}

// fetch gets a segment and compares it with the origin's.
func (l *stormListener) fetch(u *url.URL) error {
	began := time.Now()
	body, err := l.get(u)
	if err != nil {
		return err
	}
	l.slowest = max(l.slowest, time.Since(began))
	l.bytes += int64(len(body))
	l.segments++
	if sha256.Sum256(body) != sha256.Sum256(stormBody(strings.TrimPrefix(u.Path, "/storm"))) {
		return fmt.Errorf("%s: %d bytes, not the origin's", u.Path, len(body))
	}
	return nil
}

var stormMap = regexp.MustCompile(`#EXT-X-MAP:URI="([^"]+)"`)

// follow plays a variant until then.
func (l *stormListener) follow(master *url.URL, variant int, until time.Time) error {
	text, err := l.get(master)
	if err != nil {
		return err
	}
	list := stormURIs(string(text))
	if len(list) != 2 {
		return fmt.Errorf("the master is\n%s", text)
	}
	media, err := master.Parse(list[variant])
	if err != nil {
		return err
	}
	l.id = media.Query().Get("X-Playback-Session-Id")
	had := map[string]bool{}
	for time.Now().Before(until) {
		text, err := l.get(media)
		if err != nil {
			return err
		}
		list := stormURIs(string(text))
		list = list[len(list)-3:] // from the edge
		if m := stormMap.FindStringSubmatch(string(text)); m != nil {
			list = append([]string{m[1]}, list...)
		}
		for _, uri := range list {
			u, err := media.Parse(uri)
			if err != nil {
				return err
			}
			if had[u.Path] {
				continue
			}
			had[u.Path] = true
			if err := l.fetch(u); err != nil {
				return err
			}
		}
		time.Sleep(time.Duration(800+rand.IntN(800)) * time.Millisecond)
	}
	return nil
}

func stormURIs(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// TestStorm: a crowd comes at once to a group that the edge has not seen, before a slow origin. The origin is asked once for each segment, and for each
// playlist as seldom as its freshness allows; everybody gets the origin's bytes, and the books say so. EARSHOT_LONG=1 makes the crowd larger, and has it
// stay.
func TestStorm(t *testing.T) {
	t.Parallel()
	n, length := 300, 12*time.Second
	if os.Getenv("EARSHOT_LONG") != "" {
		n, length = 2000, time.Minute
	}
	o := startStorm(t)
	e := startEdgeAt(t, edgeConfig, filepath.Join(t.TempDir(), "data"), hlsStream("storm", "/storm/", o.URL+"/"), "")
	master, err := url.Parse(e.listen + "/storm/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: n}
	defer transport.CloseIdleConnections()
	listeners := make([]*stormListener, n)
	var failures atomic.Int64
	var crowd sync.WaitGroup
	until := time.Now().Add(length)
	for i := range listeners {
		l := &stormListener{client: &http.Client{Transport: transport, Timeout: 20 * time.Second}, address: fmt.Sprintf("198.51.%d.%d", i/250, 1+i%250)}
		listeners[i] = l
		crowd.Go(func() {
			if err := l.follow(master, i%2, until); err != nil && failures.Add(1) < 5 {
				t.Errorf("listener %d: %v", i, err)
			}
		})
	}
	crowd.Wait()
	if failures.Load() > 0 {
		t.Fatalf("%d of %d listeners failed", failures.Load(), n)
	}
	o.frugal(t)
	stormBooks(t, e, listeners)
}

// frugal checks what the origin was asked.
func (o *stormOrigin) frugal(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	segments, playlists := 0, 0
	for path, times := range o.asked {
		if !strings.HasSuffix(path, ".m3u8") {
			if segments++; len(times) != 1 {
				t.Errorf("%s was asked for %d times", path, len(times))
			}
			continue
		}
		playlists += len(times)
		fresh := stormSegment / 2
		if path == "/master.m3u8" {
			fresh = 2 * time.Second
		}
		span := times[len(times)-1].Sub(times[0])
		t.Logf("%s: %d requests in %v", path, len(times), span.Round(time.Millisecond))
		late := stoodStill(times[0].Add(-time.Second), times[len(times)-1]) // a request may have been on its way for as long
		if most := int((span+late)/fresh) + 1; len(times) > most {
			t.Errorf("%s was asked for %d times in %v, at most %d are right", path, len(times), span, most)
		}
	}
	t.Logf("%d segments, asked for once each; %d requests for playlists", segments, playlists)
}

// stormBooks compares what the listeners received with what the edge's database says.
func stormBooks(t *testing.T, e *edge, listeners []*stormListener) {
	t.Helper()
	received := make(map[string]int64)
	var all int64
	segments, slowest := 0, time.Duration(0)
	for _, l := range listeners {
		received[l.id] += l.bytes
		all += l.bytes
		segments += l.segments
		slowest = max(slowest, l.slowest)
	}
	if len(received) != len(listeners) {
		t.Errorf("%d listeners have %d sessions", len(listeners), len(received))
	}
	events, sessions := e.finalised(t, "storm")
	for name, rows := range map[string][]heard{"events": events, "sessions": sessions} {
		if len(rows) != len(received) {
			t.Errorf("%s: %d sessions, want %d", name, len(rows), len(received))
		}
		wrong := 0
		for _, h := range rows {
			if h.bytes != received[h.id] {
				if wrong++; wrong < 5 {
					t.Errorf("%s: session %s has %d bytes, received %d", name, h.id, h.bytes, received[h.id])
				}
			}
		}
	}
	text := mustGet(t, e.admin+"/metrics")
	for _, name := range []string{"earshot_cache_answers_total", "earshot_cache_bytes"} {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, name) && !strings.HasSuffix(line, " 0\n") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	t.Logf("%d listeners received %d segments, %d bytes; the slowest took %v", len(listeners), segments, all, slowest.Round(time.Millisecond))
}
