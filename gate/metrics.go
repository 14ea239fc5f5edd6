package gate

import (
	"github.com/prometheus/client_golang/prometheus"

	"earshot/session"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct{ refusals *prometheus.CounterVec }

// NewMetrics registers the collectors on reg. The table's size is read when it is scraped.
func NewMetrics(reg prometheus.Registerer, table *session.Table) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_gate_refusals_total",
		Help: "Plays refused, by the code of the refusal."}, []string{"code"})}
	for _, c := range []Code{RateLimited, EdgeFull} {
		m.refusals.WithLabelValues(string(c))
	}
	reg.MustRegister(m.refusals, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "earshot_live_sessions",
		Help: "Sessions in this edge's live table."}, func() float64 { return float64(table.Len()) }))
	return m
}

func (m *Metrics) refused(c Code) {
	if m != nil {
		m.refusals.WithLabelValues(string(c)).Inc()
	}
}
