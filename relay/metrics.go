package relay

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/listen"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
//
// The label "stream" is a configured stream key, never an id or an address; past maxLabels of them it says "other".
type Metrics struct {
	up        *prometheus.GaugeVec
	connects  *prometheus.CounterVec
	changes   *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	listeners *prometheus.GaugeVec
	cuts      *prometheus.CounterVec
	looks     prometheus.Counter
	lookBytes prometheus.Counter

	mu     sync.Mutex
	labels map[string]bool
}

const (
	maxLabels  = 1000
	otherLabel = "other"
)

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"stream"})
		reg.MustRegister(g)
		return g
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	plain := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	return &Metrics{
		labels:    make(map[string]bool),
		up:        gauge("earshot_upstream_up", "1 while audio arrives from the source of the ICY stream."),
		connects:  counter("earshot_upstream_connects_total", "Attempts to connect to an origin of the ICY stream, by how they ended.", "stream", "outcome"),
		changes:   counter("earshot_upstream_changes_total", "Changes of the ICY stream to another of its origins: fallback, return or file.", "stream", "to"),
		bytes:     counter("earshot_upstream_received_bytes_total", "Bytes received from the source of the ICY stream, metadata included.", "stream"),
		listeners: gauge("earshot_relay_listeners", "Connections that the ICY stream is being sent to."),
		cuts:      counter("earshot_relay_cuts_total", "ICY listeners who did not leave by themselves, by why they were cut.", "reason"),
		looks:     plain("earshot_relay_looks_total", "Connections of players that only looked at an ICY stream, and were no listeners."),
		lookBytes: plain("earshot_relay_look_bytes_total", "Bytes written to players that only looked; in no session's account."),
	}
}

// looked counts who has been sent n bytes and was no listener.
func (m *Metrics) looked(n int64) {
	if m != nil {
		m.looks.Inc()
		m.lookBytes.Add(float64(n))
	}
}

func (m *Metrics) cut(reason listen.Reason) {
	if m != nil {
		m.cuts.WithLabelValues(string(reason)).Inc()
	}
}

// mountMetrics are the collectors of one mount. Those that share the label "other" share what they count, so gauges
// are moved and not set.
type mountMetrics struct {
	all       *Metrics
	label     string
	up        prometheus.Gauge
	bytes     prometheus.Counter
	listeners prometheus.Gauge

	wasUp bool // these two are guarded by the hub's mu
	count int
}

// mount is what counts for a stream key.
func (m *Metrics) mount(key string) *mountMetrics {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.labels[key] && len(m.labels) >= maxLabels {
		key = otherLabel
	}
	m.labels[key] = true
	return &mountMetrics{all: m, label: key, up: m.up.WithLabelValues(key), bytes: m.bytes.WithLabelValues(key),
		listeners: m.listeners.WithLabelValues(key)}
}

// forget gives a label back.
func (m *mountMetrics) forget() {
	if m == nil || m.label == otherLabel {
		return
	}
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	delete(m.all.labels, m.label)
	stream := prometheus.Labels{"stream": m.label}
	m.all.up.DeletePartialMatch(stream)
	m.all.connects.DeletePartialMatch(stream)
	m.all.changes.DeletePartialMatch(stream)
	m.all.bytes.DeletePartialMatch(stream)
	m.all.listeners.DeletePartialMatch(stream)
}

func (m *mountMetrics) setUp(up bool) {
	if m == nil || m.wasUp == up {
		return
	}
	if m.wasUp = up; up {
		m.up.Inc()
	} else {
		m.up.Dec()
	}
}

func (m *mountMetrics) setListeners(n int) {
	if m != nil {
		m.listeners.Add(float64(n - m.count))
		m.count = n
	}
}

func (m *mountMetrics) connected(o Outcome) {
	if m != nil {
		m.all.connects.WithLabelValues(m.label, string(o)).Inc()
	}
}

func (m *mountMetrics) changed(to string) {
	if m != nil {
		m.all.changes.WithLabelValues(m.label, to).Inc()
	}
}

func (m *mountMetrics) received(n int) {
	if m != nil {
		m.bytes.Add(float64(n))
	}
}
