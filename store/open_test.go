package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"earshot/listen"
	"earshot/session"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("text.db"), strings.Repeat("this is no database\n", 100))
	command(t, path("newer.db"), "PRAGMA application_id = 0x45415253; PRAGMA user_version = 9")
	command(t, path("foreign.db"), "CREATE TABLE recipes (cake TEXT)")
	command(t, path("marked.db"), "PRAGMA application_id = 7; PRAGMA user_version = 1")
	command(t, path("clash.db"), "PRAGMA application_id = 0x45415253; PRAGMA user_version = 1; CREATE TABLE removals (furniture TEXT)")
	for _, c := range []struct{ name, want string }{
		{path("text.db"), "the file is not a SQLite database"},
		{path("newer.db"), "made by a newer earshot: its version is 9, this one knows versions up to 3"},
		{path("foreign.db"), "another program's database"},
		{path("marked.db"), "another program's database"},
		{path("clash.db"), "migrate to version 2: table removals already exists"},
		{dir, "cannot be written here"},
		{path("no/such/folder/earshot.db"), "cannot be written here (does the folder exist"},
	} {
		before, _ := os.ReadFile(c.name)
		s, err := OpenSQLite(c.name)
		if err == nil {
			s.Close()
			t.Errorf("%s was opened, want: %s", c.name, c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "open database "+c.name) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
		if after, _ := os.ReadFile(c.name); string(after) != string(before) {
			t.Errorf("%s was changed", c.name)
		}
	}
}

// TestIsNotForEverybody: tokens and addresses stand in it.
func TestIsNotForEverybody(t *testing.T) {
	s := fresh(t)
	post(t, s, "ban", "x", time.Time{})
	for _, name := range []string{s.Path(), s.Path() + "-wal"} {
		info, err := os.Stat(name)
		must(t, err)
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			t.Errorf("%s: %v", name, mode)
		}
	}
}

// TestOpenReadOnly opens files that this thread may not write, whoever runs the test.
func TestOpenReadOnly(t *testing.T) {
	s := fresh(t)
	fileless := t.TempDir()
	chmod(t, filepath.Dir(filepath.Dir(s.Path())), 0o755)
	chmod(t, filepath.Dir(fileless), 0o755)
	chmod(t, s.Path(), 0o444)
	chmod(t, fileless, 0o555)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer unix.Setfsuid(os.Geteuid())
	for _, path := range []string{s.Path(), filepath.Join(fileless, "earshot.db")} {
		opened, err := OpenSQLite(path)
		if err == nil {
			opened.Close()
			t.Errorf("%s was opened, though it cannot be written", path)
		} else if !strings.Contains(err.Error(), "cannot be written here") {
			t.Errorf("%s: %v; want it to say that it cannot be written", path, err)
		}
	}
}

// TestOpenAwkwardPath: what means something in a URI is a plain letter in a path.
func TestOpenAwkwardPath(t *testing.T) {
	for _, name := range []string{"a?b=c&mode=memory#d.db", "50% of ü.db", "a b'\"\\;.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := reopen(t, path)
		if _, err := os.Stat(path); err != nil || s.Path() != path {
			t.Errorf("%q was opened as %q: %v", path, s.Path(), err)
		}
	}
}

func TestOpenAgain(t *testing.T) {
	s := fresh(t)
	if _, err := s.Append(t.Context(), []listen.Event{event("e1", "s", 60)}); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, s.Path())
	found, err := again.Recent(t.Context(), time.UnixMilli(0))
	if err != nil || len(found) != 1 {
		t.Errorf("after opening again: %v, %v; want the one session", found, err)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "page_size": "8192", "synchronous": "1", "busy_timeout": "50",
		"user_version": "3", "integrity_check": "ok"} {
		if got := ask[string](t, again.write, "PRAGMA "+pragma); got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if _, err := s.read.Exec("DELETE FROM listen_events"); err == nil {
		t.Error("a reader's connection could write")
	}
}

func TestPing(t *testing.T) {
	s := fresh(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	tx, err := s.write.Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another writes: %v; want %v", err, context.DeadlineExceeded)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.Path(), s.Path()+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with the file gone: %v; want %v", err, os.ErrNotExist)
	}
	write(t, s.Path(), "")
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("with another file in its place: %v; want it to say so", err)
	}
}

// event is one of a session, of so many seconds.
func event(id, sessionID string, seconds int64) listen.Event {
	e := listen.Event{ID: id, FromMS: 0, TimeMS: seconds * 1000, Stream: "low", Bytes: seconds * 16000, MediaMS: seconds * 1000}
	e.Who.Key.ID, e.Who.Key.Group, e.Who.Kind = session.ID(sessionID), "news", "hls"
	return e
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// command makes a database as another program would.
func command(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// ask reads one value.
func ask[T any](t *testing.T, db *sql.DB, query string) (v T) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return v
}
