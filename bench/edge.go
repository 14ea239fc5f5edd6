//go:build linux

package main

import (
	"cmp"
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
	length   time.Duration // of a round; 0: what is right for the part
	ramp     time.Duration // before it
	inFlight int
	conns    conns  // none: what is right for the part
	only     string // a regular expression: which cells
	profile  string // directory for profiles of Earshot; empty: none
	program  string // Earshot's; empty: it is built
	crowd    int    // of connections and sessions, for memory
	joins    int    // listeners a second, for relay
	gates    gates  // none: what is right for the part

	sendPlaylists bool // nginx's playlists go by sendfile
}

func defaultEdge() edgeOptions {
	return edgeOptions{rounds: 3, ramp: 100 * time.Millisecond, inFlight: 32, crowd: 10_000, joins: 500,
		sendPlaylists: true}
}

func (o *edgeOptions) flags(set *flag.FlagSet) {
	set.IntVar(&o.rounds, "rounds", o.rounds, "edge, relay, storm: rounds of each cell; the table shows their median")
	set.DurationVar(&o.length, "for", o.length, "edge, relay: how long a round is (default 1s, and 20s for relay)")
	set.IntVar(&o.inFlight, "in-flight", o.inFlight, "edge: requests on their way at any time")
	set.Var(&o.conns, "conns", "edge: numbers of connections kept alive (default 64,2000); relay: of listeners (default 1000,4000,8000)")
	set.StringVar(&o.only, "only", o.only, "edge: only the cells whose name this `regexp` matches")
	set.StringVar(&o.profile, "profile", o.profile, "edge, relay: take a CPU and a heap profile of Earshot in each cell, after its rounds, into this `directory`")
	set.StringVar(&o.program, "earshot", o.program, "edge, memory, relay, storm: this `program` instead of one built now")
	set.BoolVar(&o.sendPlaylists, "nginx-sendfile", o.sendPlaylists, "edge: nginx uses sendfile for playlists as well, not for segments only")
	set.Var(&o.gates, "gate", "what Earshot asks of listeners: on (tokens, limits, blackouts), off, redis (seats there). The first of a list is compared, the others are shown beside it (default on,off,redis for edge, else on)")
	set.IntVar(&o.joins, "joins", o.joins, "relay: how many listeners join a second before what is measured")
	set.IntVar(&o.crowd, "crowd", o.crowd, "memory: how many connections, and how many sessions")
}

// with is the same with these gates, unless some were asked for.
func (o *edgeOptions) with(usual ...gate) *edgeOptions {
	with := *o
	if len(with.gates) == 0 {
		with.gates = usual
	}
	return &with
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
func edgePart(ctx context.Context, out io.Writer, given *edgeOptions) error {
	opt := given.with(gateOn, gateOff, gateRedis)
	if opt.length = cmp.Or(opt.length, time.Second); len(opt.conns) == 0 {
		opt.conns = conns{64, 2000}
	}
	only, err := regexp.Compile(opt.only)
	if err != nil {
		return err
	}
	for _, n := range opt.conns {
		if err := mayOpen((1 + len(opt.gates)) * n); err != nil {
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
	t := newTable(out, a.servers)
	defer t.finish()
	if a.lacks != "" {
		t.note("no cells over TLS: this Earshot refuses a listener with tls: %s", a.lacks)
	}
	for _, tls := range []bool{false, true} {
		for _, n := range opt.conns {
			c := &contest{ctx: ctx, opt: opt, arena: a, table: t, tls: tls, conns: n, crowds: make([]*crowd, len(a.servers))}
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
