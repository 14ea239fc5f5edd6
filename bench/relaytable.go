//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// What Earshot is to be.
const (
	relayRatio  = 0.35 // of Icecast's CPU
	relayMemory = 8.0  // KiB resident for a listener
)

// relayTable is the outcome in Markdown, as [table] is of the edge.
type relayTable struct {
	out   io.Writer
	notes []string
	empty int
	rows  int
}

func newRelayTable(out io.Writer, doors []*door) *relayTable {
	others, rule := "", ""
	for _, d := range doors[1:] {
		others, rule = others+" "+d.name()+", µs (ratio), KiB |", rule+"--:|"
	}
	fmt.Fprintf(out, "%s, %d cores. MP3 of 128 kbit/s with metadata. CPU of the server in µs for each second of audio that reached a listener; the lower the ratio, the better for Earshot.\n"+
		"Targets: a ratio of %.2f, %.0f KiB resident, nobody below the rate. Of the rates and waits, the worst of all rounds.\n\n",
		runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), relayRatio, relayMemory)
	fmt.Fprintln(out, "| listeners | Icecast µs | "+doors[0].name()+" µs | ratio (lowest–highest) | target |"+others+" KiB resident each, Icecast / Earshot | KiB of kernel buffers each | slowest B/s | median B/s | below the rate | had to come again | longest wait, s | median of the longest waits, s | Earshot from its origin, B/s | busy |")
	fmt.Fprintln(out, "|--:|--:|--:|--:|--:|"+rule+"--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	return &relayTable{out: out}
}

// row prints a number of listeners: the medians by CPU.
func (t *relayTable) row(n int, rounds [][]*relayRound) {
	t.rows++
	if len(rounds[0]) == 0 || len(rounds[1]) == 0 {
		t.empty++
		fmt.Fprintf(t.out, "| %d | no outcome |\n", n)
		return
	}
	i, e := middleRound(rounds[0]), middleRound(rounds[1])
	both := func(format string, of func(which int) any) string {
		return fmt.Sprintf(format+" / "+format, of(0), of(1))
	}
	in := [2]*relayRound{i, e}
	worst := func(of func(*relayRound) float64, better func(...float64) float64) func(int) any {
		return func(which int) any {
			var all []float64
			for _, r := range rounds[which] {
				all = append(all, of(r))
			}
			return better(all...)
		}
	}
	least := func(all ...float64) float64 { return slices.Min(all) }
	most := func(all ...float64) float64 { return slices.Max(all) }
	others := ""
	for _, of := range rounds[2:] {
		if len(of) == 0 {
			others += " no outcome |"
			continue
		}
		o := middleRound(of)
		others += fmt.Sprintf(" %.1f (%.2f), %.1f |", o.perListener(), o.perListener()/i.perListener(), o.kib(o.resident))
	}
	fmt.Fprintf(t.out, "| %d | %.1f | %.1f | %s | %.2f |%s %s | %s | %s | %s | %s | %s | %s | %s | %.0f | %s |\n", n, i.perListener(), e.perListener(),
		ratios(rounds), relayRatio, others,
		both("%.1f", func(w int) any { return in[w].kib(in[w].resident) }),
		both("%s", func(w int) any { return in[w].kernelEach() }),
		both("%.0f", worst(func(r *relayRound) float64 { return r.slowest }, least)),
		both("%.0f", func(w int) any { return in[w].middle }),
		both("%.0f", worst(func(r *relayRound) float64 { return float64(r.below) }, most)),
		both("%.0f", worst(func(r *relayRound) float64 { return float64(r.returned) }, most)),
		both("%.2f", worst(func(r *relayRound) float64 { return r.gap.Seconds() }, most)),
		both("%.2f", func(w int) any { return in[w].gapMiddle.Seconds() }),
		e.upstream, both("%.0f%%", func(w int) any { return 100 * in[w].busy() }))
	for which, name := range []string{"Icecast", "Earshot"} {
		r := in[which]
		if r.middle < audioRate*95/100 {
			t.note("%d listeners: %s does not keep up with the station: its CPU is for what it delivered", n, name)
		}
		t.note("%d listeners, %s: nobody was lost in %d rounds of %v; %d frames of %d listeners looked at, %d titles; the load was held up for %v at the most", n, name,
			len(rounds[which]), r.elapsed.Round(time.Second), r.checked, n/lookEvery, r.changes, r.held.Round(time.Millisecond))
	}
}

func (r *relayRound) kernelEach() string {
	if r.kernel < 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", r.kib(r.kernel))
}

// ratios are those of rounds that followed each other.
func ratios(rounds [][]*relayRound) string {
	var all []float64
	for i := range min(len(rounds[0]), len(rounds[1])) {
		all = append(all, rounds[1][i].perListener()/rounds[0][i].perListener())
	}
	slices.Sort(all)
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", all[len(all)/2], all[0], all[len(all)-1])
}

// middleRound is the round in the middle, by CPU.
func middleRound(rounds []*relayRound) *relayRound {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b *relayRound) int { return cmp.Compare(a.perListener(), b.perListener()) })
	return sorted[len(sorted)/2]
}

func (t *relayTable) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *relayTable) finish() {
	fmt.Fprintln(t.out)
	for _, n := range t.notes {
		fmt.Fprintln(t.out, "-", n)
	}
}

func (t *relayTable) failed() error {
	if t.empty > 0 {
		return fmt.Errorf("%d of %d numbers of listeners have no outcome", t.empty, t.rows)
	}
	if t.rows == 0 {
		return errors.New("nothing was measured")
	}
	return nil
}
