package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// matrix is what all plays share: one origin, one edge, one site with the players.
type matrix struct {
	kinds   []kind
	seconds int // played from the beginning, at least
	stage   *stage
	edge    *edge
	site    *httptest.Server

	mu         sync.Mutex
	deliveries map[string]delivery // of the plays through the edge, by name
}

// atOnce is how many kinds a browser plays at a time.
const atOnce = 4

// limit is the time in seconds that a play may take, on a machine that has other things to do.
func (m *matrix) limit() int { return 2*m.seconds + 60 }

var webPlayers = []string{"hls", "videojs", "shaka"}

// TestMatrix: each player plays each kind of content twice, from the origin and through the edge, and it makes no difference: the same requests
// in the same order, the same bytes, the same tracks, the same stretches to play, and no complaint. And the books say what was received. Like
// TestPlayers it runs before the parallel tests. EARSHOT_LONG=1 plays for longer.
func TestMatrix(t *testing.T) {
	m := startMatrix(t)
	t.Run("players", func(t *testing.T) {
		for _, player := range webPlayers {
			t.Run(player, func(t *testing.T) {
				t.Parallel()
				m.browse(t, player)
			})
		}
		t.Run("ffmpeg", func(t *testing.T) {
			t.Parallel()
			m.decode(t)
		})
	})
	m.edge.checkMetrics(t)
	m.edge.stop(t) // which has it write down all there is
	for _, name := range slices.Sorted(maps.Keys(m.deliveries)) {
		t.Run("books/"+name, func(t *testing.T) { m.balanced(t, name, m.deliveries[name]) })
	}
}

func startMatrix(t *testing.T) *matrix {
	m := &matrix{seconds: 3, deliveries: make(map[string]delivery)}
	length := 12
	if os.Getenv("EARSHOT_LONG") != "" {
		m.seconds, length = 25, 40
	}
	l := newLibrary(t, length)
	m.kinds = l.kinds(t)
	m.stage = startStage(t, l)
	m.site = startPlayer(t)
	var streams []string
	for _, player := range append(webPlayers, "ffmpeg") {
		for _, k := range m.kinds {
			name := player + "-" + k.name
			m.stage.add("direct-"+name, k)
			streams = append(streams, hlsStream(name, "/"+name+"/", m.stage.add("edge-"+name, k)))
		}
	}
	// What was heard before a session was idle counts once more after: nobody is idle here.
	m.edge = newOutpost(t, "matrix", "{slice: 2s, idle: 5m, minimum: 1s}", streams).start(t).edge
	return m
}

// received notes what a play came to, for the books.
func (m *matrix) received(name string, d delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deliveries[name] = d
}

// direct and through are the folders of a play.
func (m *matrix) direct(name string) string  { return m.stage.URL + "/direct-" + name + "/" }
func (m *matrix) through(name string) string { return m.edge.listen + "/" + name + "/" }

// browse has one of the web players play everything, in one browser.
func (m *matrix) browse(t *testing.T, player string) {
	var groups [][]map[string]string
	var names []string
	for _, k := range m.kinds {
		name := player + "-" + k.name
		query := func(prefix, base string) map[string]string {
			names = append(names, prefix+name)
			return map[string]string{"name": prefix + name, "player": player, "kind": k.name, "src": base + "master.m3u8",
				"length": fmt.Sprint(k.length), "seconds": fmt.Sprint(m.seconds), "limit": fmt.Sprint(m.limit())}
		}
		groups = append(groups, []map[string]string{query("direct-", m.direct(name)), query("edge-", m.through(name))})
	}
	page := openPage(t, m.site.URL+"/matrix/")
	eventually(t, 10*time.Second, "the page is there", func() error { return page.eval("playAll", nil) })
	if err := page.eval("playAll("+inJSON(t, groups)+", "+fmt.Sprint(atOnce)+")", nil); err != nil {
		t.Fatal(err)
	}
	m.finish(t, page, names)
	for _, k := range m.kinds {
		t.Run(k.name, func(t *testing.T) {
			name := player + "-" + k.name
			direct, edge := m.report(t, page, "direct-"+name, m.direct(name)), m.report(t, page, "edge-"+name, m.through(name))
			if unplayable[name] {
				refused(t, k, direct, edge)
				return
			}
			smooth(t, direct)
			smooth(t, edge)
			same(t, k, direct, edge)
			if k.grows {
				direct.grew(t, k)
				edge.grew(t, k)
			}
			m.discreet(t, name)
			if cues, _ := edge.Facts["cues"].([]any); len(cues) != k.cues {
				t.Errorf("%d lines of subtitles, want %d: %q", len(cues), k.cues, cues)
			}
			received := edge.names(t)
			m.stage.library.complete(t, name, k, received)
			m.received(name, delivery{k, edge.session(t), received})
		})
	}
	page.quiet(t)
}

// decode has ffmpeg play everything.
func (m *matrix) decode(t *testing.T) {
	for _, k := range m.kinds {
		t.Run(k.name, func(t *testing.T) {
			name := "ffmpeg-" + k.name
			var direct, edge *played
			var want, got []string
			var both sync.WaitGroup
			both.Go(func() { direct, want = m.ffmpeg(t, k, m.direct(name)) })
			both.Go(func() { edge, got = m.ffmpeg(t, k, m.through(name)) })
			both.Wait()
			same(t, k, direct, edge)
			if len(want) < 10 || !slices.Equal(want, got) {
				t.Errorf("the frames: %s", differ(want, got))
			}
			if k.grows {
				direct.grew(t, k)
				edge.grew(t, k)
			}
			m.discreet(t, name)
			// It does not say how much it received; what it asked for is the same, and the origin says.
			received, _ := m.stage.seen("direct-" + name)
			m.stage.library.complete(t, name, k, received)
			m.received(name, delivery{k, edge.session(t), received})
		})
	}
}

// finish waits until all plays are over.
func (m *matrix) finish(t *testing.T, page *browser, names []string) {
	t.Helper()
	rounds := 1 + len(m.kinds)/atOnce
	eventually(t, time.Duration(rounds*m.limit()+10)*time.Second, "the players play", func() error {
		var left []string
		if err := page.eval("unfinished("+inJSON(t, names)+")", &left); err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("not yet finished:\n%s", strings.Join(left, "\n"))
		}
		return nil
	})
}

func (m *matrix) report(t *testing.T, page *browser, name, base string) *played {
	t.Helper()
	p := &played{base: base}
	if err := page.eval(fmt.Sprintf("reports[%q]", name), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func inJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
