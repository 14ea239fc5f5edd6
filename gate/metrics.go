package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/session"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct {
	refusals, endings, failures *prometheus.CounterVec
	degradations                *prometheus.CounterVec
	takeovers, parts            prometheus.Counter
	claims, sweeps              prometheus.Histogram
	lost, unwritten             prometheus.Counter
}

// NewMetrics registers the collectors on reg. The table's size is read when it is scraped.
func NewMetrics(reg prometheus.Registerer, table *session.Table) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_" + name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_" + name, Help: help}, []string{label})
	}
	times := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "earshot_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10)})
	}
	m := &Metrics{
		refusals:     vector("gate_refusals_total", "Requests refused, by the code of the refusal.", "code"),
		endings:      vector("gate_endings_total", "Sessions ended, by why.", "reason"),
		failures:     vector("live_failures_total", "Questions to the live table that it did not answer in time, by what was asked.", "question"),
		degradations: vector("gate_degraded_total", "Decisions made while the live table could not be reached, by the policy that made them (on_live_error).", "policy"),
		takeovers:    counter("gate_takeovers_total", "Seats that passed to their listener's next session."),
		parts:        counter("gate_parted_total", "Listeners who used another's session id and were given their own."),
		claims:       times("gate_claim_seconds", "Time that a claim for a seat took."),
		sweeps:       times("gate_sweep_seconds", "Time that it took to renew all seats once."),
		lost:         counter("evidence_lost_total", "Refusals and cuts that are in no row, because the store was too slow for too long."),
		unwritten:    counter("evidence_failures_total", "Attempts to write evidence that failed; it is tried again."),
	}
	for _, c := range []Code{RateLimited, EdgeFull, TokenRequired, TokenInvalid, NotAllowed, GrantInvalid, TooManySessions, ChooseSession, Blackout, Banned, Ended} {
		m.refusals.WithLabelValues(string(c))
	}
	for _, p := range []LiveError{LiveAllow, LiveDeny, LiveLast} {
		m.degradations.WithLabelValues(string(p))
	}
	reg.MustRegister(m.refusals, m.endings, m.failures, m.degradations, m.takeovers, m.parts, m.claims, m.sweeps, m.lost, m.unwritten,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "earshot_live_sessions",
			Help: "Sessions in this edge's live table."}, func() float64 { return float64(table.Len()) }))
	return m
}

func (m *Metrics) refused(c Code) {
	if m != nil {
		m.refusals.WithLabelValues(string(c)).Inc()
	}
}

func (m *Metrics) ended(reason string) {
	if m == nil {
		return
	}
	switch reason {
	case byOperator, expired, notAllowed, session.Evicted:
	default:
		reason = "other" // the live table has it from who knows whom
	}
	m.endings.WithLabelValues(reason).Inc()
}

func (m *Metrics) liveFailed(what string) {
	if m != nil {
		m.failures.WithLabelValues(what).Inc()
	}
}

func (m *Metrics) degraded(p LiveError) {
	if m != nil {
		m.degradations.WithLabelValues(string(p)).Inc()
	}
}

func (m *Metrics) tookOver() {
	if m != nil {
		m.takeovers.Inc()
	}
}

func (m *Metrics) parted() {
	if m != nil {
		m.parts.Inc()
	}
}

func (m *Metrics) claimed(t time.Duration) {
	if m != nil {
		m.claims.Observe(t.Seconds())
	}
}

func (m *Metrics) swept(t time.Duration) {
	if m != nil {
		m.sweeps.Observe(t.Seconds())
	}
}

func (m *Metrics) evidenceLost(n int) {
	if m != nil {
		m.lost.Add(float64(n))
	}
}

func (m *Metrics) evidenceFailed() {
	if m != nil {
		m.unwritten.Inc()
	}
}
