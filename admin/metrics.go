package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// register registers the collectors of what runs: build, Go runtime and process.
func register(reg prometheus.Registerer, version string) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "earshot_build_info",
		Help:        "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version(), "revision": revision()}})
	build.Set(1)
	reg.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// revision is the commit the binary was built from, as far as the Go command noted it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return revisionOf(info.Settings)
}

func revisionOf(settings []debug.BuildSetting) string {
	commit, dirty := "unknown", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return commit + dirty
}

// metricsHandler shows what g gathers, as text or OpenMetrics. What cannot be gathered is logged and left out: one
// broken collector must not blind an operator to all others.
func metricsHandler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError,
		ErrorLog: gatherLog{log}, EnableOpenMetrics: true})
}

// gatherLog gives promhttp's errors to slog.
type gatherLog struct{ log *slog.Logger }

// Println logs one error.
func (l gatherLog) Println(v ...any) {
	l.log.Error("metrics cannot all be gathered", "err", strings.TrimSpace(fmt.Sprintln(v...)))
}

// appMetrics are the app API's collectors. nil counts nothing.
type appMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newAppMetrics(reg prometheus.Registerer) *appMetrics {
	if reg == nil {
		return nil
	}
	m := &appMetrics{
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_api_requests_total",
			Help: "Requests to the app API, by what was asked for and the status answered."}, []string{"operation", "status"}),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "earshot_api_request_duration_seconds",
			Help: "Time to the answer of the app API.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8)}, []string{"operation"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

func (m *appMetrics) answered(operation string, status int, took time.Duration) {
	if m != nil {
		m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
		m.seconds.WithLabelValues(operation).Observe(took.Seconds())
	}
}
