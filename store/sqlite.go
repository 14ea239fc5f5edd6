// Package store keeps what was heard: listen events and sessions, in SQLite. Beside them it keeps what the gate must not
// forget: the board of bans and rules, the evidence of blackouts, and the sessions whose end a backend is yet to be told of.
//
// It promises three things. An event that Append has acknowledged is there after the process is killed. An event is
// counted in at most one row of sessions, and the rows hold exactly the events marked as finalised, at any
// moment and after any crash. And nothing here is reached from the road that carries audio: a store
// may be slow, full or gone, and listeners hear nothing of it.
//
// The SQL is in one file, sql.go; what a database says differently is in dialect.go.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
)

// SQLite is a store in one file, with its -wal and -shm beside it. It is safe for concurrent use: one connection
// writes, others read at the same time.
type SQLite struct {
	path   string
	file   os.FileInfo // of path when it was opened
	write  *sql.DB     // one connection
	read   *sql.DB
	insert *sql.Stmt // insertEvent
	open   *sql.Stmt // openSession
	said   statements
}

// readers is how many may read at once: reports, the finaliser and the operator's page.
const readers = 4

// OpenSQLite opens the database at path, makes it if there is none, and brings it up to date. It is an error if the
// file is no database, or another program's, or of a newer Earshot, or cannot be written; such a file is left
// as it is.
func OpenSQLite(path string) (*SQLite, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	// It holds addresses, and tokens until a backend was told: SQLite would let everybody read it. Where it cannot be made SQLite says why.
	if f, err := os.OpenFile(abs, os.O_RDONLY|os.O_CREATE, 0o640); err == nil {
		_ = f.Close() // nothing was written
	}
	s := &SQLite{path: abs, said: speak(sqlite)}
	s.write = sql.OpenDB(newConnector(abs, true))
	s.write.SetMaxOpenConns(1)
	s.read = sql.OpenDB(newConnector(abs, false))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", abs, explain(err)), s.Close())
	}
	return s, nil
}

func (s *SQLite) start() (err error) {
	ctx := context.Background()
	if err = migrate(ctx, s.write); err != nil {
		return err
	}
	if s.file, err = os.Stat(s.path); err != nil {
		return err
	}
	if err = s.touch(ctx); err != nil {
		return err
	}
	if s.insert, err = s.write.PrepareContext(ctx, s.said.insertEvent); err != nil {
		return err
	}
	s.open, err = s.write.PrepareContext(ctx, s.said.openSession)
	return err
}

// explain says what is wrong with a file in an operator's words, where SQLite's are short.
func explain(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sqlite3.ErrNotADB:
		return fmt.Errorf("the file is not a SQLite database: %w", err)
	case sqlite3.ErrReadonly, sqlite3.ErrCantOpen, sqlite3.ErrPerm:
		return fmt.Errorf("cannot be written here (does the folder exist, and may this user write in it?): %w", err)
	case sqlite3.ErrFull:
		return fmt.Errorf("no room on the disk: %w", err)
	}
	return err
}

// Path is where the database is.
func (s *SQLite) Path() string { return s.path }

// Ping proves that the database can be written, by writing: the page that holds its version, as it was. It waits for
// a transaction under way, as long as ctx lets it.
func (s *SQLite) Ping(ctx context.Context) error {
	now, err := os.Stat(s.path)
	if err == nil && !os.SameFile(s.file, now) {
		err = errors.New("the file was replaced while it was open")
	}
	if err == nil {
		err = s.touch(ctx)
	}
	if err != nil {
		return fmt.Errorf("write to database %s: %w", s.path, explain(err))
	}
	return nil
}

func (s *SQLite) touch(ctx context.Context) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
		return err
	})
}

// Close waits for what is under way and closes the file.
func (s *SQLite) Close() error {
	var prepared error
	for _, stmt := range []*sql.Stmt{s.insert, s.open} {
		if stmt != nil {
			prepared = errors.Join(prepared, stmt.Close())
		}
	}
	if err := errors.Join(prepared, s.read.Close(), s.write.Close()); err != nil {
		return fmt.Errorf("close database %s: %w", s.path, err)
	}
	return nil
}

// update runs do in one transaction that holds the write lock from its beginning.
func (s *SQLite) update(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := begin(ctx, s.write)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		// What failed may have rolled back already, so a second failure tells nothing.
		_ = tx.Rollback()
		return outcome(ctx, err)
	}
	return outcome(ctx, tx.Commit())
}

// outcome prefers the reason why a transaction was broken off over what it felt like from inside.
func outcome(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}
