// Command bench measures Earshot beside what else could do the same work, in turn, on this machine, and prints ratios. They mean
// more than the times: both sides of a ratio had the same noise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const usage = `usage: bench [flags] [part …]

Parts; without any, all of them in turn:

  splice    ways to personalise a playlist, in this process
  edge      Earshot and nginx before the same origin: CPU per request
  memory    what idle connections and sessions hold
  relay     Earshot and Icecast with many listeners of a mount: CPU per listener-second, memory, whether all get what they should
  storm     Earshot and Icecast when many listeners join at once

`

// options are what the flags set.
type options struct {
	splice struct {
		rounds int
		time   time.Duration // of each measurement
	}
	edge edgeOptions
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == originCommand {
		must(serveOrigin(os.Stdout, os.Stdin))
		return
	}
	if len(os.Args) == 3 && os.Args[1] == stationCommand {
		must(serveStation(os.Args[2], os.Stdout, os.Stdin))
		return
	}
	opt, parts := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runParts(ctx, os.Stdout, opt, parts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// part is something that can be measured by itself.
type part struct {
	name string
	run  func(context.Context, io.Writer, *options) error
}

// parts are all there are, in the order in which they run.
var parts = []part{
	{"splice", func(_ context.Context, out io.Writer, opt *options) error { return splicePart(out, opt) }},
	{"edge", func(ctx context.Context, out io.Writer, opt *options) error { return edgePart(ctx, out, &opt.edge) }},
	{"memory", func(ctx context.Context, out io.Writer, opt *options) error { return memoryPart(ctx, out, &opt.edge) }},
	{"relay", func(ctx context.Context, out io.Writer, opt *options) error { return relayPart(ctx, out, &opt.edge) }},
	{"storm", func(ctx context.Context, out io.Writer, opt *options) error { return stormPart(ctx, out, &opt.edge) }},
}

func parseFlags() (*options, []string) {
	testing.Init()
	opt := &options{edge: defaultEdge()}
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		ours := flag.NewFlagSet("", flag.ContinueOnError) // splice needs the flags of package testing, nobody else does
		flag.VisitAll(func(f *flag.Flag) {
			if !strings.HasPrefix(f.Name, "test.") {
				ours.Var(f.Value, f.Name, f.Usage)
			}
		})
		ours.PrintDefaults()
	}
	flag.IntVar(&opt.splice.rounds, "splice.rounds", 5, "splice: how often each way is measured")
	flag.DurationVar(&opt.splice.time, "splice.for", 100*time.Millisecond, "splice: for how long each time")
	opt.edge.flags(flag.CommandLine)
	flag.Parse()
	return opt, flag.Args()
}

func runParts(ctx context.Context, out io.Writer, opt *options, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	var errs []error
	for _, p := range parts {
		if len(names) == 0 || slices.Contains(names, p.name) {
			fmt.Fprintf(out, "\n## %s\n\n", p.name)
			if err := p.run(ctx, out, opt); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			}
		}
	}
	return errors.Join(errs...)
}
