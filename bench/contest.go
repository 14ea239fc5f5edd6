//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
)

// contest is all servers in turn, in all cells that one set of connections serves.
type contest struct {
	ctx   context.Context
	opt   *edgeOptions
	arena *arena
	table *table
	tls   bool
	conns int

	crowds []*crowd // of each server
}

// maxThrown is how many rounds of a cell may be thrown away for each that counts.
const maxThrown = 2

func (c *contest) run(only *regexp.Regexp) error {
	defer func() {
		for _, crowd := range c.crowds {
			crowd.leave()
		}
	}()
	for _, cell := range cellsOf(c.tls, c.conns) {
		if !only.MatchString(cell.String()) {
			continue
		}
		rounds, err := c.measure(cell)
		if err != nil {
			return err
		}
		c.table.row(cell, rounds)
		if err := c.profile(cell); err != nil {
			c.table.note("%v: no profile: %v", cell, err)
		}
	}
	return nil
}

// measure has the servers take turns. A server that fails too often has fewer rounds than it should; only being told to stop is an error.
func (c *contest) measure(cell cell) (rounds [][]*round, err error) {
	rounds = make([][]*round, len(c.crowds))
	for i, thrown := 0, 0; i < c.opt.rounds; i++ {
		for which := range rounds {
			for {
				if err := c.ctx.Err(); err != nil {
					return rounds, err
				}
				r, err := c.round(cell, which)
				if err == nil {
					rounds[which] = append(rounds[which], r)
					break
				}
				c.table.note("%v: a round is thrown away: %v", cell, err)
				c.crowds[which].leave() // somebody may be in the middle of an answer
				c.crowds[which] = nil
				if thrown++; thrown > maxThrown*c.opt.rounds {
					return rounds, nil
				}
			}
		}
	}
	return rounds, nil
}

func (c *contest) round(cell cell, which int) (*round, error) {
	if c.crowds[which] == nil {
		var cert *certificate
		if c.tls {
			cert = &c.arena.cert
		}
		crowd, err := gather(c.arena.servers[which], c.conns, cert)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.arena.servers[which].name, err)
		}
		c.crowds[which] = crowd
	}
	l := &load{cell: cell, crowd: c.crowds[which], inFlight: c.opt.inFlight, ramp: c.opt.ramp, length: c.opt.length}
	return l.run()
}

// median is the round in the middle, by CPU per request.
func median(rounds []*round) *round {
	if len(rounds) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b *round) int { return cmp.Compare(a.perRequest(), b.perRequest()) })
	return sorted[len(sorted)/2]
}
