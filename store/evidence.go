package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"earshot/blackout"
)

// AppendEvidence stores evidence, all of it or none.
func (s *SQLite) AppendEvidence(ctx context.Context, all []blackout.Evidence) error {
	if len(all) == 0 {
		return nil
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, s.said.insertEvidence)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range all {
			e := &all[i]
			if _, err := insert.ExecContext(ctx, msOf(e.At), e.Rule, e.Action, e.SessionID, e.Group, e.UserID, e.DeviceID, e.DeviceType, e.IP,
				e.Place.Country, e.Place.Subdivision, e.Place.Metro, e.Place.Postal, e.Edge, e.Times); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("append %d rows of evidence to %s: %w", len(all), s.path, explain(err))
	}
	return nil
}

// evidenceRows is how many rows a page has at most whose query does not say.
const evidenceRows = 1000

// Evidence lists evidence, the oldest first, and what is of the same millisecond in order of ids: From is inclusive, To exclusive. A
// page that begins after a row that was pruned meanwhile begins with the oldest that is left.
func (s *SQLite) Evidence(ctx context.Context, q blackout.EvidenceQuery) ([]blackout.Evidence, error) {
	found, err := s.evidence(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list evidence of %s: %w", s.path, err)
	}
	return found, nil
}

func (s *SQLite) evidence(ctx context.Context, q blackout.EvidenceQuery) ([]blackout.Evidence, error) {
	from, after, to := msOf(q.From), int64(0), int64(math.MaxInt64)
	if !q.To.IsZero() {
		to = q.To.UnixMilli()
	}
	if q.After > 0 {
		at, err := collect(ctx, s.read, func(rows *sql.Rows) (ms int64, err error) {
			err = rows.Scan(&ms)
			return ms, err
		}, s.said.evidenceTime, q.After)
		if err != nil {
			return nil, err
		}
		if len(at) > 0 && at[0] >= from {
			from, after = at[0], q.After
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = evidenceRows
	}
	return collect(ctx, s.read, scanEvidence, s.evidenceBy(q), q.Rule, q.Group, q.User, q.SessionID, from, after, to, limit)
}

// evidenceBy is the query along the index that leaves the fewest rows to look at.
func (s *SQLite) evidenceBy(q blackout.EvidenceQuery) string {
	switch {
	case q.SessionID != "":
		return s.said.evidenceBySession
	case q.User != "":
		return s.said.evidenceByUser
	case q.Rule != "":
		return s.said.evidenceByRule
	case q.Group != "":
		return s.said.evidenceByGroup
	}
	return s.said.evidenceByTime
}

func scanEvidence(rows *sql.Rows) (e blackout.Evidence, err error) {
	var at int64
	err = rows.Scan(&e.ID, &at, &e.Rule, &e.Action, &e.SessionID, &e.Group, &e.UserID, &e.DeviceID, &e.DeviceType, &e.IP,
		&e.Place.Country, &e.Place.Subdivision, &e.Place.Metro, &e.Place.Postal, &e.Edge, &e.Times)
	e.At = timeOf(at)
	return e, err
}

// PruneEvidence deletes evidence of before that time, the oldest first and at most limit rows, and reports how many. The zero time
// deletes none.
func (s *SQLite) PruneEvidence(ctx context.Context, before time.Time, limit int) (gone int, err error) {
	if before.IsZero() {
		return 0, nil
	}
	err = s.update(ctx, func(tx *sql.Tx) (err error) {
		gone, err = changed(tx.ExecContext(ctx, s.said.pruneEvidence, before.UnixMilli(), limit))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prune evidence of %s: %w", s.path, explain(err))
	}
	return gone, nil
}
