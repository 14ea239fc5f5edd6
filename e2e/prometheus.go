package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheus is a real Prometheus that scrapes one edge every second.
type prometheus struct {
	url string
}

const prometheusConfig = `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: earshot
    static_configs: [{targets: [%q]}]
`

func startPrometheus(t testing.TB, e *edge) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(prometheusConfig, strings.TrimPrefix(e.admin, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	program := start(t, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address="+address, "--log.level=warn")
	p := &prometheus{url: "http://" + address}
	program.ready(t, 40*time.Second, "Prometheus is ready", func() error {
		_, err := get(p.url + "/-/ready")
		return err
	})
	return p
}

// value evaluates a PromQL expression that has exactly one answer.
func (p *prometheus) value(promQL string) (float64, error) {
	body, err := get(p.url + "/api/v1/query?" + url.Values{"query": {promQL}}.Encode())
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any // time, "value"
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return 0, fmt.Errorf("%s: %w in %s", promQL, err, body)
	}
	if n := len(answer.Data.Result); n != 1 {
		return 0, fmt.Errorf("%s: %d answers: %s", promQL, n, body)
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(text, 64)
}

// waitFor waits until an expression has the value want.
func (p *prometheus) waitFor(t testing.TB, promQL string, want float64) {
	t.Helper()
	eventually(t, 30*time.Second, promQL, func() error {
		got, err := p.value(promQL)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%v, not %v", got, want)
		}
		return nil
	})
}
