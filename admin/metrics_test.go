package admin

import (
	"bytes"
	"errors"
	"log/slog"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/session"
)

func TestMetrics(t *testing.T) {
	e := newEdge(Options{})
	e.hear(who(session.ICY, "kpcc", "a"), "kpcc", 1000, time.Second)
	_, body := get(t, "GET", e.serve(t)+"/metrics")
	for _, want := range []string{
		`earshot_build_info{goversion="` + runtime.Version() + `",revision="`,
		`version="1.2.3"} 1`,
		`earshot_listeners{kind="icy",stream="kpcc"} 1`,
		"\ngo_goroutines ",
		"\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %q:\n%s", want, body)
		}
	}
}

func TestOpenMetrics(t *testing.T) {
	resp, body := get(t, "GET", newEdge(Options{}).serve(t)+"/metrics", "Accept", "application/openmetrics-text;version=1.0.0")
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("got %s:\n%s", got, body)
	}
}

func TestPromtoolFindsNoFault(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed: run make test, which installs it")
	}
	e := newEdge(Options{})
	e.hear(who(session.ICY, "kpcc", "a"), "kpcc", 1000, time.Second)
	e.hear(who(session.HLS, `a "quoted"`+"\n\\ group", "b"), "v1", 1000, time.Second)
	_, body := get(t, "GET", e.serve(t)+"/metrics")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// broken is a collector that cannot collect.
type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}

func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("earshot_broken", "Broken.", nil, nil), errors.New("a collector broke"))
}

func TestBrokenCollectorIsLoggedAndLeavesTheOthers(t *testing.T) {
	var log bytes.Buffer
	e := newEdge(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	e.reg.MustRegister(broken{})
	_, body := get(t, "GET", e.serve(t)+"/metrics")
	if !strings.Contains(body, "earshot_build_info{") {
		t.Errorf("got:\n%s", body)
	}
	if !strings.Contains(log.String(), "a collector broke") {
		t.Errorf("logged:\n%s", &log)
	}
}

func TestRevision(t *testing.T) {
	for _, tc := range []struct {
		want     string
		settings []debug.BuildSetting
	}{
		{"unknown", nil},
		{"abc", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}},
		{"abc-dirty", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}},
	} {
		if got := revisionOf(tc.settings); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
