package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
)

// dialect turns the words in braces of the common SQL into a database's own.
//
// {by …} says which index to use. SQLite guesses where it has no statistics, and may take a group's whole
// history for shorter than one session's events; told so, it fails loudly if it cannot.
//
// CAST(?1 AS TEXT) in the common SQL is for SQLite's sake. A bare parameter compared with a column marks the statement
// as one that a new value may make worth planning again, and the driver clears the bindings before each
// execution, which counts as new values: every insert would be parsed and planned anew, four times the work.
type dialect struct{ words *strings.Replacer }

func (d dialect) say(common string) string { return d.words.Replace(common) }

var sqlite = dialect{strings.NewReplacer(
	"{serial}", "INTEGER PRIMARY KEY",
	"{int}", "INTEGER",
	"{text}", "TEXT",
	"{table}", "STRICT",
	"{clustered}", "WITHOUT ROWID, STRICT",
	"{by ignored}", "INDEXED BY listen_events_ignored",
	"{by time}", "INDEXED BY listen_events_time",
	"{by session}", "INDEXED BY sessions_session",
	"{by evidence time}", "INDEXED BY evidence_time",
	"{by evidence rule}", "INDEXED BY evidence_rule",
	"{by evidence group}", "INDEXED BY evidence_group",
	"{by evidence user}", "INDEXED BY evidence_user",
	"{by evidence session}", "INDEXED BY evidence_session",
)}

// applicationID marks a SQLite file as ours: "EARS".
const applicationID = 0x45415253

// perConnection is said to every new connection. The page size holds for a file yet to be made; 8 KiB took less
// processor time per event than 4 KiB when measured. A checkpoint at 4,096 pages (32 MiB) lets a page that
// many events change be written back once.
const perConnection = `PRAGMA page_size = 8192;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = 4096;
PRAGMA temp_store = MEMORY;`

// busyMS is how long a connection sleeps on another process's lock. Nothing wakes it, so it is short, and what must
// wait longer tries again.
const busyMS = 50

// patience is how long a transaction waits for another process that writes, if its context lets it.
const patience = 10 * time.Second

// patiently tries again while another process has the lock.
func patiently(ctx context.Context, try func() error) error {
	for began := time.Now(); ; {
		err := try()
		var e sqlite3.Error
		if !errors.As(err, &e) || e.Code != sqlite3.ErrBusy || time.Since(began) > patience {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// begin starts a transaction; one on a connection that writes holds the write lock from here on.
func begin(ctx context.Context, db *sql.DB) (tx *sql.Tx, err error) {
	err = patiently(ctx, func() error {
		tx, err = db.BeginTx(ctx, nil)
		return err
	})
	return tx, err
}

// stmtCache is how many prepared statements a connection keeps: more than this package has.
const stmtCache = 64

// connector opens connections to one SQLite file.
type connector struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

// newConnector prepares connections to the file at path. One that writes makes the file if need be, and takes the
// write lock as it begins a transaction, so that none fails halfway for another's sake.
func newConnector(path string, writes bool) *connector {
	mode := "mode=rw&_query_only=1"
	if writes {
		mode = "mode=rwc&_txlock=immediate"
	}
	return &connector{
		driver: &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
			_, err := c.Exec(perConnection, nil)
			return err
		}},
		dsn: fmt.Sprintf("file:%s?%s&_busy_timeout=%d&_stmt_cache_size=%d",
			(&url.URL{Path: path}).EscapedPath(), mode, busyMS, stmtCache),
	}
}

// Connect implements [driver.Connector].
func (c *connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements [driver.Connector].
func (c *connector) Driver() driver.Driver { return c.driver }
