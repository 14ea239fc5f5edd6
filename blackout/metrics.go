package blackout

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers what is counted of the geo file on reg.
func (g *Geo) Register(reg prometheus.Registerer) {
	count := func(name, help, label, value string, n *atomic.Uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: value}},
			func() float64 { return float64(n.Load()) }))
	}
	const lookups, loads = "earshot_geo_lookups_total", "earshot_geo_reloads_total"
	const lookupsHelp = "Addresses looked up in the geo file; broken: it could not be read there."
	const loadsHelp = "New geo files, and whether they were taken."
	count(lookups, lookupsHelp, "outcome", "found", &g.found)
	count(lookups, lookupsHelp, "outcome", "missing", &g.missed)
	count(lookups, lookupsHelp, "outcome", "broken", &g.broken)
	count(loads, loadsHelp, "outcome", "taken", &g.taken)
	count(loads, loadsHelp, "outcome", "refused", &g.refused)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "earshot_geo_build_timestamp_seconds",
		Help: "When the geo file in use was made, in Unix time."}, func() float64 { return float64(g.Build().Unix()) }))
}
