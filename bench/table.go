//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"
)

// table is the outcome in Markdown, a line as soon as it is known, and notes after it.
type table struct {
	out   io.Writer
	notes []string
	cells int
	empty int // cells without an outcome
	idle  int // cells in which a server was held up
}

// newTable is for nginx, the Earshot that is compared with it, and others that have a column of their own.
func newTable(out io.Writer, servers []*server) *table {
	fmt.Fprintf(out, "%s, %d cores. CPU of the server in µs per request; the lower the ratio, the better for Earshot.\n\n", runtime.GOOS+"/"+runtime.GOARCH,
		runtime.NumCPU())
	others, rule := "", ""
	for _, s := range servers[2:] {
		others, rule = others+" "+s.name+" (ratio) |", rule+"--:|"
	}
	fmt.Fprintf(out, "| request, transport, connections | nginx | %s | ratio | target |%s nginx req/s | Earshot req/s | nginx p50 / p99 ms | Earshot p50 / p99 ms | nginx RSS MiB | Earshot RSS MiB | busy, nginx / Earshot |\n",
		servers[1].name, others)
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|"+rule+"--:|--:|--:|--:|--:|--:|--:|")
	return &table{out: out}
}

// row prints the medians of a cell.
func (t *table) row(c cell, rounds [][]*round) {
	t.cells++
	n, e := median(rounds[0]), median(rounds[1])
	if n == nil || e == nil {
		t.empty++
		fmt.Fprintf(t.out, "| %v | no outcome |\n", c)
		return
	}
	target := "–"
	if c.target() > 0 {
		target = fmt.Sprintf("%.2f", c.target())
	}
	others := ""
	for _, of := range rounds[2:] {
		if o := median(of); o != nil {
			others += fmt.Sprintf(" %.1f (%.2f) |", o.perRequest(), o.perRequest()/n.perRequest())
		} else {
			others += " no outcome |"
		}
	}
	fmt.Fprintf(t.out, "| %v | %.1f | %.1f | **%.2f** | %s |%s %.0f | %.0f | %s | %s | %.1f | %.1f | %.0f%% / %.0f%% |\n", c, n.perRequest(), e.perRequest(),
		e.perRequest()/n.perRequest(), target, others, n.perSecond(), e.perSecond(), n.latency(), e.latency(), mib(n.memory.rss), mib(e.memory.rss), 100*n.busy(), 100*e.busy())
	if min(n.busy(), e.busy()) < quiet {
		t.idle++
	}
}

// quiet is how busy a server is that nothing holds up.
const quiet = 0.8

func (r *round) latency() string { return ms(r.p50) + " / " + ms(r.p99) }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// note is for what must be said beside the figures.
func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) finish() {
	fmt.Fprintln(t.out)
	if t.idle > 0 {
		t.note("in %d of %d cells a server worked less than %.0f%% of the time: the load, the origin, or something else on the machine held it up",
			t.idle, t.cells, 100*quiet)
	}
	for _, n := range t.notes {
		fmt.Fprintln(t.out, "-", n)
	}
}

func (t *table) failed() error {
	switch {
	case t.empty > 0:
		return fmt.Errorf("%d of %d cells have no outcome", t.empty, t.cells)
	case t.cells == 0:
		return errors.New("no cell was measured")
	}
	return nil
}
