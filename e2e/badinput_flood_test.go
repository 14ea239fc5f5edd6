package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// floodClient keeps its connections, so that a flood is one of requests.
func floodClient(t testing.TB) *http.Client {
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// knock asks for the master as a listener at an address, without an id.
func knock(t testing.TB, c *http.Client, u, address, agent string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", address)
	req.Header.Set("User-Agent", agent)
	res, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res, string(body)
}

// TestBadInputFlood: one address asks for masters, a new session each, as fast as it can. It gets a hundred a second and is told to
// wait; nobody else is, and the origin is not asked for what is refused.
func TestBadInputFlood(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdge(t, g.streams())
	c := startCrowd(t, e)
	client := floodClient(t)
	u := e.listen + "/good/master.m3u8"
	const flood, perSecond = 3000, 100
	fetches := e.value(t, "earshot_origin_fetches_total")
	var admitted, refused, others atomic.Int64
	began := time.Now()
	e.moves(t, 1, func() {
		atOneTime(8, func(n int) {
			for range flood / 8 {
				res, text := knock(t, client, u, "203.0.113.7", "flood")
				if res.StatusCode == http.StatusOK {
					admitted.Add(1)
					continue
				}
				refused.Add(1)
				isProblem(t, res, text, 429, "rate-limited")
				if wait, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 2 {
					t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
				}
				if n == 0 { // now and then somebody else
					others.Add(knockOthers(t, client, u, refused.Load()))
				}
			}
		})
	}, "earshot_problems_total", `code="rate-limited"`)
	took := time.Since(began)
	if most := int64(perSecond * (1.5 + took.Seconds())); admitted.Load() > most || refused.Load() == 0 {
		t.Errorf("%d admitted and %d refused in %v, want at most %d admitted", admitted.Load(), refused.Load(), took, most)
	}
	if n := e.value(t, "earshot_gate_refusals_total", `code="rate-limited"`); n < float64(refused.Load()) {
		t.Errorf("earshot_gate_refusals_total says %v, and %d were refused", n, refused.Load())
	}
	t.Logf("%d admitted, %d refused in %v", admitted.Load(), refused.Load(), took.Round(time.Millisecond))
	asked := e.value(t, "earshot_origin_fetches_total") - fetches
	if most := float64(admitted.Load()+others.Load()) + 20*(2+took.Seconds()); asked > most { // the honest listener asks too
		t.Errorf("%v fetches for %d admitted", asked, admitted.Load())
	}
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
}

// knockOthers: other addresses are let in while one is not.
func knockOthers(t testing.TB, c *http.Client, u string, n int64) (asked int64) {
	t.Helper()
	for _, address := range []string{fmt.Sprintf("198.51.100.%d", n%250), "203.0.113.7, 192.0.2." + fmt.Sprint(n%250), fmt.Sprintf("2001:db8:%x::1", n)} {
		if res, text := knock(t, c, u, address, "other"); res.StatusCode != http.StatusOK {
			t.Errorf("%s is refused too: %s %s", address, res.Status, text)
		}
		asked++
	}
	return asked
}

// TestBadInputUntrusted: where no proxy is trusted, X-Forwarded-For moves nobody, and is not what is stored.
func TestBadInputUntrusted(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdgeAt(t, edgeConfig, t.TempDir(), g.streams(), "trusted_proxies: []\nnew_sessions_per_address: 20\n")
	client := floodClient(t)
	refused := 0
	for n := range 200 {
		if res, text := knock(t, client, e.listen+"/good/master.m3u8", fmt.Sprintf("203.0.113.%d", n), "x"); res.StatusCode != http.StatusOK {
			isProblem(t, res, text, 429, "rate-limited")
			refused++
		}
	}
	if refused == 0 {
		t.Error("an untrusted peer's X-Forwarded-For is believed: 200 sessions at once, and none refused")
	}
	db := e.database(t)
	eventually(t, 10*time.Second, "the events", func() error {
		var all, others int
		err := db.QueryRow(`SELECT count(*), count(*) FILTER (WHERE ip <> '127.0.0.1') FROM listen_events`).Scan(&all, &others)
		if err == nil && (all < 200-refused || others > 0) {
			err = fmt.Errorf("%d events, %d of them at other addresses than the peer's", all, others)
		}
		return err
	})
}

// TestBadInputFull: an edge that serves as many as it may turns newcomers away, and goes on serving the others.
func TestBadInputFull(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdgeAt(t, edgeConfig, t.TempDir(), g.streams(), "max_sessions: 50\n")
	c := startCrowd(t, e)
	client := floodClient(t)
	var refused int
	e.moves(t, 20, func() {
		for n := range 80 {
			res, text := knock(t, client, e.listen+"/good/master.m3u8", fmt.Sprintf("203.0.113.%d", n), "x")
			if res.StatusCode == http.StatusOK {
				continue
			}
			refused++
			if p := isProblem(t, res, text, 503, "edge-full"); p.header.Get("Retry-After") == "" {
				t.Error("edge-full without Retry-After")
			}
		}
	}, "earshot_gate_refusals_total", `code="edge-full"`)
	if refused != 32 { // two of the fifty are honest
		t.Errorf("%d of 80 were refused, want 32", refused)
	}
	if live := e.value(t, "earshot_live_sessions"); live > 50 {
		t.Errorf("%v live sessions", live)
	}
	isFull(t, e, client)
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
}

// isFull: newcomers of other kinds are turned away too.
func isFull(t *testing.T, e *edge, client *http.Client) {
	t.Helper()
	for _, path := range []string{"/radio.mp3", "/good/hi/1.ts", "/good/hi/index.m3u8"} {
		res, text := knock(t, client, e.listen+path, "192.0.2.1", "new")
		isProblem(t, res, text, 503, "edge-full")
	}
}

// TestBadInputPending: what a session holds of which only the master was asked for, however large the requests were.
func TestBadInputPending(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdgeAt(t, unhurried, t.TempDir(), g.streams(), "max_sessions: 100000\nnew_sessions_per_address: 100000\n")
	client := floodClient(t)
	for _, c := range []struct {
		name            string
		sessions        int
		agent, rest, id string
		most            float64 // bytes each
	}{
		{"small", 8000, "Player/1.0", "", "", 1500},
		{"large", 1600, strings.Repeat("A", 50_000), "", "", 2500},
		{"long query", 1600, "Player/1.0", "&x=" + strings.Repeat("A", 50_000), "id-", 2500},
	} {
		before, live := e.heap(t), e.value(t, "earshot_live_sessions")
		atOneTime(8, func(worker int) {
			for n := range c.sessions / 8 {
				u := e.listen + "/good/master.m3u8"
				if c.id != "" {
					u += fmt.Sprintf("?X-Playback-Session-Id=%s%d-%d%s", c.id, worker, n, c.rest)
				}
				address := fmt.Sprintf("10.%d.%d.%d", worker, n/250, n%250)
				if res, text := knock(t, client, u, address, c.agent); res.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", res.Status, text)
				}
			}
		})
		time.Sleep(time.Second) // their events are stored
		began := e.value(t, "earshot_live_sessions") - live
		each := (e.heap(t) - before) / float64(c.sessions)
		t.Logf("%s: %v sessions, %.0f bytes of heap each", c.name, began, each)
		if each > c.most || began < float64(c.sessions) {
			t.Errorf("%s: %.0f bytes of heap for each pending session, want at most %.0f", c.name, each, c.most)
		}
	}
	e.unharmed(t, 400<<20)
}
