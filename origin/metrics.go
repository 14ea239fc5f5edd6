package origin

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct {
	fetches   *prometheus.CounterVec
	answers   *prometheus.CounterVec
	evictions *prometheus.CounterVec
	known     map[answered]prometheus.Counter // of answers; found once, and not written to
	cache     atomic.Pointer[cache]
	attemptMetrics
}

type answered struct {
	kind   string
	status Status
}

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		attemptMetrics: newAttemptMetrics(reg),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_origin_fetches_total",
			Help: "Fetches from HLS origins, by kind and outcome."}, []string{"kind", "outcome"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_cache_answers_total",
			Help: "Answers to players, by kind and by how the cache came by them, in the words of Cache-Status (RFC 9211)."},
			[]string{"kind", "status"}),
		evictions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_cache_evictions_total",
			Help: "Bodies and notes that the cache gave up for others, by tier."}, []string{"tier"}),
		known: make(map[answered]prometheus.Counter),
	}
	for _, kind := range []string{"playlist", "media"} {
		for _, o := range append(outcomes, outcome{nil, "ok"}) {
			m.fetches.WithLabelValues(kind, o.name)
		}
		for _, s := range statuses {
			m.known[answered{kind, s}] = m.answers.WithLabelValues(kind, string(s))
		}
	}
	reg.MustRegister(m.fetches, m.answers, m.evictions, m.used("memory", func(c *cache) *tier { return &c.memory }),
		m.used("disk", func(c *cache) *tier { return &c.disk }))
	return m
}

func (m *Metrics) used(name string, of func(*cache) *tier) prometheus.Collector {
	m.evictions.WithLabelValues(name)
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "earshot_cache_bytes", ConstLabels: prometheus.Labels{"tier": name},
		Help: "Bytes of the cache's budget in use: kept, on their way, or still being read by listeners."}, func() float64 {
		if c := m.cache.Load(); c != nil {
			return float64(of(c).used.Load())
		}
		return 0
	})
}

func (m *Metrics) measure(c *cache) {
	if m != nil {
		m.cache.Store(c)
	}
}

func (m *Metrics) served(kind string, s Status) {
	if m != nil {
		m.known[answered{kind, s}].Inc()
	}
}

func (m *Metrics) evicted(memory bool) {
	switch {
	case m == nil:
	case memory:
		m.evictions.WithLabelValues("memory").Inc()
	default:
		m.evictions.WithLabelValues("disk").Inc()
	}
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
	m.fetches.WithLabelValues(kind, outcomeOf(err)).Inc()
}

func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return "bad-answer"
}

// broken counts a body that the origin broke off.
func (c *Client) broken(err error) {
	if c.opt.Metrics != nil {
		c.opt.Metrics.fetches.WithLabelValues("media", "broken").Inc()
	}
	c.opt.Log.Warn("the origin broke off in the middle of a body", "err", err)
}
