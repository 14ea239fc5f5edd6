package store

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"earshot/auth"
	"earshot/listen"
	"earshot/session"
)

// versionOne lays down a database as the release that knew no other version left it.
func versionOne(t *testing.T) string {
	t.Helper()
	dump, err := os.ReadFile("testdata/version-1.sql")
	must(t, err)
	path := filepath.Join(t.TempDir(), "earshot.db")
	command(t, path, "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;\n"+string(dump))
	return path
}

// rowsOf are all rows of all tables that version 1 had, and the schema of all.
func rowsOf(t *testing.T, path string) (rows, schema []string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	must(t, err)
	defer db.Close()
	text := func(r *sql.Rows) (s string, err error) {
		err = r.Scan(&s)
		return s, err
	}
	for _, query := range []string{
		`SELECT concat_ws('|', id, event_id, from_ms, time_ms, session_id, kind, group_key, stream_key, bytes, duration_ms, session_duration_ms,
			offset_ms, user_id, device_id, device_type, ip, user_agent, country, edge, state, previous) FROM listen_events ORDER BY id`,
		`SELECT concat_ws('|', session_id, group_key, last_id, seen_id, from_ms, last_ms, total_ms) FROM open_sessions ORDER BY 1`,
		`SELECT concat_ws('|', id, session_id, started_ms, ended_ms, kind, group_key, stream_key, bytes, duration_ms, elapsed_ms, user_id, device_id,
			device_type, ip, user_agent, country, reason, finalised_ms) FROM sessions ORDER BY id`,
	} {
		some, err := collect(t.Context(), db, text, query)
		must(t, err)
		rows = append(rows, some...)
	}
	schema, err = collect(t.Context(), db, text, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
	must(t, err)
	return rows, schema
}

func TestMigrate(t *testing.T) {
	path := versionOne(t)
	before, old := rowsOf(t, path)
	if len(before) != 9 {
		t.Fatalf("the old database has %d rows, want 9", len(before))
	}
	s := reopen(t, path)
	after, schema := rowsOf(t, path)
	same(t, "rows", after, before)
	_, want := rowsOf(t, fresh(t).Path())
	same(t, "schema", schema, want)
	if len(schema) <= len(old) {
		t.Errorf("%d tables and indexes, as before", len(schema))
	}

	// The old sessions go on, and the new tables work.
	k := session.Key{ID: "resumed", Group: "news"}
	done, err := s.Finalise(t.Context(), []listen.Closing{{Key: k}}, time.UnixMilli(1e9), time.Minute, time.UnixMilli(1e9))
	if err != nil || done != (listen.Outcome{Finalised: 1}) {
		t.Errorf("finalise an old session: %+v, %v", done, err)
	}
	if n, err := s.Append(t.Context(), []listen.Event{event("edge-boot-open", "open", 40), event("new", "open", 41)}); n != 1 || err != nil {
		t.Errorf("an old event and a new one: %d, %v; want 1 inserted", n, err)
	}
	must(t, s.AddRemovals(t.Context(), []auth.Removal{{SessionID: "s"}}))
}

// TestMigrationIsNotEdited: what a released migration makes stays as it is.
func TestMigrationIsNotEdited(t *testing.T) {
	_, want := rowsOf(t, versionOne(t))
	all := migrations
	migrations = all[:1]
	defer func() { migrations = all }()
	_, got := rowsOf(t, fresh(t).Path())
	same(t, "schema of version 1", got, want)
}

// TestMigrateTogether: several processes find an old database at once.
func TestMigrateTogether(t *testing.T) {
	path := versionOne(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			s, err := OpenSQLite(path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Post(t.Context(), session.Note{Kind: "ban", ID: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	same(t, "notes", len(names(t, reopen(t, path))), 8)
}

// TestMigrationFails: a migration that fails leaves the database as it was.
func TestMigrationFails(t *testing.T) {
	path := versionOne(t)
	rows, schema := rowsOf(t, path)
	all := migrations
	migrations = append(all[:len(all):len(all)], "CREATE TABLE half (a TEXT) STRICT; DELETE FROM listen_events; CREATE NONSENSE")
	s, err := OpenSQLite(path)
	migrations = all
	if err == nil {
		s.Close()
		t.Fatal("no error")
	}
	unchanged(t, path, rows, schema)
	reopen(t, path)
}

// TestMigrationKilled kills a process in the middle of a migration.
func TestMigrationKilled(t *testing.T) {
	path := versionOne(t)
	rows, schema := rowsOf(t, path)
	exe, err := os.Executable()
	must(t, err)
	child := exec.Command(exe)
	child.Env = append(os.Environ(), crashEnv+"="+path, crashEnv+"_LIFE=migrate")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	bufio.NewScanner(out).Scan() // it is about to begin
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for !locked(t, path) {
		if len(ended) > 0 {
			t.Fatalf("the child ended by itself: %v", <-ended)
		}
	}
	must(t, child.Process.Kill())
	if err := <-ended; err == nil || child.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	unchanged(t, path, rows, schema)
	s := reopen(t, path)
	same(t, "version", ask[int](t, s.read, "PRAGMA user_version"), len(migrations))
	after, _ := rowsOf(t, path)
	same(t, "rows", after, rows)
}

// locked is whether another process writes to the database.
func locked(t *testing.T, path string) bool {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_txlock=immediate&_busy_timeout=0")
	must(t, err)
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		return true
	}
	must(t, tx.Rollback())
	return false
}

func unchanged(t *testing.T, path string, rows, schema []string) {
	t.Helper()
	nowRows, nowSchema := rowsOf(t, path)
	if !reflect.DeepEqual(nowRows, rows) || !reflect.DeepEqual(nowSchema, schema) {
		t.Errorf("the database was changed:\n%s\n%s", nowRows, nowSchema)
	}
	db, err := sql.Open("sqlite3", path)
	must(t, err)
	defer db.Close()
	same(t, "version", ask[int](t, db, "PRAGMA user_version"), 1)
	same(t, "integrity", ask[string](t, db, "PRAGMA integrity_check"), "ok")
}

// migrateForEver is the child: its last migration has changed much when it begins to take for ever.
func migrateForEver(path string) error {
	migrations = append(migrations, `CREATE TABLE half (a TEXT) STRICT; DELETE FROM listen_events; UPDATE sessions SET bytes = 0;
		CREATE TABLE endless AS WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c`)
	fmt.Println("ready")
	_, err := OpenSQLite(path)
	return err
}
