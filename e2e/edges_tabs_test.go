package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestTabs: hls.js plays in one window, and is refused in another of the same user with a message that the page can read. The first never hears of it; when it
// stops, the second plays. EARSHOT_LONG=1 has both wait for longer.
func TestTabs(t *testing.T) {
	t.Parallel()
	ttl := 4 * time.Second
	if os.Getenv("EARSHOT_LONG") != "" {
		ttl = 6 * time.Second
	}
	dir := t.TempDir()
	startPackager(t, dir, mpegTS)
	origin := startFileServer(t, dir)
	f := startFleet(t, gateOptions{edges: 2, ttl: ttl, streams: []string{hlsStream("tabs", "/tabs/", origin.URL+"/")}})
	player := startPlayer(t)

	token := tokenOf(t, "ann", "")
	opened := time.Now()
	chrome := openPage(t, gatePage(player.URL, f.edges[0], token))
	first := chrome.first()
	first.played(t, 3, 30*time.Second, "the first window plays")

	other := chrome.tab(t, gatePage(player.URL, f.edges[1], tokenOf(t, "ann", "tablet"))) // another device, at another edge
	refusedIn(t, other, 20*time.Second)
	if r := other.report(t); r.Played > 0 {
		t.Errorf("another device played %.1f s before it was refused", r.Played)
	}
	if err := other.eval("stop()", nil); err != nil {
		t.Fatal(err)
	}

	second := chrome.tab(t, gatePage(player.URL, f.edges[0], token))
	refusedIn(t, second, 30*time.Second)
	began, had := first.report(t).Played, second.report(t)
	time.Sleep(2 * f.ttl)
	r := first.report(t)
	if len(r.Refusals) > 0 {
		t.Errorf("the first window is refused %+v", r.Refusals)
	}
	if r.Slept > 300 {
		t.Logf("this machine is too busy to play without a break: the first window did not run for %.0f ms", r.Slept)
	} else if complain := blames(t, opened, 300*time.Millisecond); len(r.Stalls) > 0 || r.Played-began < f.ttl.Seconds() {
		complain("the first window stalls at %v, and played %.1f s in %v", r.Stalls, r.Played-began, 2*f.ttl)
	}
	before := second.report(t)
	t.Logf("the second window played %.1f s before it was refused, and %.1f s in %v of trying again, with %d refusals", had.Refusals[0].After,
		before.Played-had.Played, 2*f.ttl, len(before.Refusals))
	if more := before.Played - had.Played; more > 3 {
		t.Errorf("the second window played %.1f s after it was refused", more)
	}

	if err := first.eval("stop()", nil); err != nil {
		t.Fatal(err)
	}
	second.played(t, before.Played+f.ttl.Seconds()+4, 2*f.ttl+40*time.Second, "the second window plays when the first has stopped")
	if n := f.edges[1].taken(t, "user=ann"); n != 1 {
		t.Errorf("%d seats", n)
	}
}

// refusedIn waits until a page has been refused, and has read why.
func refusedIn(t *testing.T, p *tab, limit time.Duration) {
	t.Helper()
	eventually(t, limit, "a window is refused", func() error {
		if r := p.report(t); len(r.Refusals) == 0 {
			return errOrNone(nil)
		}
		return nil
	})
	r := p.report(t).Refusals[0]
	var shown string
	if err := p.eval("message.textContent", &shown); err != nil {
		t.Fatal(err)
	}
	if r.Status != http.StatusForbidden || r.Code != "too-many-sessions" || r.Fetched != "too-many-sessions" || !strings.Contains(shown, "as many sessions play as may") {
		t.Errorf("the page read %+v, and shows %q", r, shown)
	}
}
