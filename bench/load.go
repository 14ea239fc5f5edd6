//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// load is what a crowd asks for in one round. It is a closed loop: inFlight requests are on their way at any time, and whoever has waited
// longest makes the next one. So the server always has work, and all connections take part.
type load struct {
	cell     cell
	crowd    *crowd
	inFlight int
	ramp     time.Duration // before what counts
	length   time.Duration // of what counts
}

// sampleEvery is of how many answers one is read and compared with the origin's.
const sampleEvery = 256

// silence is how long no answer may come.
const silence = 5 * time.Second

// round is what was measured.
type round struct {
	requests int
	elapsed  time.Duration
	cpu      time.Duration // of the server
	p50, p99 time.Duration
	memory   memory // at the end
}

func (r *round) perRequest() float64 { return float64(r.cpu.Nanoseconds()) / 1e3 / float64(r.requests) } // µs
func (r *round) perSecond() float64  { return float64(r.requests) / r.elapsed.Seconds() }
func (r *round) busy() float64       { return r.cpu.Seconds() / r.elapsed.Seconds() }

// stalled tells a round in which the server mostly waited: for a timer, or because something else had its core.
func (r *round) stalled() bool { return r.p50 >= 30*time.Millisecond && r.busy() < 0.25 }

// meter reads the server at the beginning and the end of what counts.
type meter struct {
	server    *server
	began     time.Time
	cpu       map[int]time.Duration
	latencies []time.Duration
}

func (m *meter) begin() {
	m.latencies = m.latencies[:0]
	m.cpu, m.began = m.server.proc.cpu(), time.Now()
}

func (m *meter) end() (*round, error) {
	r := &round{elapsed: time.Since(m.began), cpu: since(m.cpu, m.server.proc.cpu()), requests: len(m.latencies), memory: m.server.proc.memory()}
	if r.requests == 0 {
		return nil, fmt.Errorf("%s: no answer in %v", m.server.name, r.elapsed)
	}
	slices.Sort(m.latencies)
	r.p50, r.p99 = m.latencies[r.requests/2], m.latencies[r.requests*99/100]
	return r, nil
}

// run is one round.
func (l *load) run() (*round, error) {
	if err := l.crowd.refresh(); err != nil {
		return nil, err
	}
	run := l.runPlain
	if l.cell.tls {
		run = l.runTLS
	}
	r, err := run()
	if err == nil && r.stalled() {
		err = fmt.Errorf("%s stalls: half of its answers take %v or more, and it works %.0f%% of the time", l.crowd.server.name,
			r.p50.Round(time.Millisecond), 100*r.busy())
	}
	return r, err
}
