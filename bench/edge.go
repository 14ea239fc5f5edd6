//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// edgeOptions are of the parts that run servers.
type edgeOptions struct {
	rounds   int
	length   time.Duration // of a round
	ramp     time.Duration // before it
	inFlight int
	conns    conns
	only     string // a regular expression: which cells
	profile  string // directory for profiles of Earshot; empty: none
	program  string // Earshot's; empty: it is built
	crowd    int    // of connections and sessions, for memory

	sendPlaylists bool // nginx's playlists go by sendfile
}

func defaultEdge() edgeOptions {
	return edgeOptions{rounds: 3, length: time.Second, ramp: 100 * time.Millisecond, inFlight: 32, conns: conns{64, 2000}, crowd: 10_000,
		sendPlaylists: true}
}

func (o *edgeOptions) flags(set *flag.FlagSet) {
	set.IntVar(&o.rounds, "rounds", o.rounds, "edge: rounds of each cell; the table shows their median")
	set.DurationVar(&o.length, "for", o.length, "edge: how long a round is")
	set.IntVar(&o.inFlight, "in-flight", o.inFlight, "edge: requests on their way at any time")
	set.Var(&o.conns, "conns", "edge: numbers of connections kept alive")
	set.StringVar(&o.only, "only", o.only, "edge: only the cells whose name this `regexp` matches")
	set.StringVar(&o.profile, "profile", o.profile, "edge: take a CPU profile of Earshot in each cell, after its rounds, into this `directory`")
	set.StringVar(&o.program, "earshot", o.program, "edge, memory: this `program` instead of one built now")
	set.BoolVar(&o.sendPlaylists, "nginx-sendfile", o.sendPlaylists, "edge: nginx uses sendfile for playlists as well, not for segments only")
	set.IntVar(&o.crowd, "crowd", o.crowd, "memory: how many connections, and how many sessions")
}

// conns is a list of numbers, parted by commas.
type conns []int

func (c *conns) String() string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint([]int(*c)), "[]"), " ", ",")
}

func (c *conns) Set(text string) error {
	*c = nil
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is no number of connections", field)
		}
		*c = append(*c, n)
	}
	return nil
}

// edgePart prints the table.
func edgePart(ctx context.Context, out io.Writer, opt *edgeOptions) error {
	only, err := regexp.Compile(opt.only)
	if err != nil {
		return err
	}
	for _, n := range opt.conns {
		if err := mayOpen(2 * n); err != nil {
			return err
		}
	}
	if opt.profile != "" {
		if err := os.MkdirAll(opt.profile, 0o755); err != nil {
			return err
		}
	}
	a, err := newArena(opt)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.startServers(); err != nil {
		return err
	}
	t := newTable(out)
	defer t.finish()
	if a.lacks != "" {
		t.note("no cells over TLS: this Earshot refuses a listener with tls: %s", a.lacks)
	}
	for _, tls := range []bool{false, true} {
		for _, n := range opt.conns {
			c := &contest{ctx: ctx, opt: opt, arena: a, table: t, tls: tls, conns: n}
			if tls && a.lacks != "" {
				continue
			}
			if err := c.run(only); err != nil {
				return err
			}
		}
	}
	return t.failed()
}
