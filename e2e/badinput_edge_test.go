package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unhurried is edgeConfig for sessions that are to stay for the length of a test.
var unhurried = strings.Replace(edgeConfig, "idle: 5s", "idle: 1m", 1)

// startEdgeAt is startEdge with another configuration, with its data where the test wants them, and with whatever keys the test adds after
// the streams.
func startEdgeAt(t testing.TB, base, data, streams, keys string) *edge {
	t.Helper()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	e := &edge{listen: "http://" + listen, admin: "http://" + admin, data: data}
	config := filepath.Join(t.TempDir(), "earshot.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, base+keys, listen, admin, e.data, streams), 0o644); err != nil {
		t.Fatal(err)
	}
	e.run(t, "serve", "-config", config)
	return e
}

// value sums the samples of a metric that have all these labels, each written as the exposition does: `code="x"`. What is not there
// is 0.
func (e *edge) value(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	var sum float64
	for line := range strings.Lines(mustGet(t, e.admin+"/metrics")) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if len(labels) == 0 && !strings.Contains(line, "{") {
			series, text, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if got, _, _ := strings.Cut(series, "{"); got != name {
			continue
		}
		has := true
		for _, l := range labels {
			has = has && strings.Contains(series+",", l)
		}
		if v, err := strconv.ParseFloat(text, 64); has && err == nil {
			sum += v
		}
	}
	return sum
}

// moves: do makes the metric grow by at least by.
func (e *edge) moves(t testing.TB, by float64, do func(), name string, labels ...string) {
	t.Helper()
	before := e.value(t, name, labels...)
	do()
	eventually(t, 15*time.Second, name+fmt.Sprint(labels), func() error {
		if now := e.value(t, name, labels...); now < before+by {
			return fmt.Errorf("%v, and %v before: it should have grown by %v", now, before, by)
		}
		return nil
	})
}

// memory is the process's resident memory, now and at most, in bytes.
func (e *edge) memory(t testing.TB) (now, most int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.proc.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	read := func(key string) int64 {
		_, rest, _ := strings.Cut(string(text), key+":")
		var kib int64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return kib << 10
	}
	return read("VmRSS"), read("VmHWM")
}

// unharmed: the process lives and was never larger than that.
func (e *edge) unharmed(t testing.TB, ceiling int64) {
	t.Helper()
	mustGet(t, e.admin+"/healthz")
	now, most := e.memory(t)
	t.Logf("resident memory: %d MiB, at most %d MiB", now>>20, most>>20)
	if raced := os.Getenv("EARSHOT_E2E_RACE") != ""; most > ceiling && !raced {
		t.Errorf("%d MiB resident, at most %d MiB allowed", most>>20, ceiling>>20)
	}
}

// heap is what lives on the heap after a collection.
func (e *edge) heap(t testing.TB) float64 {
	t.Helper()
	mustGet(t, e.admin+"/debug/pprof/heap?gc=1")
	return e.value(t, "go_memstats_heap_alloc_bytes")
}

// endNow ends the edge's process as an operator would, before the end of the test.
func (e *edge) endNow(t testing.TB) {
	t.Helper()
	e.proc.signal(syscall.SIGTERM)
	if err := e.proc.wait(t, 30*time.Second); err != nil {
		t.Errorf("the edge, asked to stop: %v", err)
	}
}

// problemSeen is a problem as a player gets it.
type problemSeen struct {
	Status int
	Code   string
	Detail string
	header http.Header
	text   string
}

// slowClient waits longer than the edge does for an origin. It follows no redirects: the edge has none to send.
var slowClient = &http.Client{
	Timeout:       40 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// askEdge sends a request, changed by edit if that is not nil, and reads the answer to its end.
func askEdge(t testing.TB, method, u string, edit func(*http.Request)) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequest(method, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(req)
	}
	res, err := slowClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", u, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// wantRefused: the answer is a problem with this status and code, readable by scripts of other origins, and says nothing of the
// origin's whereabouts.
func wantRefused(t testing.TB, u string, status int, code string, secrets ...string) problemSeen {
	t.Helper()
	res, text, err := askEdge(t, http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	return isProblem(t, res, text, status, code, secrets...)
}

func isProblem(t testing.TB, res *http.Response, text string, status int, code string, secrets ...string) problemSeen {
	t.Helper()
	p := problemSeen{header: res.Header, text: text}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%s: no problem: %s %.300q", res.Request.URL.Path, res.Status, text)
	}
	if res.StatusCode != status || p.Status != status || p.Code != code || p.Detail == "" {
		t.Errorf("%s: %s %s, want %d with %s", res.Request.URL.Path, res.Status, text, status, code)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s: a problem as %q", res.Request.URL.Path, got)
	}
	if res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Access-Control-Expose-Headers") == "" {
		t.Errorf("%s: a problem that scripts cannot read: %v", res.Request.URL.Path, res.Header)
	}
	whole := text + fmt.Sprint(res.Header)
	for _, s := range secrets {
		if strings.Contains(whole, s) {
			t.Errorf("%s: the origin's %q is told: %s", res.Request.URL.Path, s, whole)
		}
	}
	return p
}
