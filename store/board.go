package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"earshot/session"
)

var errBody = errors.New("its body is not JSON")

// Post puts a note on the board, or replaces the one of the same kind and id. Notes that are over are cleared away on the way.
func (s *SQLite) Post(ctx context.Context, n session.Note) error {
	if len(n.Body) > 0 && !json.Valid(n.Body) {
		return fmt.Errorf("post note %q of %q: %w", n.ID, n.Kind, errBody)
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, s.said.postNote, n.Kind, n.ID, untilMS(n.Until), string(n.Body)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, s.said.clearBoard, time.Now().UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("post note %q of %q to %s: %w", n.ID, n.Kind, s.path, explain(err))
	}
	return nil
}

// Withdraw takes a note down, and reports whether it was there and not over.
func (s *SQLite) Withdraw(ctx context.Context, kind, id string) (bool, error) {
	gone := 0
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		gone, err = changed(tx.ExecContext(ctx, s.said.withdrawNote, kind, id, time.Now().UnixMilli()))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("withdraw note %q of %q from %s: %w", id, kind, s.path, explain(err))
	}
	return gone > 0, nil
}

// Board lists the notes that are not over, in order of kind and id.
func (s *SQLite) Board(ctx context.Context) ([]session.Note, error) {
	notes, err := collect(ctx, s.read, func(rows *sql.Rows) (n session.Note, err error) {
		var until int64
		var body string
		err = rows.Scan(&n.Kind, &n.ID, &until, &body)
		n.Until = timeOf(until)
		if body != "" {
			n.Body = json.RawMessage(body)
		}
		return n, err
	}, s.said.listBoard, time.Now().UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("read the board of %s: %w", s.path, err)
	}
	return notes, nil
}

// untilMS is the end of a note as it is stored: 0 for ever, and never that for one that has an end.
func untilMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMilli(), 1)
}

// msOf and timeOf store times; the zero time is 0.
func msOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
