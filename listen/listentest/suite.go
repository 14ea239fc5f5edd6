// Package listentest holds the suite that every [listen.Store] passes. An implementation's test hands [Suite] a way
// to open a fresh, empty database, and is held to the same behaviour as all the others.
//
// The suite reads what was stored with plain SQL: tables and columns are part of the contract (DESIGN, Data).
package listentest

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"earshot/listen"
	"earshot/session"
)

// Backend is one fresh, empty database.
type Backend struct {
	Store listen.Store
	Other listen.Store // a second handle on the same database, as of another process
	DB    *sql.DB      // for reading
}

// Suite runs the suite. open is called for each test, and cleans up after it.
func Suite(t *testing.T, open func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		test func(*world)
	}{
		{"append is idempotent", appendIsIdempotent},
		{"append of nothing", appendOfNothing},
		{"event is stored whole", eventIsStoredWhole},
		{"running totals", runningTotals},
		{"running totals of two handles", runningTotalsOfTwoHandles},
		{"one id in two groups", oneIDInTwoGroups},
		{"idle listing", idleListing},
		{"idle pages", idlePages},
		{"recent", recent},
		{"row is stored whole", rowIsStoredWhole},
		{"row takes the latest that is known", rowTakesTheLatestKnown},
		{"first stream names the row", firstStreamNamesTheRow},
		{"minimum counts the whole session", minimumCountsTheWholeSession},
		{"minimum counts the rows", minimumCountsTheRows},
		{"minimum is reached exactly", minimumIsReachedExactly},
		{"late events", lateEvents},
		{"nothing heard", nothingHeard},
		{"bytes without time", bytesWithoutTime},
		{"left alone", leftAlone},
		{"finalise twice", finaliseTwice},
		{"two finalisers", twoFinalisers},
		{"append while finalising", appendWhileFinalising},
		{"awkward texts", awkwardTexts},
		{"unstorable texts", unstorableTexts},
		{"large numbers", largeNumbers},
		{"prune", prune},
		{"prune in pieces", pruneInPieces},
		{"pruned sessions", prunedSessions},
		{"cancelled", cancelled},
		{"cancelled midway", cancelledMidway},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&world{T: t, Backend: open(t)}) })
	}
}

// epoch is when these tests take place. Times in tests are seconds after it.
const epoch = 1_700_000_000_000

const minimum = time.Minute

// world is one test's database and the words the tests are told in. A store that fails ends the test.
type world struct {
	*testing.T
	Backend
	seq int
}

func at(second int64) time.Time { return time.UnixMilli(epoch + second*1000) }

func key(id, group string) session.Key { return session.Key{ID: session.ID(id), Group: group} }

// heard is an event of the session that ends at a second and holds so many seconds of media, 16,000 bytes each.
func (w *world) heard(k session.Key, stream string, end, seconds int64) listen.Event {
	w.seq++
	return listen.Event{
		ID: fmt.Sprintf("edge-boot-%d", w.seq), FromMS: epoch + (end-seconds)*1000, TimeMS: epoch + end*1000,
		Who: listen.Who{Key: k, Kind: session.HLS, IP: "192.0.2.1", UserAgent: "player/1", Edge: "edge"}, Stream: stream,
		Bytes: seconds * 16000, MediaMS: seconds * 1000,
	}
}

func (w *world) append(events ...listen.Event) {
	w.Helper()
	n, err := w.Store.Append(w.Context(), events)
	if err != nil {
		w.Fatal(err)
	}
	if n != len(events) {
		w.Fatalf("appended %d events, want %d", n, len(events))
	}
}

// finalise closes sessions as a worker at that second would, whose idle time is none.
func (w *world) finalise(second int64, keys ...session.Key) listen.Outcome {
	w.Helper()
	closing := make([]listen.Closing, len(keys))
	for i, k := range keys {
		closing[i] = listen.Closing{Key: k, Reason: listen.Idle}
	}
	done, err := w.Store.Finalise(w.Context(), closing, at(second), minimum, at(second))
	if err != nil {
		w.Fatal(err)
	}
	return done
}

func (w *world) idle(second int64, after session.Key, limit int) []session.Key {
	w.Helper()
	keys, err := w.Store.Idle(w.Context(), at(second), after, limit)
	if err != nil {
		w.Fatal(err)
	}
	return keys
}

// is fails the test unless two things are equal.
func is[T comparable](w *world, what string, got, want T) {
	w.Helper()
	if got != want {
		w.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// are fails the test unless two lists are equal.
func are[T comparable](w *world, what string, got, want []T) {
	w.Helper()
	if len(got) != len(want) {
		w.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
	for i := range got {
		is(w, fmt.Sprintf("%s, number %d", what, i), got[i], want[i])
	}
}

// row is a row of sessions.
type row struct {
	ID, Group                    string
	Started, Ended               int64
	Kind, Stream                 string
	Bytes, Duration, Elapsed     int64
	User, Device, DeviceType, IP string
	Agent, Country, Reason       string
	Finalised                    int64
}

func (w *world) rows() []row {
	w.Helper()
	return read(w, `SELECT session_id, group_key, started_ms, ended_ms, kind, stream_key, bytes, duration_ms, elapsed_ms,
		user_id, device_id, device_type, ip, user_agent, country, reason, finalised_ms FROM sessions
		ORDER BY session_id, group_key, id`, func(r *row) []any {
		return []any{&r.ID, &r.Group, &r.Started, &r.Ended, &r.Kind, &r.Stream, &r.Bytes, &r.Duration, &r.Elapsed,
			&r.User, &r.Device, &r.DeviceType, &r.IP, &r.Agent, &r.Country, &r.Reason, &r.Finalised}
	})
}

// stored is a row of listen_events, less its id.
type stored struct {
	listen.Event
	Total int64
	State int
}

// events are the stored events in order of insertion within each session.
func (w *world) events() []stored {
	w.Helper()
	return read(w, `SELECT event_id, from_ms, time_ms, session_id, kind, group_key, stream_key, bytes, duration_ms,
		session_duration_ms, offset_ms, user_id, device_id, device_type, ip, user_agent, country, edge, state
		FROM listen_events ORDER BY session_id, group_key, id`, func(e *stored) []any {
		k := &e.Who
		return []any{&e.ID, &e.FromMS, &e.TimeMS, &k.Key.ID, &k.Kind, &k.Key.Group, &e.Stream, &e.Bytes, &e.MediaMS,
			&e.Total, &e.Offset, &k.UserID, &k.DeviceID, &k.DeviceType, &k.IP, &k.UserAgent, &k.Country, &k.Edge, &e.State}
	})
}

func (w *world) totals() []int64 {
	w.Helper()
	var all []int64
	for _, e := range w.events() {
		all = append(all, e.Total)
	}
	return all
}

func (w *world) states() []int {
	w.Helper()
	var all []int
	for _, e := range w.events() {
		all = append(all, e.State)
	}
	return all
}

func read[T any](w *world, query string, fields func(*T) []any) []T {
	w.Helper()
	rows, err := w.DB.QueryContext(context.Background(), query)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(fields(&one)...); err != nil {
			w.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return all
}
