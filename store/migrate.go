package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// errNewer and errForeign are databases that must be left alone.
var (
	errNewer   = errors.New("it was made by a newer earshot")
	errForeign = errors.New("it is another program's database")
)

// migrate brings a SQLite database up to date, in one transaction: all or nothing, and of two processes that
// start at once the second finds it done. Only then is the file switched to a write-ahead log.
func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := begin(ctx, db)
	if err != nil {
		return err
	}
	if err := migrateIn(ctx, tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	var mode string
	err = patiently(ctx, func() error {
		return db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
	})
	if err != nil {
		return fmt.Errorf("switch to a write-ahead log: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("switch to a write-ahead log: the file system gives only %q", mode)
	}
	return nil
}

func migrateIn(ctx context.Context, tx *sql.Tx) error {
	version, err := versionOf(ctx, tx)
	if err != nil {
		return err
	}
	for i := version; i < len(migrations); i++ {
		if _, err := tx.ExecContext(ctx, sqlite.say(migrations[i])); err != nil {
			return fmt.Errorf("migrate to version %d: %w", i+1, err)
		}
	}
	if version == len(migrations) {
		return nil
	}
	mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations))
	if _, err := tx.ExecContext(ctx, mark); err != nil {
		return fmt.Errorf("migrate to version %d: %w", len(migrations), err)
	}
	return nil
}

// versionOf reads how many migrations the database has had, and refuses one that is not ours to change.
func versionOf(ctx context.Context, tx *sql.Tx) (int, error) {
	var version, application, tables int
	row := tx.QueryRowContext(ctx, `SELECT v.user_version, a.application_id, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_user_version AS v, pragma_application_id AS a`)
	if err := row.Scan(&version, &application, &tables); err != nil {
		return 0, fmt.Errorf("read its version: %w", err)
	}
	switch {
	case application != applicationID && (application != 0 || version != 0 || tables != 0):
		return 0, errForeign
	case version > len(migrations):
		return 0, fmt.Errorf("%w: its version is %d, this one knows versions up to %d", errNewer, version, len(migrations))
	case version < 0:
		return 0, fmt.Errorf("its version is %d", version)
	}
	return version, nil
}
