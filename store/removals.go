package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"earshot/auth"
)

var _ auth.Removals = (*SQLite)(nil)

// AddRemovals implements [auth.Removals]: all of them are kept, or none. One without an ID gets one.
func (s *SQLite) AddRemovals(ctx context.Context, all []auth.Removal) error {
	if len(all) == 0 {
		return nil
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, s.said.insertRemoval)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range all {
			r := &all[i]
			next := msOf(r.Next)
			if r.Open {
				next = math.MaxInt64
			}
			if _, err := insert.ExecContext(ctx, r.ID, r.SessionID, r.Group, r.Kind, r.Path, r.Host, r.User, r.Ticket, r.Address, r.Agent,
				r.Duration.Milliseconds(), r.Bytes, msOf(r.At), r.Tries, next, msOf(r.Began)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep %d removals in %s: %w", len(all), s.path, explain(err))
	}
	return nil
}

// DueRemovals implements [auth.Removals].
func (s *SQLite) DueRemovals(ctx context.Context, now time.Time, limit int) ([]auth.Removal, error) {
	due, err := collect(ctx, s.read, scanRemoval, s.said.dueRemovals, now.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("list due removals of %s: %w", s.path, err)
	}
	return due, nil
}

// OpenRemovals implements [auth.Removals].
func (s *SQLite) OpenRemovals(ctx context.Context, after int64, limit int) ([]auth.Removal, error) {
	open, err := collect(ctx, s.read, scanRemoval, s.said.openRemovals, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list open removals of %s: %w", s.path, err)
	}
	return open, nil
}

func scanRemoval(rows *sql.Rows) (r auth.Removal, err error) {
	var duration, at, next, began int64
	err = rows.Scan(&r.ID, &r.SessionID, &r.Group, &r.Kind, &r.Path, &r.Host, &r.User, &r.Ticket, &r.Address, &r.Agent,
		&duration, &r.Bytes, &at, &r.Tries, &next, &began)
	r.Duration, r.At, r.Began = time.Duration(duration)*time.Millisecond, timeOf(at), timeOf(began)
	if r.Open = next == math.MaxInt64; !r.Open {
		r.Next = timeOf(next)
	}
	return r, err
}

// Heard implements [auth.Removals].
func (s *SQLite) Heard(ctx context.Context, id, group string, from, to time.Time) (bytes int64, last time.Time, err error) {
	var lastMS int64
	err = patiently(ctx, func() error {
		return s.read.QueryRowContext(ctx, s.said.heard, id, group, from.UnixMilli(), to.UnixMilli()).Scan(&bytes, &lastMS)
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("sum up what a session had in %s: %w", s.path, outcome(ctx, err))
	}
	return bytes, timeOf(lastMS), nil
}

// RetryRemoval implements [auth.Removals]. One that is gone is no error.
func (s *SQLite) RetryRemoval(ctx context.Context, id int64, tries int, next time.Time) error {
	return s.change(ctx, "put off a removal", s.said.retryRemoval, id, tries, msOf(next))
}

// DropRemoval implements [auth.Removals]. One that is gone is no error.
func (s *SQLite) DropRemoval(ctx context.Context, id int64) error {
	return s.change(ctx, "drop a removal", s.said.dropRemoval, id)
}

// change runs one statement.
func (s *SQLite) change(ctx context.Context, what, statement string, args ...any) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s in %s: %w", what, s.path, explain(err))
	}
	return nil
}
