package origin

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct{ fetches *prometheus.CounterVec }

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_origin_fetches_total",
		Help: "Fetches from HLS origins, by kind and outcome."}, []string{"kind", "outcome"})}
	for _, kind := range []string{"playlist", "media"} {
		for _, o := range append(outcomes, outcome{nil, "ok"}) {
			m.fetches.WithLabelValues(kind, o.name)
		}
	}
	reg.MustRegister(m.fetches)
	return m
}

type outcome struct {
	err  error
	name string
}

var outcomes = []outcome{
	{context.Canceled, "cancelled"}, {ErrNotFound, "not-found"}, {ErrTimeout, "timeout"}, {ErrUnreachable, "unreachable"},
	{ErrTooLarge, "too-large"}, {ErrRedirect, "redirect"}, {ErrAnswer, "bad-answer"},
}

func (m *Metrics) fetched(kind string, err error) {
	if m == nil {
		return
	}
	name := "ok"
	if err != nil {
		name = "bad-answer"
		for _, o := range outcomes {
			if errors.Is(err, o.err) {
				name = o.name
				break
			}
		}
	}
	m.fetches.WithLabelValues(kind, name).Inc()
}

// Broken counts a body that the origin broke off.
func (c *Client) Broken(err error) {
	if c.opt.Metrics != nil {
		c.opt.Metrics.fetches.WithLabelValues("media", "broken").Inc()
	}
	c.opt.Log.Warn("the origin broke off in the middle of a body", "err", err)
}
