package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Check is one thing that must work before the edge can serve.
type Check struct {
	Name string // shown, and logged

	// Probe tries it. It must return soon after ctx is done; one that does not is reported as failing, and not run
	// again until it has returned. Its error is shown to whoever can reach /readyz: no secret, no origin's address.
	Probe func(ctx context.Context) error
}

const (
	probeTimeout = 2 * time.Second
	readyFor     = time.Second // how long an answer is given again
)

// readiness asks the checks, all at once, and remembers their answers for readyFor: however often /readyz is asked,
// each probe runs once at a time and about once a second at the most.
type readiness struct {
	// Set at construction.
	log      *slog.Logger
	turn     chan struct{} // holds one: the right to the fields below
	draining atomic.Bool

	probes  []*probe
	results []result
	until   time.Time
}

type result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func newReadiness(checks []Check, log *slog.Logger) *readiness {
	rd := &readiness{log: log, turn: make(chan struct{}, 1), results: make([]result, len(checks))}
	for i, c := range checks {
		rd.probes = append(rd.probes, &probe{check: c})
		rd.results[i].OK = true // until it fails there is nothing to log
	}
	return rd
}

func (rd *readiness) serve(w http.ResponseWriter, _ *http.Request) *problem {
	body := struct {
		Ready  bool     `json:"ready"`
		Checks []result `json:"checks"`
	}{Ready: true}
	if rd.draining.Load() { // what the probes would ask is being closed
		body.Checks = []result{{Name: "draining", Error: "the edge is shutting down"}}
	} else {
		body.Checks = rd.ask()
	}
	status := http.StatusOK
	for _, c := range body.Checks {
		if !c.OK {
			body.Ready, status = false, http.StatusServiceUnavailable
		}
	}
	writeJSON(w, status, body)
	return nil
}

// ask returns the answers of all checks, in their order; nobody writes to what it returns.
func (rd *readiness) ask() []result {
	rd.turn <- struct{}{}
	defer func() { <-rd.turn }()
	if time.Now().Before(rd.until) {
		return rd.results
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout) // not one caller's: all share the answer
	defer cancel()
	results := make([]result, len(rd.probes))
	var done sync.WaitGroup
	for i, p := range rd.probes {
		done.Go(func() { results[i] = p.ask(ctx) })
	}
	done.Wait()
	rd.logChanges(results)
	rd.results, rd.until = results, time.Now().Add(readyFor)
	return results
}

func (rd *readiness) logChanges(now []result) {
	for i, c := range now {
		switch {
		case !c.OK && rd.results[i].OK:
			rd.log.Warn("not ready", "check", c.Name, "err", c.Error)
		case c.OK && !rd.results[i].OK:
			rd.log.Info("ready again", "check", c.Name)
		}
	}
}

// probe runs a check, once at a time.
type probe struct {
	check   Check
	running chan error // holds one: the result, if it has come; nil: not running
}

func (p *probe) ask(ctx context.Context) result {
	select {
	case <-p.running: // too late for the one who asked, and too old for this one
		p.running = nil
	default:
	}
	if p.running == nil {
		running := make(chan error, 1)
		p.running = running
		go func() { running <- p.check.Probe(ctx) }()
	}
	var err error
	select {
	case err = <-p.running:
		p.running = nil
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return result{Name: p.check.Name, OK: true}
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %v", probeTimeout)
	}
	return result{Name: p.check.Name, Error: err.Error()}
}
