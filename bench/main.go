// Command bench measures Earshot beside what else could do the same work, in turn, on this machine, and prints ratios. They mean
// more than the times: both sides of a ratio had the same noise.
package main

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
)

func main() {
	testing.Init()
	rounds := flag.Int("rounds", 5, "how often each is measured")
	short := flag.Duration("for", 0, "for how long each time; 0 is 200ms")
	flag.Parse()
	if *short == 0 {
		*short = 200e6
	}
	if err := flag.Set("test.benchtime", short.String()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	splices(out, *rounds)
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
