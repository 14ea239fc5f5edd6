package listen

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/session"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
//
// The label "stream" is what a session is filed under: the group key for HLS, the stream key for ICY. It never holds
// an id or an address, and past maxLabels different values it says "other".
type Metrics struct {
	reg prometheus.Registerer

	sentBytes    *prometheus.CounterVec
	heardSeconds *prometheus.CounterVec
	written      prometheus.Counter
	duplicate    prometheus.Counter
	spillTotal   prometheus.Counter
	lostTotal    prometheus.Counter
	storeErrors  prometheus.Counter
	spillErrors  prometheus.Counter
	journalErrs  prometheus.Counter
	commitTime   prometheus.Histogram
	lag          prometheus.Gauge
	sessions     *prometheus.CounterVec
	finalised    prometheus.Counter
	ignored      prometheus.Counter
	pruned       prometheus.Counter

	mu      sync.Mutex
	streams map[labels]*streamCounters
}

type labels struct{ stream, kind string }

const maxLabels = 1000

// streamCounters are the counters of one stream label; accounts hold them, so that counting looks nothing up.
type streamCounters struct {
	labels  labels
	bytes   prometheus.Counter
	seconds prometheus.Counter
}

func (c *streamCounters) add(bytes, media int64) {
	if c == nil {
		return
	}
	c.bytes.Add(float64(bytes))
	c.seconds.Add(float64(media) / float64(time.Second))
}

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		reg:          reg,
		streams:      make(map[labels]*streamCounters),
		sentBytes:    vec("earshot_sent_bytes_total", "Body bytes of media sent to listeners, as listen events count them.", "stream", "kind"),
		heardSeconds: vec("earshot_listening_seconds_total", "Distinct media time sent to listeners, as listen events count it.", "stream", "kind"),
		written:      counter("earshot_events_written_total", "Listen events stored."),
		duplicate:    counter("earshot_events_duplicate_total", "Listen events that were in the store already when they were replayed."),
		spillTotal:   counter("earshot_events_spilled_total", "Listen events written to the spill file because the store failed."),
		lostTotal:    counter("earshot_events_lost_total", "Listen events that could be neither stored nor spilled before the process ended."),
		storeErrors:  counter("earshot_store_errors_total", "Failed attempts to store listen events."),
		spillErrors:  counter("earshot_spill_errors_total", "Failed writes to the spill file; the events stay in memory."),
		journalErrs:  counter("earshot_journal_errors_total", "Failed writes to the journal; open slices would not survive a kill."),
		sessions:     vec("earshot_sessions_started_total", "Sessions begun, by what they are filed under.", "stream", "kind"),
		finalised:    counter("earshot_sessions_finalised_total", "Rows written to the sessions table."),
		ignored:      counter("earshot_sessions_ignored_total", "Idle sessions left out of the sessions table for being too short."),
		pruned:       counter("earshot_pruned_rows_total", "Rows of events and sessions deleted at the end of their retention."),
		commitTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "earshot_store_commit_duration_seconds",
			Help: "Time to store one group of listen events.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8)}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{Name: "earshot_rewinder_lag_seconds",
			Help: "How late the Rewinder was for its last turn."}),
	}
	reg.MustRegister(m.commitTime, m.lag)
	return m
}

// stream finds the counters of what a session is filed under.
func (m *Metrics) stream(w Who) *streamCounters {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := labels{strings.ToValidUTF8(w.Key.Group, "\uFFFD"), string(w.Kind)}
	if c, ok := m.streams[l]; ok {
		return c
	}
	if len(m.streams) >= maxLabels {
		l.stream = "other"
		if c, ok := m.streams[l]; ok {
			return c
		}
	}
	c := &streamCounters{l, m.sentBytes.WithLabelValues(l.stream, l.kind), m.heardSeconds.WithLabelValues(l.stream, l.kind)}
	m.streams[l] = c
	return c
}

