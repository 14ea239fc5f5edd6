package store

import (
	"path/filepath"
	"testing"
	"time"

	"earshot/auth"
)

// TestUpgradeKeepsRemovals: what a backend was yet to be told of when the program was replaced it is told by the new one.
func TestUpgradeKeepsRemovals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.db")
	command(t, path, "PRAGMA application_id = 0x45415253;"+sqlite.say(migrations[0])+";"+sqlite.say(migrations[1])+`; PRAGMA user_version = 2;
INSERT INTO removals (session_id, group_key, kind, path, host, user_id, ticket, ip, user_agent, duration_ms, bytes, at_ms, tries, next_ms)
VALUES ('s-1', 'news', 'hls', '/news', 'edge', 'ann', 'ticket', '192.0.2.7', 'Player', 1500, 7, 1700000000000, 2, 1700000001000)`)
	s, err := OpenSQLite(path)
	must(t, err)
	defer s.Close()
	at := time.UnixMilli(1_700_000_000_000).UTC()
	want := auth.Removal{ID: 1, SessionID: "s-1", Group: "news", Kind: "hls", Path: "/news", Host: "edge", User: "ann", Ticket: "ticket", Address: "192.0.2.7", Agent: "Player",
		Duration: 1500 * time.Millisecond, Bytes: 7, At: at, Tries: 2, Next: at.Add(time.Second)}
	due, err := s.DueRemovals(t.Context(), time.Now(), 10)
	must(t, err)
	same(t, "due", due, []auth.Removal{want})
	open, err := s.OpenRemovals(t.Context(), 0, 10)
	must(t, err)
	same(t, "open", open, nil)
	must(t, s.AddRemovals(t.Context(), []auth.Removal{{ID: 1e18, Open: true, SessionID: "s-2", Began: at}}))
	must(t, s.DropRemoval(t.Context(), want.ID))
	open, err = s.OpenRemovals(t.Context(), 0, 10)
	must(t, err)
	if len(open) != 1 || open[0].SessionID != "s-2" {
		t.Errorf("open: %+v", open)
	}
}
