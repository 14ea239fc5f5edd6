package listen_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"go.uber.org/goleak"

	"earshot/listen"
	"earshot/session"
	"earshot/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a whole back half of an edge on a real database: book, recorder, finaliser, journal.
type rig struct {
	t         *testing.T
	dir       string
	db        *store.SQLite
	spill     *listen.Spill
	recorder  *listen.Recorder
	journal   *listen.Journal
	recovered *listen.Recovered
	book      *listen.Book
	finaliser *listen.Finaliser
	stop      func()
}

const (
	slice   = 30 * time.Second
	idle    = 5 * time.Minute
	minimum = time.Minute
)

// start makes a rig on dir and runs it. Every rig of a test gets another boot.
func start(t *testing.T, dir, boot string) *rig {
	t.Helper()
	return startWith(t, dir, boot, func(*rig) {})
}

// startWith changes the rig before it runs.
func startWith(t *testing.T, dir, boot string, change func(*rig)) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	r := &rig{t: t, dir: dir}
	var err error
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r.db, err = store.OpenSQLite(filepath.Join(dir, "earshot.db"))
	check(err)
	r.spill, err = listen.OpenSpill(filepath.Join(dir, "spill.log"))
	check(err)
	r.journal, r.recovered, err = listen.OpenJournal(dir, log, nil)
	check(err)
	_, err = r.recovered.Save(t.Context(), r.journal, r.db, r.spill)
	check(err)
	r.recorder = listen.NewRecorder(r.db, r.spill, log, nil)
	r.book = listen.NewBook(listen.Options{Edge: "edge", Slice: slice, Idle: idle, Log: log, Recorder: r.recorder, Journal: r.journal}, boot)
	r.book.Restore(r.recovered, time.Now().Add(-idle))
	r.finaliser = &listen.Finaliser{Store: r.db, Book: r.book, Idle: idle, Minimum: minimum, Log: log}
	change(r)
	r.run()
	return r
}

func (r *rig) run() {
	metering, stopMeters := context.WithCancel(context.Background())
	recording, stopRecords := context.WithCancel(context.Background())
	meters, records := make(chan bool), make(chan bool)
	go func() { r.recorder.Run(recording); close(records) }()
	finaliser := make(chan bool)
	go func() { r.finaliser.Run(metering); close(finaliser) }()
	go func() { r.book.Run(metering); close(meters) }()
	r.stop = func() {
		stopMeters()
		<-meters
		<-finaliser
		stopRecords()
		<-records
		if err := r.db.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// kill is what a SIGKILL at this moment would leave: the data directory as it is, in a folder of its own. The rig lives on; stop it.
func (r *rig) kill() (dir string) {
	r.t.Helper()
	synctest.Wait() // nobody is in the middle of a write
	dir = r.t.TempDir()
	files, err := os.ReadDir(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(r.dir, f.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, f.Name()), b, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return dir
}

// row is one line of either table.
type row struct {
	ID               string
	Stream           string
	Bytes            int64
	MediaMS, Running int64
	FromMS, TimeMS   int64
	State            int
	Reason           string
	Elapsed          int64
}

func (r *rig) events() []row {
	return r.query(`SELECT session_id, stream_key, bytes, duration_ms, session_duration_ms, from_ms, time_ms, state, '', 0 FROM listen_events ORDER BY rowid`)
}

func (r *rig) sessions() []row {
	return r.query(`SELECT session_id, stream_key, bytes, duration_ms, 0, started_ms, ended_ms, 1, reason, elapsed_ms FROM sessions ORDER BY rowid`)
}

func (r *rig) query(q string) (out []row) {
	r.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(r.dir, "earshot.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var x row
		if err := rows.Scan(&x.ID, &x.Stream, &x.Bytes, &x.MediaMS, &x.Running, &x.FromMS, &x.TimeMS, &x.State, &x.Reason, &x.Elapsed); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func sum(rows []row) (bytes, mediaMS int64) {
	for _, r := range rows {
		bytes, mediaMS = bytes+r.Bytes, mediaMS+r.MediaMS
	}
	return bytes, mediaMS
}

func who(id string) listen.Who {
	return listen.Who{Key: session.Key{ID: session.ID(id), Group: "radio"}, Kind: session.ICY, IP: "192.0.2.1", UserAgent: "test"}
}

// radio is a listener of a 128 kbit/s mount: 4,000 bytes each 250 ms.
type radio struct {
	transfer *listen.Transfer
	live     *listen.Live
	pos      int64
	bytes    int64
	media    time.Duration
}

const (
	beat      = 250 * time.Millisecond
	beatBytes = 4000
)

func tuneIn(book *listen.Book, id string) *radio {
	r := &radio{pos: time.Now().UnixNano()}
	r.live = listen.NewLive(7, r.pos)
	r.transfer = book.Account(who(id)).Open(listen.Body{Stream: "radio", Length: -1, Placer: r.live})
	return r
}

func (r *radio) hear(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(beat)
		r.pos += int64(beat)
		r.bytes += beatBytes
		r.media += beat
		r.live.Wrote(beatBytes, r.pos)
		r.transfer.Wrote(beatBytes)
	}
}

func (r *radio) leave() { r.transfer.Finish(true) }
