package proxy

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/session"
)

// requestKind is what was asked for, as a metric label.
type requestKind string

const (
	playlistKind requestKind = "playlist"
	segmentKind  requestKind = "segment"
	icyKind      requestKind = "icy"
	optionsKind  requestKind = "options"
	otherKind    requestKind = "other"
)

// Metrics are this package's collectors. A nil *Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	problems *prometheus.CounterVec
	grants   *prometheus.CounterVec
	ids      prometheus.Counter
	foreign  prometheus.Counter
	cuts     prometheus.Counter
	settled  *prometheus.CounterVec
	headers  *prometheus.CounterVec
	unlogged prometheus.Counter

	tallies sync.Map // by requestOutcome
}

// NewMetrics registers the collectors on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_requests_total",
			Help: "Requests of players, by kind and status code."}, []string{"kind", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "earshot_request_duration_seconds",
			Help:    "Time from a request to the end of its answer; for ICY, until the listener was handed to the relay.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9)}, []string{"kind"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_problems_total",
			Help: "Requests that were answered with a problem, by its code."}, []string{"code"}),
		grants: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_grants_rejected_total",
			Help: "Grants that failed their check, by reason; on a stream without auth the request went on without."}, []string{"reason"}),
		ids: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_session_ids_rejected_total",
			Help: "Session ids of clients that were too long or not printable, and replaced."}),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_playlist_foreign_uris_total",
			Help: "URIs in new versions of playlists that lie outside every configured prefix, or could not be resolved, and were left alone."}),
		cuts: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_responses_cut_total",
			Help: "Bodies of media that ended early because the listener left, or took nothing for too long."}),
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_segments_placed_total",
			Help: "Bodies of media by how their media time was found: in the timeline, by the stream's typical segment, or not at all."},
			[]string{"how"}),
		headers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "earshot_proxy_headers_rejected_total",
			Help: "Connections that were closed because they did not begin with a PROXY header, by reason."}, []string{"reason"}),
		unlogged: prometheus.NewCounter(prometheus.CounterOpts{Name: "earshot_access_log_dropped_total",
			Help: "Lines of the access log that were not written: too many at once, or the disk did not take them."}),
	}
	reg.MustRegister(m.unlogged, m.requests, m.duration, m.problems, m.grants, m.ids, m.foreign, m.cuts, m.settled, m.headers)
	return m
}

func (m *Metrics) served(kind requestKind, code int, took time.Duration) {
	if m == nil {
		return
	}
	key := requestOutcome{kind, code}
	known, ok := m.tallies.Load(key)
	if !ok {
		known, _ = m.tallies.LoadOrStore(key, &tally{m.requests.WithLabelValues(string(kind), strconv.Itoa(code)),
			m.duration.WithLabelValues(string(kind))})
	}
	t := known.(*tally)
	t.requests.Inc()
	t.duration.Observe(took.Seconds())
}

// tally are the collectors of a requestOutcome, found once.
type tally struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

type requestOutcome struct {
	kind requestKind
	code int
}

func (m *Metrics) problem(code string) {
	if m != nil {
		m.problems.WithLabelValues(code).Inc()
	}
}

func (m *Metrics) grantRejected(err error) {
	if m == nil {
		return
	}
	reason := "group"
	switch {
	case errors.Is(err, session.ErrGrantForged):
		reason = "forged"
	case errors.Is(err, session.ErrGrantKey):
		reason = "key"
	case errors.Is(err, session.ErrGrantMalformed):
		reason = "malformed"
	}
	m.grants.WithLabelValues(reason).Inc()
}

func (m *Metrics) idRejected() {
	if m != nil {
		m.ids.Inc()
	}
}

func (m *Metrics) responseCut() {
	if m != nil {
		m.cuts.Inc()
	}
}

func (m *Metrics) leftAlone(n int) {
	if m != nil {
		m.foreign.Add(float64(n))
	}
}

func (m *Metrics) placed(how string) {
	if m != nil {
		m.settled.WithLabelValues(how).Inc()
	}
}

func (m *Metrics) accessLogDropped(lines int) {
	if m != nil {
		m.unlogged.Add(float64(lines))
	}
}

func (m *Metrics) headerRejected(err error) {
	if m != nil {
		m.headers.WithLabelValues(headerReason(err)).Inc()
	}
}
