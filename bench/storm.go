//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// storm is many who join at once: the news of the hour, or a server that came back.
type storm struct {
	listeners int
	within    time.Duration
	warm      time.Duration
	patience  time.Duration // after which nobody is waited for
}

var theStorm = storm{listeners: 4000, within: 2 * time.Second, warm: relayWarm, patience: 30 * time.Second}

// late is how long nobody may wait for the first of the audio.
const late = 10 * time.Second

// stormPart prints how long listeners wait who come all at once.
func stormPart(ctx context.Context, out io.Writer, opt *edgeOptions) error {
	return theStorm.part(ctx, out, opt)
}

func (s storm) part(ctx context.Context, out io.Writer, opt *edgeOptions) error {
	if err := mayOpen(s.listeners); err != nil {
		return err
	}
	v, err := newVenue(opt.with(gateOn))
	if err != nil {
		return err
	}
	defer v.close()
	fmt.Fprintf(out, "%d listeners within %v, each of whom waits from when he begins to connect to the first byte of the body.\n\n", s.listeners, s.within)
	fmt.Fprintf(out, "| round | server | p50 ms | p99 ms | max ms | none within %v | never any | lost | CPU of the server, s | in, s |\n", late)
	fmt.Fprintln(out, "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	var errs []error
	for i := range opt.rounds {
		for _, begin := range v.contenders() {
			if err := s.round(ctx, out, i+1, begin); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
		}
	}
	return errors.Join(errs...)
}

// round is one storm upon one server. Here it is an outcome, and not an error, that listeners are lost.
func (s storm) round(ctx context.Context, out io.Writer, round int, begin func() (*contender, error)) error {
	c, err := begin()
	if err != nil {
		return err
	}
	defer c.end()
	a, err := newAudience(ctx, c.server)
	if err != nil {
		return err
	}
	defer a.close()
	if err := errors.Join(a.join(1, 0), a.listen(s.warm, nil)); err != nil {
		return err
	}
	cpu, began := c.proc.cpu(), a.now()
	if err := a.join(s.listeners, s.within); err != nil {
		return err
	}
	if err := a.listen(s.patience, func() bool { return a.silent == 0 }); err != nil {
		return err
	}
	used, took := since(cpu, c.proc.cpu()), a.now()-began
	w := waitsOf(a.ears[1:])
	fmt.Fprintf(out, "| %d | %s | %s | %s | %s | %d | %d | %d | %.2f | %.1f |\n", round, c.name, ms(w.at(50)), ms(w.at(99)), ms(w.at(100)), w.late, w.never,
		a.broken, used.Seconds(), took.Seconds())
	if a.why != nil {
		fmt.Fprintf(out, "| | %s | %v |\n", c.name, a.why)
	}
	return nil
}

// waits are how long it took those who got something.
type waits struct {
	sorted      []time.Duration
	late, never int // the first include the second
}

func waitsOf(ears []*ear) (w waits) {
	for _, e := range ears {
		if e.first == 0 {
			w.never++
			w.late++
			continue
		}
		wait := e.first - e.tried
		if wait > late {
			w.late++
		}
		w.sorted = append(w.sorted, wait)
	}
	slices.Sort(w.sorted)
	return w
}

// at is a percentile; 0 if nobody got anything.
func (w *waits) at(percent int) time.Duration {
	if len(w.sorted) == 0 {
		return 0
	}
	return w.sorted[min(len(w.sorted)-1, len(w.sorted)*percent/100)]
}
