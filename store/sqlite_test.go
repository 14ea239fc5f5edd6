package store

import (
	"path/filepath"
	"testing"

	"earshot/listen/listentest"
)

// fresh opens a new database that lives as long as the test.
func fresh(t testing.TB) *SQLite { return reopen(t, filepath.Join(t.TempDir(), "earshot.db")) }

func reopen(t testing.TB, path string) *SQLite {
	t.Helper()
	s, err := OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	listentest.Suite(t, func(t *testing.T) listentest.Backend {
		s := fresh(t)
		return listentest.Backend{Store: s, Other: reopen(t, s.Path()), DB: s.read}
	})
}
