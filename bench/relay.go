//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How a round of the relay goes, where no flag says otherwise.
const (
	relayLength  = 20 * time.Second // of what is measured
	relayWarm    = 7 * time.Second  // with one listener, until the server has a whole burst to give
	relaySettle  = 10 * time.Second // after everybody has had audio, until it is measured
	firstPatient = 60 * time.Second // that the last may take for that
)

// relayTimes are those of a round.
type relayTimes struct {
	warm, settle, length time.Duration
	joins                int // listeners a second
}

// relayPart prints what a listener of a mount costs, of Icecast and of Earshot.
func relayPart(ctx context.Context, out io.Writer, opt *edgeOptions) error {
	return relayContest(ctx, out, opt, relayTimes{relayWarm, relaySettle, cmp.Or(opt.length, relayLength), max(1, opt.joins)})
}

func relayContest(ctx context.Context, out io.Writer, given *edgeOptions, times relayTimes) error {
	opt := given.with(gateOn)
	counts := opt.conns
	if len(counts) == 0 {
		counts = conns{1000, 4000, 8000}
	}
	if err := mayOpen(slices.Max(counts)); err != nil {
		return err
	}
	v, err := newVenue(opt)
	if err != nil {
		return err
	}
	defer v.close()
	t := newRelayTable(out, v.doors)
	defer t.finish()
	for _, n := range counts {
		rounds, err := relayRounds(ctx, v, t, opt.rounds, n, times)
		if err != nil {
			return err
		}
		t.row(n, rounds)
		if err := relayProfile(ctx, v, opt.profile, n, times); err != nil {
			t.note("%d listeners: no profile: %v", n, err)
		}
	}
	return t.failed()
}

// relayRounds has all take turns. A round in which a listener is lost, or gets what is wrong, is none: it is said, and repeated.
func relayRounds(ctx context.Context, v *venue, t *relayTable, want, n int, times relayTimes) (rounds [][]*relayRound, err error) {
	contenders := v.contenders()
	rounds = make([][]*relayRound, len(contenders))
	for i, thrown := 0, 0; i < want; i++ {
		for which, begin := range contenders {
			for {
				r, err := (&relayTurn{ctx: ctx, begin: begin, listeners: n, times: times}).run()
				if err == nil {
					rounds[which] = append(rounds[which], r)
					break
				}
				if ctx.Err() != nil || errors.Is(err, errNoIcecast) {
					return rounds, err
				}
				t.note("%d listeners: a round is thrown away: %v", n, err)
				if thrown++; thrown > maxThrown*want {
					return rounds, nil
				}
			}
		}
	}
	return rounds, nil
}

// relayProfile has one more round of Earshot, which counts for nothing, and keeps where it spent its time, and what it held.
func relayProfile(ctx context.Context, v *venue, dir string, n int, times relayTimes) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	saved := make(chan error, 1)
	take := func(c *contender) {
		length := max(time.Second, times.length-time.Second)
		go func() { saved <- c.profiles(length, filepath.Join(dir, fmt.Sprintf("relay-%d", n))) }()
	}
	turn := &relayTurn{ctx: ctx, begin: v.contenders()[1], listeners: n, times: times, meanwhile: take}
	if _, err := turn.run(); err != nil {
		return err
	}
	return <-saved
}
