package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// checkMetrics asks promtool for its opinion on /metrics as it is now.
func (e *edge) checkMetrics(t *testing.T) {
	t.Helper()
	text := mustGet(t, e.admin+"/metrics")
	cmd := exec.Command(program(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	p := begin(t, cmd)
	if err := p.wait(t, 10*time.Second); err != nil {
		t.Errorf("promtool check metrics: %v", err)
	}
	if said := strings.TrimSpace(p.output(t)); said != "" {
		t.Errorf("promtool check metrics:\n%s", said)
	}
}

// TestPrometheus: a real Prometheus scrapes the edge and answers questions about its listeners.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	_, e := station(t, mp3)
	p := startPrometheus(t, e)
	listen(t, e.listen+mp3.mount, 3)

	p.waitFor(t, `up{job="earshot"}`, 1)
	p.waitFor(t, `earshot_listeners{stream="mp3",kind="icy"}`, 3)
	p.waitFor(t, `earshot_sessions_started_total{stream="mp3",kind="icy"}`, 3)
	p.waitFor(t, `earshot_upstream_up{stream="mp3"}`, 1)
	p.waitFor(t, `count(earshot_build_info)`, 1)
	p.waitFor(t, `sum(earshot_events_lost_total)`, 0)
	// 128 kbit/s to each of three, once the burst is over; a rate of Prometheus is no finer than its scrapes.
	p.waitFor(t, `sum(rate(earshot_sent_bytes_total{stream="mp3"}[5s])) > bool 40000`, 1)
	p.waitFor(t, `sum(rate(earshot_listening_seconds_total{stream="mp3"}[5s])) > bool 2.5`, 1)
	p.waitFor(t, `count({__name__=~"go_.+"}) > bool 10`, 1)
	e.checkMetrics(t)
}
