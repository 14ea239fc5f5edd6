package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"earshot/listen"
	"earshot/session"
)

var _ listen.Store = (*SQLite)(nil)

// statements is the common SQL as one database says it.
type statements struct {
	insertEvent, openSession                                          string
	idleSessions, recentSessions                                      string
	standing, insertSession, markFinalised, markIgnored, closeSession string
	pruneEvents, pruneSessions                                        string

	clearBoard, postNote, withdrawNote, listBoard                                      string
	insertEvidence, evidenceTime, pruneEvidence                                        string
	evidenceByTime, evidenceByRule, evidenceByGroup, evidenceByUser, evidenceBySession string
	insertRemoval, dueRemovals, openRemovals, retryRemoval, dropRemoval, heard         string
}

func speak(d dialect) statements {
	return statements{
		insertEvent:    d.say(insertEvent),
		idleSessions:   d.say(idleSessions),
		recentSessions: d.say(recentSessions),
		standing:       d.say(standing),
		openSession:    d.say(openSession),
		closeSession:   d.say(closeSession),
		insertSession:  d.say(insertSession),
		markFinalised:  d.say(markFinalised),
		markIgnored:    d.say(markIgnored),
		pruneEvents:    d.say(pruneEvents),
		pruneSessions:  d.say(pruneSessions),

		clearBoard:   d.say(clearBoard),
		postNote:     d.say(postNote),
		withdrawNote: d.say(withdrawNote),
		listBoard:    d.say(listBoard),

		insertEvidence:    d.say(insertEvidence),
		evidenceTime:      d.say(evidenceTime),
		pruneEvidence:     d.say(pruneEvidence),
		evidenceByTime:    d.say(evidenceByTime),
		evidenceByRule:    d.say(evidenceByRule),
		evidenceByGroup:   d.say(evidenceByGroup),
		evidenceByUser:    d.say(evidenceByUser),
		evidenceBySession: d.say(evidenceBySession),

		insertRemoval: d.say(insertRemoval),
		dueRemovals:   d.say(dueRemovals),
		openRemovals:  d.say(openRemovals),
		heard:         d.say(heard),
		retryRemoval:  d.say(retryRemoval),
		dropRemoval:   d.say(dropRemoval),
	}
}

// Append implements [listen.Store].
func (s *SQLite) Append(ctx context.Context, events []listen.Event) (inserted int, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		inserted, err = s.insertAll(ctx, tx, events)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("append %d events to %s: %w", len(events), s.path, explain(err))
	}
	return inserted, nil
}

func (s *SQLite) insertAll(ctx context.Context, tx *sql.Tx, events []listen.Event) (inserted int, err error) {
	// One statement takes microseconds. That the driver watches ctx during each costs it a goroutine every time, so
	// ctx is looked at in between.
	whole := context.WithoutCancel(ctx)
	insert, open := tx.StmtContext(whole, s.insert), tx.StmtContext(whole, s.open)
	defer insert.Close()
	defer open.Close()
	for _, i := range bySession(events) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		e := &events[i]
		id, group := string(e.Who.Key.ID), e.Who.Key.Group
		row, added, err := insertedRow(insert.ExecContext(whole, id, group, e.ID, e.FromMS, e.TimeMS, string(e.Who.Kind),
			e.Stream, e.Bytes, e.MediaMS, e.Offset, e.Who.UserID, e.Who.DeviceID, e.Who.DeviceType, e.Who.IP,
			e.Who.UserAgent, e.Who.Country, e.Who.Edge))
		if err == nil && added {
			_, err = open.ExecContext(whole, id, group, row, e.FromMS, e.TimeMS)
		}
		if err != nil {
			return 0, fmt.Errorf("event %q: %w", e.ID, err)
		}
		if added {
			inserted++
		}
	}
	return inserted, nil
}

// insertedRow is the id that an insert gave its row, if it added one.
func insertedRow(result sql.Result, err error) (id int64, added bool, _ error) {
	n, err := changed(result, err)
	if err != nil || n == 0 {
		return 0, false, err
	}
	id, err = result.LastInsertId()
	return id, true, err
}

// bySession orders a batch by session, and within a session as it came: neighbours lie on the same pages of
// open_sessions.
func bySession(events []listen.Event) []int {
	order := make([]int, len(events))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := events[i].Who.Key, events[j].Who.Key
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Group, b.Group), cmp.Compare(i, j))
	})
	return order
}

// Idle implements [listen.Store].
func (s *SQLite) Idle(ctx context.Context, before time.Time, after session.Key, limit int) ([]session.Key, error) {
	keys, err := collect(ctx, s.read, func(rows *sql.Rows) (k session.Key, err error) {
		err = rows.Scan(&k.ID, &k.Group)
		return k, err
	}, s.said.idleSessions, string(after.ID), after.Group, before.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("list idle sessions of %s: %w", s.path, err)
	}
	return keys, nil
}

// Recent implements [listen.Store].
func (s *SQLite) Recent(ctx context.Context, since time.Time) ([]listen.Recent, error) {
	found, err := collect(ctx, s.read, func(rows *sql.Rows) (r listen.Recent, err error) {
		w := &r.Who
		err = rows.Scan(&w.Key.ID, &w.Key.Group, &w.Kind, &w.UserID, &w.DeviceID, &w.DeviceType, &w.IP, &w.UserAgent,
			&w.Country, &w.Edge, &r.FromMS, &r.TimeMS)
		return r, err
	}, s.said.recentSessions, since.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list recent sessions of %s: %w", s.path, err)
	}
	return found, nil
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	var rows *sql.Rows
	err := patiently(ctx, func() (err error) {
		rows, err = db.QueryContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return nil, outcome(ctx, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, outcome(ctx, err)
		}
		all = append(all, one)
	}
	return all, outcome(ctx, rows.Err())
}

// Prune implements [listen.Store].
func (s *SQLite) Prune(ctx context.Context, events, sessions time.Time, limit int) (gone int, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		gone = 0
		for _, p := range []struct {
			before time.Time
			delete string
		}{{events, s.said.pruneEvents}, {sessions, s.said.pruneSessions}} {
			if p.before.IsZero() {
				continue
			}
			n, err := changed(tx.ExecContext(ctx, p.delete, p.before.UnixMilli(), limit))
			if err != nil {
				return err
			}
			gone += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("prune %s: %w", s.path, explain(err))
	}
	return gone, nil
}

// changed is how many rows a statement changed.
func changed(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
