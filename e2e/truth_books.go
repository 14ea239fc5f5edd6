package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// outpost is an edge that can be killed and started again on the same data.
type outpost struct {
	*edge
	config string
}

const outpostConfig = `listen: %q
admin: %q
data: %q
edge: %s
secrets: [{id: a, key: a-key-that-all-edges-of-a-test-share}]
listening: %s
streams:
%s`

func newOutpost(t testing.TB, name, listening string, streams []string) *outpost {
	t.Helper()
	dir := t.TempDir()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	o := &outpost{config: filepath.Join(dir, "earshot.yaml"),
		edge: &edge{listen: "http://" + listen, admin: "http://" + admin, data: filepath.Join(dir, "data")}}
	text := fmt.Sprintf(outpostConfig, listen, admin, o.data, name, listening, strings.Join(streams, ""))
	if err := os.WriteFile(o.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// start starts the edge and, when the test ends, asks it to stop.
func (o *outpost) start(t testing.TB) *outpost {
	t.Helper()
	o.edge.run(t, "serve", "-config", o.config)
	return o
}

// launch starts the edge; it may not be ready yet, and may be killed.
func (o *outpost) launch(t testing.TB) {
	t.Helper()
	o.proc = start(t, earshot, "serve", "-config", o.config)
}

func (o *outpost) waitReady(t testing.TB) {
	t.Helper()
	eventually(t, 30*time.Second, "the edge is ready again", func() error {
		_, err := get(o.admin + "/readyz")
		return err
	})
}

// kill ends the edge as the kernel would: at once.
func (o *outpost) kill(t testing.TB) {
	t.Helper()
	o.proc.signal(syscall.SIGKILL)
	<-o.proc.exited
}

// account is what an edge's database says of one user agent.
type account struct {
	sessions, events, open, rows   int64
	starts                         int64 // zero events under the group key
	bytes, ms, rowBytes, rowMS     int64
	running                        int64 // the highest running total of a session
	ignoredBytes, ignoredMS        int64 // of events that are in no row for being too short
	started, ended, rowElapsed     int64
	kinds, groups, streams, ips    string // all there are, parted by commas
	rowStreams, rowKinds, rowAddrs string
	ids                            string
}

const accountEvents = `SELECT count(*), count(DISTINCT session_id), count(*) FILTER (WHERE state = 0),
	count(*) FILTER (WHERE bytes = 0 AND duration_ms = 0 AND stream_key = group_key),
	COALESCE(sum(bytes), 0), COALESCE(sum(duration_ms), 0), COALESCE(max(session_duration_ms), 0),
	COALESCE(sum(bytes) FILTER (WHERE state = 2), 0), COALESCE(sum(duration_ms) FILTER (WHERE state = 2), 0),
	COALESCE(min(from_ms), 0), COALESCE(max(time_ms), 0),
	COALESCE(group_concat(DISTINCT kind), ''), COALESCE(group_concat(DISTINCT group_key), ''),
	COALESCE(group_concat(DISTINCT stream_key), ''), COALESCE(group_concat(DISTINCT ip), ''),
	COALESCE(group_concat(DISTINCT session_id), '')
	FROM listen_events WHERE user_agent = ?`

const accountRows = `SELECT count(*), COALESCE(sum(bytes), 0), COALESCE(sum(duration_ms), 0), COALESCE(sum(elapsed_ms), 0),
	COALESCE(group_concat(DISTINCT stream_key), ''), COALESCE(group_concat(DISTINCT kind), ''), COALESCE(group_concat(DISTINCT ip), '')
	FROM sessions WHERE user_agent = ?`

// account reads what the database says of an agent now.
func (e *edge) account(t testing.TB, agent string) account {
	t.Helper()
	var a account
	db := e.database(t)
	defer db.Close()
	err := db.QueryRow(accountEvents, agent).Scan(&a.events, &a.sessions, &a.open, &a.starts, &a.bytes, &a.ms, &a.running,
		&a.ignoredBytes, &a.ignoredMS, &a.started, &a.ended, &a.kinds, &a.groups, &a.streams, &a.ips, &a.ids)
	if err != nil {
		t.Fatal(err)
	}
	err = db.QueryRow(accountRows, agent).Scan(&a.rows, &a.rowBytes, &a.rowMS, &a.rowElapsed, &a.rowStreams, &a.rowKinds, &a.rowAddrs)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// number is the only row of a query that counts or sums.
func (e *edge) number(t testing.TB, query string, args ...any) int64 {
	t.Helper()
	db := e.database(t)
	defer db.Close()
	var n int64
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// waitClosed waits until every session is over.
func (e *edge) waitClosed(t testing.TB, limit time.Duration) {
	t.Helper()
	eventually(t, limit, "every session is finalised or ignored", func() error {
		metrics, err := get(e.admin + "/metrics")
		if err != nil {
			return err
		}
		open := e.number(t, `SELECT count(*) FROM listen_events WHERE state = 0`)
		if live := sample(metrics, "earshot_open_sessions"); open > 0 || live != 0 {
			return fmt.Errorf("%d events are open, and %v sessions", open, live)
		}
		return nil
	})
}

// sample is the sum of a metric's samples, in the text format.
func sample(metrics, name string, labels ...string) (sum float64) {
next:
	for line := range strings.Lines(metrics) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue next
			}
		}
		fields := strings.Fields(rest)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err == nil {
			sum += v
		}
	}
	return sum
}
