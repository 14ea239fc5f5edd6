package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"earshot/listen"
)

// Finalise implements [listen.Store].
func (s *SQLite) Finalise(ctx context.Context, closing []listen.Closing, before time.Time, minimum time.Duration, now time.Time) (listen.Outcome, error) {
	var done listen.Outcome
	if len(closing) == 0 {
		return done, nil
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		f := finaliser{ctx: ctx, tx: tx, said: &s.said, before: before.UnixMilli(), now: now.UnixMilli(),
			minimum: int64((minimum + time.Millisecond - 1) / time.Millisecond)}
		for _, c := range closing {
			if err := f.close(c); err != nil {
				return fmt.Errorf("session %q of %q: %w", c.Key.ID, c.Key.Group, err)
			}
		}
		done = f.done
		return nil
	})
	if err != nil {
		return listen.Outcome{}, fmt.Errorf("finalise %d sessions in %s: %w", len(closing), s.path, explain(err))
	}
	return done, nil
}

// finaliser closes sessions in one transaction. Times and durations are in ms.
type finaliser struct {
	ctx                  context.Context
	tx                   *sql.Tx
	said                 *statements
	before, now, minimum int64
	done                 listen.Outcome
}

func (f *finaliser) close(c listen.Closing) error {
	id, group := string(c.Key.ID), c.Key.Group
	var lastMS, totalMS int64
	err := f.tx.QueryRowContext(f.ctx, f.said.standing, id, group).Scan(&lastMS, &totalMS)
	if errors.Is(err, sql.ErrNoRows) || err == nil && lastMS >= f.before {
		f.done.Skipped++
		return nil
	}
	if err != nil {
		return fmt.Errorf("find its open events: %w", err)
	}
	written := 0
	if totalMS >= f.minimum {
		written, err = changed(f.tx.ExecContext(f.ctx, f.said.insertSession, id, group, string(c.Reason), f.now))
		if err != nil {
			return fmt.Errorf("write its row: %w", err)
		}
	}
	mark, count := f.said.markIgnored, &f.done.Ignored
	if written > 0 {
		mark, count = f.said.markFinalised, &f.done.Finalised
	}
	*count++
	for _, query := range []string{mark, f.said.closeSession} {
		if _, err := f.tx.ExecContext(f.ctx, query, id, group); err != nil {
			return fmt.Errorf("mark its events: %w", err)
		}
	}
	return nil
}
