package e2e

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// tab is a page of a browser that has several. They belong to one goroutine.
type tab struct {
	*browser
	session string
}

// first is the page that the browser was opened with.
func (b *browser) first() *tab { return &tab{b, b.devtools.session} }

// tab opens another page, in a window of its own: one that is hidden is slowed down.
func (b *browser) tab(t testing.TB, url string) *tab {
	t.Helper()
	b.devtools.session = "" // the browser's own
	var made struct{ TargetID string }
	if err := b.devtools.call("Target.createTarget", map[string]any{"url": "about:blank", "newWindow": true}, &made); err != nil {
		t.Fatal(err)
	}
	var attached struct{ SessionID string }
	if err := b.devtools.call("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached); err != nil {
		t.Fatal(err)
	}
	b.devtools.session = attached.SessionID
	b.must(t, "Runtime.enable", nil)
	b.must(t, "Network.enable", nil)
	b.must(t, "Network.setCacheDisabled", map[string]any{"cacheDisabled": true})
	b.must(t, "Page.navigate", map[string]any{"url": url})
	return &tab{b, attached.SessionID}
}

func (p *tab) eval(expression string, result any) error {
	p.devtools.session = p.session
	return p.browser.eval(expression, result)
}

// tabReport is what the page of gate.js has to say.
type tabReport struct {
	Refusals []struct {
		Status                int
		Code, Detail, Fetched string
		After                 float64
	}
	Errors []string
	Stalls []float64
	Slept  float64 // ms: the longest that the page has not run
	Played float64
}

// report is what it says; nothing, before it is loaded.
func (p *tab) report(t testing.TB) (r tabReport) {
	t.Helper()
	if err := p.eval("typeof report === 'undefined' ? {} : report", &r); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Errors {
		t.Errorf("the page: %s", e)
	}
	return r
}

// played waits until a page has played for so long.
func (p *tab) played(t testing.TB, seconds float64, limit time.Duration, what string) {
	t.Helper()
	eventually(t, limit, what, func() error {
		if r := p.report(t); r.Played < seconds {
			return fmt.Errorf("%.1f s played; %+v", r.Played, r)
		}
		return nil
	})
}

// gatePage is the page that plays a group of an edge with a token.
func gatePage(player string, e *outpost, token string) string {
	src := e.listen + "/tabs/master.m3u8?" + url.Values{"token": {token}}.Encode()
	return player + "/gate.html?" + url.Values{"src": {src}}.Encode()
}
