package auth

import "github.com/prometheus/client_golang/prometheus"

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct {
	decisions *prometheus.CounterVec
	failures  *prometheus.CounterVec
	degraded  *prometheus.CounterVec
	asked     prometheus.Histogram
	keys      *prometheus.CounterVec
	waiting   prometheus.Gauge
	delivered prometheus.Counter
	retried   prometheus.Counter
	lost      prometheus.Counter
	unkept    prometheus.Counter
}

// Methods, as label values.
const (
	byJWT      = "jwt"
	bySigned   = "signed_url"
	byCallback = "callback"
	byApp      = "app"  // a user's own token, at the app API
	byNothing  = "none" // nothing was shown
)

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counters := func(name, help string, label ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)
		reg.MustRegister(c)
		return c
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		decisions: counters("earshot_auth_decisions_total", "Answers to who a listener is, by what decided and how.", "method", "outcome"),
		failures:  counters("earshot_auth_callback_failures_total", "Questions that the backend did not answer, by why.", "reason"),
		degraded:  counters("earshot_auth_degraded_total", "Decisions made without the backend, which did not answer, by the policy that made them.", "policy"),
		asked: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "earshot_auth_callback_seconds", Help: "How long the backend took to answer, or to fail.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		keys: counters("earshot_auth_key_reads_total", "Reads of the keys of tokens: changed, same or failed.", "outcome"),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "earshot_auth_removals_waiting",
			Help: "Removals in memory that the store has not taken yet."}),
		delivered: counter("earshot_auth_removals_delivered_total", "Sessions that were over of which the backend was told."),
		retried:   counter("earshot_auth_removals_retried_total", "Attempts to tell the backend that failed and will be made again."),
		lost:      counter("earshot_auth_removals_lost_total", "Removals that could not be kept, or were not delivered within seven days."),
		unkept:    counter("earshot_auth_tickets_unkept_total", "Sessions that began while the store took nothing: a kill would leave their removals out."),
	}
	reg.MustRegister(m.asked, m.waiting)
	return m
}

// decided counts a decision and hands it on.
func (m *Metrics) decided(method string, id Identity, err error) (Identity, error) {
	outcome := "allow"
	if r, ok := err.(*Refusal); ok {
		outcome = r.Code
	}
	if m != nil {
		m.decisions.WithLabelValues(method, outcome).Inc()
	}
	return id, err
}

func (m *Metrics) failed(reason string) {
	if m != nil {
		m.failures.WithLabelValues(reason).Inc()
	}
}

func (m *Metrics) degrade(policy string) {
	if m != nil {
		m.degraded.WithLabelValues(policy).Inc()
	}
}

func (m *Metrics) took(seconds float64) {
	if m != nil {
		m.asked.Observe(seconds)
	}
}

func (m *Metrics) readKeys(outcome string) {
	if m != nil {
		m.keys.WithLabelValues(outcome).Inc()
	}
}

func (m *Metrics) setWaiting(n int) {
	if m != nil {
		m.waiting.Set(float64(n))
	}
}

func (m *Metrics) told(delivered bool) {
	switch {
	case m == nil:
	case delivered:
		m.delivered.Inc()
	default:
		m.retried.Inc()
	}
}

func (m *Metrics) lose(n int) {
	if m != nil {
		m.lost.Add(float64(n))
	}
}

func (m *Metrics) notKept() {
	if m != nil {
		m.unkept.Inc()
	}
}
