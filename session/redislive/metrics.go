package redislive

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct {
	calls      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	damaged    prometheus.Counter
	reconnects prometheus.Counter
	up         prometheus.Gauge
}

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_redis_calls_total",
			Help: "Exchanges with the live table, by what was asked and how it ended: ok, error, or unasked because it had failed a moment before."},
			[]string{"verb", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "earshot_redis_call_seconds",
			Help: "How long exchanges with the live table took.", Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5}},
			[]string{"verb"}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_redis_damaged_total",
			Help: "Seats, notes and messages that did not read as what they should be, and were dropped."}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_redis_reconnects_total",
			Help: "Attempts to hear of other edges again after the connection was lost."}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "earshot_redis_up",
			Help: "1 if the live table could be reached when it was last asked, else 0."}),
	}
	m.up.Set(1)
	reg.MustRegister(m.calls, m.seconds, m.damaged, m.reconnects, m.up)
	return m
}

func (m *Metrics) call(verb, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.calls.WithLabelValues(verb, outcome).Inc()
	if outcome != "unasked" {
		m.seconds.WithLabelValues(verb).Observe(took.Seconds())
	}
}

func (m *Metrics) damage(n int64) {
	if m != nil && n > 0 {
		m.damaged.Add(float64(n))
	}
}

func (m *Metrics) reconnect() {
	if m != nil {
		m.reconnects.Inc()
	}
}

func (m *Metrics) reachable(yes bool) {
	switch {
	case m == nil:
	case yes:
		m.up.Set(1)
	default:
		m.up.Set(0)
	}
}
