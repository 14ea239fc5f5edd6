//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// relayTurn is one round of one server.
type relayTurn struct {
	ctx       context.Context
	begin     func() (*contender, error)
	listeners int
	times     relayTimes
	meanwhile func(*contender) // nil, or what else happens while it is measured
}

// relayRound is what was measured.
type relayRound struct {
	listeners int
	elapsed   time.Duration
	cpu       time.Duration // of the server
	delivered int64         // bytes that came to all listeners
	resident  int64         // bytes that the listeners added
	kernel    int64         // bytes of their sockets at the server, at one moment; −1: the kernel does not say

	slowest, middle  float64       // rates, bytes per second
	below            int           // listeners whose rate is below what the station sends
	gap, gapMiddle   time.Duration // the longest that anybody waited; the longest of the one in the middle
	upstream         float64       // bytes per second from the origin; 0 for the origin itself
	held             time.Duration // the longest that the load was kept from looking
	returned         int           // listeners who had to come again to get anything
	checked, changes int           // frames of those whose every byte was looked at, and titles that they were told
}

// perListener is in µs of CPU per second of audio that reached a listener: a server that falls behind the station must not look cheap.
func (r *relayRound) perListener() float64 {
	return float64(r.cpu.Nanoseconds()) / 1e3 / (float64(r.delivered) / audioRate)
}

func (r *relayRound) busy() float64 { return r.cpu.Seconds() / r.elapsed.Seconds() }

// kib is the share of one listener.
func (r *relayRound) kib(bytes int64) float64 { return float64(bytes) / 1024 / float64(r.listeners) }

func (t *relayTurn) run() (*relayRound, error) {
	c, err := t.begin()
	if err != nil {
		return nil, err
	}
	defer c.end()
	a, err := newAudience(t.ctx, c.server)
	if err != nil {
		return nil, err
	}
	defer a.close()
	r, err := t.measure(c, a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return r, nil
}

// measure has one listener come first: what he makes the server do once is no other's cost.
func (t *relayTurn) measure(c *contender, a *audience) (*relayRound, error) {
	if err := a.join(1, 0); err != nil {
		return nil, err
	}
	if err := a.listen(t.times.warm, nil); err != nil {
		return nil, err
	}
	before := c.proc.memory().rss
	a.retries = max(1, t.listeners/20)
	if err := t.fill(a); err != nil {
		return nil, err
	}
	r, err := t.window(c, a)
	if err != nil {
		return nil, err
	}
	r.resident = c.proc.memory().rss - before
	held, conns, err := sentMemory(c.plain)
	if r.kernel = held; err != nil || conns < t.listeners {
		r.kernel = -1
	}
	if a.broken > 0 {
		return nil, fmt.Errorf("%d of %d listeners were lost; %w", a.broken, len(a.ears), a.why)
	}
	r.returned = a.returned
	r.sum(a.ears[1:])
	return r, nil
}

// maxSilent is how many may wait for audio before others join. Icecast has room for five connections that it has not accepted yet: whoever
// finds it full tries again after 1, 3, 7, 15 … seconds, and with thousands of those there would be no end to it. The storm shows that.
const maxSilent = 100

// fill has everybody join, and waits until all have audio and the server is done with what that takes.
func (t *relayTurn) fill(a *audience) error {
	if err := a.joinAtMost(t.listeners, time.Duration(t.listeners)*time.Second/time.Duration(t.times.joins), maxSilent); err != nil {
		return err
	}
	if err := a.listen(firstPatient, func() bool { return a.silent == 0 || a.broken > 0 }); err != nil {
		return err
	}
	if a.broken > 0 {
		return fmt.Errorf("%d of %d listeners were lost; %w", a.broken, len(a.ears), a.why)
	}
	if a.silent > 0 {
		return fmt.Errorf("%d of %d listeners have no audio %v after the last joined (the load was held up for %v at the most)", a.silent, len(a.ears),
			firstPatient, a.held.Round(time.Millisecond))
	}
	return a.listen(t.times.settle, nil)
}

// window is what is measured. To ask for metrics is work for the server, so that is done outside of it.
func (t *relayTurn) window(c *contender, a *audience) (*relayRound, error) {
	upstream, asked, err := c.upstream()
	if err != nil {
		return nil, err
	}
	if err := a.listen(time.Second, nil); err != nil {
		return nil, err
	}
	if t.meanwhile != nil {
		t.meanwhile(c)
	}
	r := &relayRound{listeners: t.listeners}
	heard := a.window()
	cpu, began := c.proc.cpu(), time.Now()
	if err := a.listen(t.times.length, nil); err != nil {
		return nil, err
	}
	r.cpu, r.elapsed = since(cpu, c.proc.cpu()), time.Since(began)
	r.delivered = a.shut() - heard
	if r.held = a.held; a.held > heldUp {
		return nil, fmt.Errorf("the load was held up for %v: something else had its core", a.held.Round(time.Millisecond))
	}
	after, again, err := c.upstream()
	r.upstream = (after - upstream) / again.Sub(asked).Seconds()
	return r, err
}

// heldUp is how long the load may be kept from looking: its listeners would seem to wait.
const heldUp = 500 * time.Millisecond

// allowance is how far a listener may fall behind the station in a window and not be below its rate, in bytes: a second. What is sent at a time is
// whole pieces of the stream, so that one batch is larger than another.
const allowance = audioRate

// sum looks at what each listener got.
func (r *relayRound) sum(ears []*ear) {
	rates, gaps := make([]float64, len(ears)), make([]time.Duration, len(ears))
	for i, e := range ears {
		rates[i], gaps[i] = e.span.rate(), e.span.gap
		if e.span.behind() > allowance {
			r.below++
		}
		if e.framing != nil {
			r.checked += e.framing.frames
			r.changes += e.framing.titles
		}
	}
	slices.Sort(rates)
	slices.Sort(gaps)
	r.slowest, r.middle = rates[0], rates[len(rates)/2]
	r.gap, r.gapMiddle = gaps[len(gaps)-1], gaps[len(gaps)/2]
}

// upstream is how many bytes Earshot has had from its origin, and when it said so.
func (s *server) upstream() (bytes float64, at time.Time, err error) {
	if s.admin == "" {
		return 0, time.Now(), nil
	}
	bytes, err = s.metric(`earshot_upstream_received_bytes_total{stream="live"}`)
	return bytes, time.Now(), err
}
