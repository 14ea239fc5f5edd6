package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"earshot/listen"
	"earshot/session"
)

// crashEnv names the database that a child process is to work on until it is killed.
const crashEnv = "EARSHOT_STORE_CRASH"

func TestMain(m *testing.M) {
	if path, life := os.Getenv(crashEnv), os.Getenv(crashEnv+"_LIFE"); life == "migrate" {
		fmt.Fprintln(os.Stderr, migrateForEver(path))
		os.Exit(1)
	} else if path != "" {
		fmt.Fprintln(os.Stderr, workUntilKilled(path, life))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A busy machine needs more lives to do as much.
const (
	crashes = 15
	enough  = 1000 // events
)

// TestCrash kills a process that appends and finalises, time and again, and looks at what it left.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "earshot.db")
	acknowledged := map[string]bool{}
	for life := 0; life < crashes || len(acknowledged) < enough && life < 10*crashes; life++ {
		acks := liveAndDie(t, path, life)
		for _, id := range acks {
			acknowledged[id] = true
		}
		s, err := OpenSQLite(path)
		if err != nil {
			t.Fatal(err)
		}
		examine(t, s, acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("in life %d", life)
		}
	}
	s := reopen(t, path)
	if n := ask[int](t, s.read, "SELECT count(*) FROM sessions"); len(acknowledged) < enough || n < crashes {
		t.Errorf("%d events acknowledged and %d rows: too few to prove anything", len(acknowledged), n)
	}
}

// liveAndDie starts a child, kills it in the middle of things, and returns the events it had acknowledged.
func liveAndDie(t *testing.T, path string, life int) (acks []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), crashEnv+"="+path, fmt.Sprintf("%s_LIFE=%d", crashEnv, life))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if len(acks) == 0 { // it is at work; let it be for a moment nobody can foresee
			time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = child.Process.Kill() })
		}
		acks = append(acks, lines.Text())
	}
	if err := child.Wait(); err == nil || child.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acks
}

// examine checks what must hold at any moment, whatever happened.
func examine(t *testing.T, s *SQLite, acknowledged map[string]bool) {
	t.Helper()
	if got := ask[string](t, s.read, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity: %s", got)
	}
	const unequal = `SELECT count(*) FROM (
		SELECT session_id, sum(b) AS b, sum(d) AS d FROM (
			SELECT session_id, bytes AS b, duration_ms AS d FROM sessions
			UNION ALL
			SELECT session_id, -bytes, -duration_ms FROM listen_events WHERE state = 1)
		GROUP BY session_id) WHERE b <> 0 OR d <> 0`
	if n := ask[int](t, s.read, unequal); n != 0 {
		t.Errorf("%d sessions have rows that are not the sum of their finalised events", n)
	}
	const chained = `WITH RECURSIVE chain (id, previous, state) AS (
		SELECT e.id, e.previous, e.state FROM open_sessions AS o JOIN listen_events AS e ON e.id = o.last_id
		UNION ALL
		SELECT e.id, e.previous, e.state FROM chain JOIN listen_events AS e ON e.id = chain.previous)
		SELECT COALESCE(sum(CASE state WHEN 0 THEN 1 ELSE -1000000 END), 0) FROM chain`
	if n, open := ask[int](t, s.read, chained), ask[int](t, s.read, "SELECT count(*) FROM listen_events WHERE state = 0"); n != open {
		t.Errorf("%d events are open, %d are in a session's chain", open, n)
	}
	ids, err := collect(t.Context(), s.read, func(r *sql.Rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, "SELECT event_id FROM listen_events")
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]bool, len(ids))
	for _, id := range ids {
		stored[id] = true
	}
	for id := range acknowledged {
		if !stored[id] {
			t.Errorf("event %s was acknowledged and is lost", id)
			return
		}
	}
}

// workUntilKilled is the child: one goroutine appends and writes the ids that Append acknowledged, others finalise.
func workUntilKilled(path, life string) error {
	s, err := OpenSQLite(path)
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- appendForEver(s, life, os.Stdout) }()
	go func() { failed <- finaliseForEver(s) }()
	go func() { failed <- finaliseForEver(s) }()
	return <-failed
}

func appendForEver(s *SQLite, life string, acks io.Writer) error {
	for seq := 0; ; {
		events := make([]listen.Event, 1+rand.IntN(40))
		var ids []byte
		for i := range events {
			seq++
			events[i] = event(fmt.Sprintf("%s-%d", life, seq), fmt.Sprint("s", rand.IntN(50)), 1+rand.Int64N(30))
			ids = fmt.Appendln(ids, events[i].ID)
		}
		if _, err := s.Append(context.Background(), events); err != nil {
			return err
		}
		if _, err := acks.Write(ids); err != nil {
			return err
		}
	}
}

func finaliseForEver(s *SQLite) error {
	ctx, later := context.Background(), time.UnixMilli(1<<40)
	for {
		keys, err := s.Idle(ctx, later, session.Key{}, 1+rand.IntN(20))
		if err != nil {
			return err
		}
		closing := make([]listen.Closing, len(keys))
		for i, k := range keys {
			closing[i] = listen.Closing{Key: k, Reason: listen.Idle}
		}
		if _, err := s.Finalise(ctx, closing, later, 20*time.Second, later); err != nil {
			return err
		}
	}
}
