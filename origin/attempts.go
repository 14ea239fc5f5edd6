package origin

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// attemptMetrics count what a fetch is made of: the attempts at the origins.
type attemptMetrics struct {
	up        *prometheus.GaugeVec
	attempts  *prometheus.CounterVec
	failovers prometheus.Counter
	denials   prometheus.Counter
}

func newAttemptMetrics(reg prometheus.Registerer) attemptMetrics {
	m := attemptMetrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "earshot_origin_up",
			Help: "Whether an origin is asked, 1, or rests after failures, 0; by the first stream that has it, and its place there."}, []string{"origin"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_origin_attempts_total",
			Help: "Requests to single origins, by outcome."}, []string{"outcome"}),
		failovers: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_origin_failovers_total",
			Help: "Requests that went on to another origin after one had failed."}),
		denials: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_origin_retries_denied_total",
			Help: "Requests that did not go on to another origin, as the budget of retries was spent."}),
	}
	for _, o := range append(outcomes, outcome{nil, "ok"}, outcome{nil, "refused"}) {
		m.attempts.WithLabelValues(o.name)
	}
	reg.MustRegister(m.up, m.attempts, m.failovers, m.denials)
	return m
}

// attempted counts an attempt. Any answer below 500 is ok.
func (m *Metrics) attempted(err error) {
	if m == nil {
		return
	}
	name := outcomeOf(err)
	if said := (*StatusError)(nil); errors.As(err, &said) {
		name = "refused"
	}
	m.attempts.WithLabelValues(name).Inc()
}

func (m *Metrics) stands(origin string, up bool) {
	if m == nil {
		return
	}
	value := 0.0
	if up {
		value = 1
	}
	m.up.WithLabelValues(origin).Set(value)
}

func (m *Metrics) failedOver() {
	if m != nil {
		m.failovers.Inc()
	}
}

func (m *Metrics) denied() {
	if m != nil {
		m.denials.Inc()
	}
}