// Started counts a session that began.
func (m *Metrics) Started(w Who) {
	if c := m.stream(w); c != nil {
		m.sessions.WithLabelValues(c.labels.stream, c.labels.kind).Inc()
	}
}

// watch registers the gauges that are read from the book when they are scraped.
func (m *Metrics) watch(b *Book) {
	if m != nil {
		m.reg.MustRegister(&bookCollector{b})
	}
}

func (m *Metrics) watchRecorder(r *Recorder) {
	if m == nil {
		return
	}
	m.reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "earshot_events_queued",
			Help: "Listen events in memory, neither stored nor spilled."}, func() float64 { return float64(r.Queued()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "earshot_spill_bytes",
			Help: "Size of the spill file."}, func() float64 { return float64(r.spill.Size()) }))
}

func (m *Metrics) lagged(d time.Duration) {
	if m != nil {
		m.lag.Set(max(0, d).Seconds())
	}
}

func (m *Metrics) stored(inserted, duplicate int, took time.Duration) {
	if m != nil {
		m.written.Add(float64(inserted))
		m.duplicate.Add(float64(duplicate))
		m.commitTime.Observe(took.Seconds())
	}
}

func (m *Metrics) closed(o Outcome) {
	if m != nil {
		m.finalised.Add(float64(o.Finalised))
		m.ignored.Add(float64(o.Ignored))
	}
}

// count adds n to one of the plain counters.
func (m *Metrics) count(which func(*Metrics) prometheus.Counter, n int) {
	if m != nil {
		which(m).Add(float64(n))
	}
}

func (m *Metrics) spilled(n int) {
	m.count(func(m *Metrics) prometheus.Counter { return m.spillTotal }, n)
}
func (m *Metrics) lost(n int) { m.count(func(m *Metrics) prometheus.Counter { return m.lostTotal }, n) }
func (m *Metrics) prunedRows(n int) {
	m.count(func(m *Metrics) prometheus.Counter { return m.pruned }, n)
}
func (m *Metrics) storeFailed() {
	m.count(func(m *Metrics) prometheus.Counter { return m.storeErrors }, 1)
}
func (m *Metrics) spillFailed() {
	m.count(func(m *Metrics) prometheus.Counter { return m.spillErrors }, 1)
}
func (m *Metrics) journalFailed() {
	m.count(func(m *Metrics) prometheus.Counter { return m.journalErrs }, 1)
}

// bookCollector counts listeners when it is scraped.
type bookCollector struct{ book *Book }

var (
	listenersDesc = prometheus.NewDesc("earshot_listeners", "Listeners now: sessions heard within the last minute.",
		[]string{"stream", "kind"}, nil)
	accountsDesc = prometheus.NewDesc("earshot_open_sessions", "Sessions that were heard and are not idle yet.", nil, nil)
)

func (c *bookCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- listenersDesc
	ch <- accountsDesc
}

func (c *bookCollector) Collect(ch chan<- prometheus.Metric) {
	now := make(map[labels]int)
	for _, l := range c.book.opt.Metrics.known() {
		now[l] = 0
	}
	c.book.Each(func(a *Account) bool {
		if a.gauge != nil && a.Snapshot().Listening(c.book.now()) {
			now[a.gauge.labels]++
		}
		return true
	})
	for l, n := range now {
		ch <- prometheus.MustNewConstMetric(listenersDesc, prometheus.GaugeValue, float64(n), l.stream, l.kind)
	}
	ch <- prometheus.MustNewConstMetric(accountsDesc, prometheus.GaugeValue, float64(c.book.Len()))
}

func (m *Metrics) known() (known []labels) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.streams {
		known = append(known, l)
	}
	return known
}

// presence is how long after its last byte a session still counts as a listener now.
const presence = time.Minute

// Listening reports whether the session counts as a listener at now: heard within the last minute, and, for ICY, still
// connected.
func (s Snapshot) Listening(now time.Time) bool {
	if s.Who.Kind == session.ICY {
		return s.Transfers > 0
	}
	return now.Sub(s.Last) < presence
}
