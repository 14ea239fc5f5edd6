package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"earshot/auth"
)

var _ auth.Removals = (*SQLite)(nil)

// AddRemovals implements [auth.Removals]: all of them are kept, or none.
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
			if _, err := insert.ExecContext(ctx, r.SessionID, r.Group, r.Kind, r.Path, r.Host, r.User, r.Ticket, r.Address, r.Agent,
				r.Duration.Milliseconds(), r.Bytes, msOf(r.At), r.Tries, msOf(r.Next)); err != nil {
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

// DueRemovals implements [auth.Removals]: those whose time has come, the longest due first.
func (s *SQLite) DueRemovals(ctx context.Context, now time.Time, limit int) ([]auth.Removal, error) {
	due, err := collect(ctx, s.read, func(rows *sql.Rows) (r auth.Removal, err error) {
		var duration, at, next int64
		err = rows.Scan(&r.ID, &r.SessionID, &r.Group, &r.Kind, &r.Path, &r.Host, &r.User, &r.Ticket, &r.Address, &r.Agent,
			&duration, &r.Bytes, &at, &r.Tries, &next)
		r.Duration, r.At, r.Next = time.Duration(duration)*time.Millisecond, timeOf(at), timeOf(next)
		return r, err
	}, s.said.dueRemovals, now.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("list due removals of %s: %w", s.path, err)
	}
	return due, nil
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
