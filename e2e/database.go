package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver
)

// heard is what the edge's database says of one session.
type heard struct {
	id         string
	kind       string
	bytes      int64
	durationMS int64
	elapsedMS  int64 // rows of sessions only
	rows       int
}

// database opens the edge's own SQLite file, as a report tool beside the edge would.
func (e *edge) database(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(e.data, "earshot.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// finalised waits until no session of the group (a mount, for ICY) is open, and at least one is closed, and returns them by what their events
// say and by what their rows say.
func (e *edge) finalised(t testing.TB, group string) (events, sessions []heard) {
	t.Helper()
	db := e.database(t)
	eventually(t, 30*time.Second, "the sessions of "+group+" are finalised", func() error {
		var all, open int
		err := db.QueryRow(`SELECT count(*), count(*) FILTER (WHERE state = 0) FROM listen_events WHERE group_key = ?`, group).Scan(&all, &open)
		if err != nil {
			return err
		}
		if all == 0 || open > 0 {
			return fmt.Errorf("%d events, %d of them open", all, open)
		}
		return nil
	})
	events = query(t, db, `SELECT session_id, kind, sum(bytes), sum(duration_ms), 0, count(*) FROM listen_events
		WHERE group_key = ? GROUP BY 1, 2 ORDER BY min(from_ms)`, group)
	sessions = query(t, db, `SELECT session_id, kind, sum(bytes), sum(duration_ms), sum(elapsed_ms), count(*) FROM sessions
		WHERE group_key = ? GROUP BY 1, 2 ORDER BY min(started_ms)`, group)
	return events, sessions
}

func query(t testing.TB, db *sql.DB, text string, args ...any) []heard {
	t.Helper()
	rows, err := db.Query(text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []heard
	for rows.Next() {
		var h heard
		if err := rows.Scan(&h.id, &h.kind, &h.bytes, &h.durationMS, &h.elapsedMS, &h.rows); err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
