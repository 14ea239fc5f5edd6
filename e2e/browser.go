package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium with one page open.
type browser struct {
	devtools *devtools
}

// Chromium talks to its maker unless told not to; what these flags leave is kept on loopback by the resolver rule.
var chromiumFlags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
	"--disable-default-apps", "--disable-domain-reliability", "--disable-dev-shm-usage", "--mute-audio",
	"--autoplay-policy=no-user-gesture-required", "--no-proxy-server", "--remote-debugging-pipe", "--log-level=3",
	"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
}

// openPage starts a browser with an empty profile and opens url in it.
func openPage(t testing.TB, url string) *browser {
	t.Helper()
	// Chromium reads commands on descriptor 3 and answers on 4.
	commandsR, commandsW := pipe(t)
	answersR, answersW := pipe(t)
	home := profile(t)
	args := append(append([]string(nil), chromiumFlags...), "--user-data-dir="+home, "about:blank")
	cmd := exec.Command(program(t, "chromium"), args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home) // it leaves things in both
	cmd.ExtraFiles = []*os.File{commandsR, answersW}
	begin(t, cmd)
	commandsR.Close()
	answersW.Close()

	b := &browser{devtools: newDevtools(answersR, commandsW)}
	b.attach(t)
	b.must(t, "Runtime.enable", nil)
	b.must(t, "Log.enable", nil)
	// What comes out of the browser's cache has not passed the edge.
	b.must(t, "Network.enable", nil)
	b.must(t, "Network.setCacheDisabled", map[string]any{"cacheDisabled": true})
	b.must(t, "Page.navigate", map[string]any{"url": url})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Chromium on %s: %s", url, strings.Join(b.devtools.complaints(), "\n"))
		}
	})
	return b
}

// profile is an empty folder for Chromium. Its helpers write there for some moments after they were ended, which t.TempDir
// would take for a failure.
func profile(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "earshot-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, 10*time.Second, "Chromium's profile is removed", func() error { return os.RemoveAll(dir) })
	})
	return dir
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// attach finds the page that Chromium has opened and speaks to it from then on.
func (b *browser) attach(t testing.TB) {
	t.Helper()
	var page string
	eventually(t, 20*time.Second, "Chromium opens a page", func() error {
		var targets struct {
			TargetInfos []struct{ TargetID, Type string }
		}
		if err := b.devtools.call("Target.getTargets", nil, &targets); err != nil {
			return err
		}
		for _, target := range targets.TargetInfos {
			if target.Type == "page" {
				page = target.TargetID
				return nil
			}
		}
		return fmt.Errorf("no page among %v", targets)
	})
	var attached struct{ SessionID string }
	params := map[string]any{"targetId": page, "flatten": true}
	if err := b.devtools.call("Target.attachToTarget", params, &attached); err != nil {
		t.Fatal(err)
	}
	b.devtools.session = attached.SessionID
}

func (b *browser) must(t testing.TB, method string, params any) {
	t.Helper()
	if err := b.devtools.call(method, params, nil); err != nil {
		t.Fatal(err)
	}
}

// eval has the page evaluate a JavaScript expression, as if the user had just clicked, and decodes its value into result.
func (b *browser) eval(expression string, result any) error {
	var answer struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails json.RawMessage
	}
	params := map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true}
	if err := b.devtools.call("Runtime.evaluate", params, &answer); err != nil {
		return err
	}
	if len(answer.ExceptionDetails) > 0 {
		return fmt.Errorf("%s: %s", expression, answer.ExceptionDetails)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// quiet fails the test if the page threw, or the browser had anything to say about it.
func (b *browser) quiet(t testing.TB) {
	t.Helper()
	for _, c := range b.devtools.complaints() {
		t.Errorf("Chromium complains: %s", c)
	}
}
