package store

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPlans holds that nothing the store asks, nor a report will, reads a whole table.
func TestPlans(t *testing.T) {
	s := fresh(t)
	const report = "SELECT session_id, bytes, duration_ms FROM "
	for name, c := range map[string]struct{ query, index string }{
		"insert event":      {s.said.insertEvent, "open_sessions USING PRIMARY KEY (session_id=? AND group_key=?)"},
		"total of rows":     {s.said.insertEvent, "sessions_session (session_id=? AND group_key=?)"},
		"total of ignored":  {s.said.insertEvent, "listen_events_ignored (session_id=? AND group_key=?)"},
		"open session":      {s.said.openSession, ""},
		"idle":              {s.said.idleSessions, "open_sessions USING PRIMARY KEY ((session_id,group_key)>(?,?))"},
		"recent":            {s.said.recentSessions, "e USING INTEGER PRIMARY KEY (rowid=?)"},
		"standing":          {s.said.standing, "open_sessions USING PRIMARY KEY (session_id=? AND group_key=?)"},
		"insert session":    {s.said.insertSession, "SEARCH listen_events USING INTEGER PRIMARY KEY (rowid=?)"},
		"along the chain":   {s.said.insertSession, "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"},
		"mark finalised":    {s.said.markFinalised, "SEARCH listen_events USING INTEGER PRIMARY KEY (rowid=?)"},
		"and ignored ones":  {s.said.markFinalised, "listen_events_ignored (session_id=? AND group_key=?)"},
		"mark ignored":      {s.said.markIgnored, "SEARCH listen_events USING INTEGER PRIMARY KEY (rowid=?)"},
		"close session":     {s.said.closeSession, "open_sessions USING PRIMARY KEY (session_id=? AND group_key=?)"},
		"prune events":      {s.said.pruneEvents, "listen_events_time (time_ms<?)"},
		"prune sessions":    {s.said.pruneSessions, "sessions_time (ended_ms<?)"},
		"clear board":       {s.said.clearBoard, "board_until (until_ms>? AND until_ms<?)"},
		"withdraw note":     {s.said.withdrawNote, "board USING PRIMARY KEY (kind=? AND id=?)"},
		"board":             {s.said.listBoard, ""},
		"evidence, time":    {s.said.evidenceByTime, "evidence_time (at_ms>? AND at_ms<?)"},
		"evidence, rule":    {s.said.evidenceByRule, "evidence_rule (rule=? AND at_ms>? AND at_ms<?)"},
		"evidence, group":   {s.said.evidenceByGroup, "evidence_group (group_key=? AND at_ms>? AND at_ms<?)"},
		"evidence, user":    {s.said.evidenceByUser, "evidence_user (user_id=? AND at_ms>? AND at_ms<?)"},
		"evidence, session": {s.said.evidenceBySession, "evidence_session (session_id=? AND at_ms>? AND at_ms<?)"},
		"evidence's time":   {s.said.evidenceTime, "SEARCH evidence USING INTEGER PRIMARY KEY (rowid=?)"},
		"prune evidence":    {s.said.pruneEvidence, "evidence_time (at_ms<?)"},
		"due removals":      {s.said.dueRemovals, "removals_next (next_ms<?)"},
		"open removals":     {s.said.openRemovals, "removals_next (next_ms=? AND id>?)"},
		"heard, open":       {s.said.heard, "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"},
		"heard, in rows":    {s.said.heard, "sessions_session (session_id=? AND group_key=?)"},
		"retry removal":     {s.said.retryRemoval, "SEARCH removals USING INTEGER PRIMARY KEY (rowid=?)"},
		"drop removal":      {s.said.dropRemoval, "SEARCH removals USING INTEGER PRIMARY KEY (rowid=?)"},
		"events by time":    {report + "listen_events WHERE time_ms >= ?1 AND time_ms < ?2", "listen_events_time (time_ms>? AND time_ms<?)"},
		"events by stream":  {report + "listen_events WHERE stream_key = ?1 AND time_ms >= ?2", "listen_events_stream (stream_key=? AND time_ms>?)"},
		"events by group":   {report + "listen_events WHERE group_key = ?1 AND time_ms >= ?2", "listen_events_group (group_key=? AND time_ms>?)"},
		"sessions by time":  {report + "sessions WHERE ended_ms >= ?1 AND started_ms < ?2", "sessions_time (ended_ms>?)"},
		"sessions, stream":  {report + "sessions WHERE stream_key = ?1 AND ended_ms >= ?2", "sessions_stream (stream_key=? AND ended_ms>?)"},
		"sessions by group": {report + "sessions WHERE group_key = ?1 AND ended_ms >= ?2", "sessions_group (group_key=? AND ended_ms>?)"},
	} {
		plan := planOf(t, s, c.query)
		if !strings.Contains(plan, c.index) {
			t.Errorf("%s does not use %s:\n%s", name, c.index, plan)
		}
		for line := range strings.Lines(plan) {
			if what, scans := strings.CutPrefix(line, "SCAN "); scans && !ours(what) || guessed(line) {
				t.Errorf("%s reads a whole table: %s in\n%s", name, line, plan)
			}
			if strings.Contains(line, "TEMP B-TREE") && !strings.Contains(plan, "part") {
				t.Errorf("%s sorts what it finds: %s in\n%s", name, line, plan)
			}
		}
	}
}

// guessed tells whether a step reads the whole history of a stream or a group.
func guessed(line string) bool {
	return strings.HasSuffix(strings.TrimSpace(line), "_key=?)") && !strings.Contains(line, "session_id=?")
}

// ours tells whether a scan goes over what is small: the open sessions (o), the board, and what the query itself has made, one
// session's chain and its events.
func ours(scanned string) bool {
	name, _, _ := strings.Cut(strings.TrimSpace(scanned), " ")
	return slices.Contains([]string{"o", "chain", "part", "board"}, name)
}

func planOf(t *testing.T, s *SQLite, query string) string {
	t.Helper()
	last := 0
	for _, m := range regexp.MustCompile(`\?(\d+)`).FindAllStringSubmatch(query, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, n)
	}
	rows, err := s.read.Query("EXPLAIN QUERY PLAN "+query, make([]any, last)...)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
