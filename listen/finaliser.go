package listen

import (
	"context"
	"log/slog"
	"time"

	"earshot/session"
)

// Finaliser closes sessions that have been idle: it sums their events into rows of the sessions table (DESIGN, decision 8).
// All state is in the store; any number of Finalisers may run, on any number of edges, and die at any moment.
type Finaliser struct {
	Store   Store
	Book    *Book // sessions heard here within Idle are left alone, whatever the store has of them yet; may be nil
	Idle    time.Duration
	Minimum time.Duration

	KeepEvents, KeepSessions time.Duration // retention; 0 keeps for ever

	Log     *slog.Logger
	Metrics *Metrics
}

const (
	finaliseBatch = 256
	pruneEvery    = 10 * time.Minute
	pruneBatch    = 5000
)

// Run finalises until ctx is done: at once, which closes what an earlier process left, and then every tenth of Idle.
func (f *Finaliser) Run(ctx context.Context) {
	tick := time.NewTicker(min(max(f.Idle/10, 100*time.Millisecond), 15*time.Second))
	defer tick.Stop()
	var pruned time.Time
	failing := false
	for {
		if err := f.Once(ctx); ctx.Err() == nil {
			failing = f.tell(failing, err)
		}
		if now := time.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			if err := f.prune(ctx, now); err != nil && ctx.Err() == nil {
				f.Log.Warn("old rows wait to be pruned", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell logs that finalising fails when it begins to, and that it works when it does again: a full disk lasts for many turns.
func (f *Finaliser) tell(failing bool, err error) bool {
	switch {
	case err != nil && !failing:
		f.Log.Warn("idle sessions wait to be finalised", "err", err)
	case err == nil && failing:
		f.Log.Info("idle sessions are finalised again")
	}
	return err != nil
}

// Once finalises every session that is idle now.
func (f *Finaliser) Once(ctx context.Context) error {
	now := time.Now()
	before := now.Add(-f.Idle)
	var after session.Key
	for {
		keys, err := f.Store.Idle(ctx, before, after, finaliseBatch)
		if err != nil {
			return err
		}
		if closing := f.closing(keys, before); len(closing) > 0 {
			outcome, err := f.Store.Finalise(ctx, closing, before, f.Minimum, now)
			if err != nil {
				return err
			}
			f.Metrics.closed(outcome)
			if f.Book != nil {
				f.Book.finalised(closing)
			}
		}
		if len(keys) < finaliseBatch {
			return nil
		}
		after = keys[len(keys)-1]
	}
}

// closing leaves out the sessions that are being heard.
func (f *Finaliser) closing(keys []session.Key, before time.Time) []Closing {
	closing := make([]Closing, 0, len(keys))
	for _, k := range keys {
		reason := Idle
		if f.Book != nil {
			heard, why := f.Book.ending(k, before)
			if heard {
				continue
			}
			if why != "" {
				reason = why
			}
		}
		closing = append(closing, Closing{k, reason})
	}
	return closing
}

func (f *Finaliser) prune(ctx context.Context, now time.Time) error {
	var events, sessions time.Time
	if f.KeepEvents > 0 {
		events = now.Add(-f.KeepEvents)
	}
	if f.KeepSessions > 0 {
		sessions = now.Add(-f.KeepSessions)
	}
	if events.IsZero() && sessions.IsZero() {
		return nil
	}
	for {
		n, err := f.Store.Prune(ctx, events, sessions, pruneBatch)
		f.Metrics.prunedRows(n)
		if err != nil || n < pruneBatch {
			return err
		}
	}
}
