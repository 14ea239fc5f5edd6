package listen_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// exec changes the rig's database behind its back.
func (r *rig) exec(statement string) {
	r.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(r.dir, "earshot.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		r.t.Fatal(err)
	}
}

const (
	breakStore = `ALTER TABLE listen_events RENAME TO away`
	mendStore  = `ALTER TABLE away RENAME TO listen_events`
)

// TestSpill: while the store fails events go to the spill file, across a kill too; when it answers again each is stored once, and
// late ones get a supplementary row.
func TestSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		listener := tuneIn(r.book, "a")
		listener.hear(2 * time.Minute)
		r.exec(breakStore)
		listener.hear(2 * time.Minute)
		time.Sleep(time.Second)
		if !r.recorder.Failing() || r.spill.Size() == 0 {
			t.Fatalf("failing: %v, spilled: %d bytes", r.recorder.Failing(), r.spill.Size())
		}
		r.exec(mendStore)
		time.Sleep(10 * time.Second)
		if r.recorder.Failing() || !r.spill.Empty() {
			t.Errorf("failing: %v, spilled: %d bytes", r.recorder.Failing(), r.spill.Size())
		}
		if _, err := os.Stat(filepath.Join(r.dir, "spill.log")); !os.IsNotExist(err) {
			t.Errorf("the spill file is left: %v", err)
		}
		listener.leave()
		time.Sleep(slice + time.Second)
		bytes, media := sum(r.events())
		equal(t, "bytes", bytes, listener.bytes)
		equal(t, "media", media, listener.media.Milliseconds())
		r.stop()
	})
}

// TestSpillSurvivesKill: the process dies while events are in the spill file, and again before they are replayed.
func TestSpillSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := start(t, t.TempDir(), "1")
		listener := tuneIn(first.book, "a")
		first.exec(breakStore)
		listener.hear(3 * time.Minute)
		dir := first.kill()
		listener.leave()
		first.exec(mendStore)
		first.stop()
		dead := &rig{t: t, dir: dir}
		dead.exec(mendStore)
		second := start(t, dir, "2")
		time.Sleep(idle + time.Minute)
		bytes, _ := sum(second.sessions())
		if lost := listener.bytes - bytes; lost < 0 || lost > 2*beatBytes {
			t.Errorf("%d of %d bytes in the rows", bytes, listener.bytes)
		}
		second.stop()
	})
}

// TestLateEvents come from a spill after their session was finalised: a supplementary row.
func TestLateEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		listener := tuneIn(r.book, "a")
		listener.hear(2 * time.Minute)
		time.Sleep(slice)
		r.exec(breakStore)
		listener.hear(10 * time.Second)
		listener.leave()
		time.Sleep(idle + time.Minute)
		r.exec(mendStore)
		time.Sleep(time.Minute)
		bytes, media := sum(r.sessions())
		equal(t, "bytes", bytes, listener.bytes)
		equal(t, "media", media, listener.media.Milliseconds())
		r.stop()
	})
}

// TestDiskGone: neither store nor spill file nor journal can be written. Nothing is lost while the process lives, and memory holds one
// slice per listener, not one event per slice.
func TestDiskGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		listener := tuneIn(r.book, "a")
		listener.hear(time.Minute)
		r.exec(breakStore)
		if err := os.Mkdir(filepath.Join(r.dir, "spill.log"), 0o700); err != nil {
			t.Fatal(err)
		}
		listener.hear(10 * time.Minute)
		if n := r.recorder.Queued(); n == 0 {
			t.Error("nothing is queued")
		}
		if err := os.Remove(filepath.Join(r.dir, "spill.log")); err != nil {
			t.Fatal(err)
		}
		r.exec(mendStore)
		listener.leave()
		time.Sleep(slice + 10*time.Second)
		bytes, _ := sum(r.events())
		equal(t, "bytes", bytes, listener.bytes)
		equal(t, "queued", int64(r.recorder.Queued()), 0)
		r.stop()
	})
}

// TestRetention prunes what is closed and old, and nothing else.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startWith(t, t.TempDir(), "1", func(r *rig) { r.finaliser.KeepEvents = 24 * time.Hour })
		listener := tuneIn(r.book, "a")
		listener.hear(2 * time.Minute)
		listener.leave()
		time.Sleep(23 * time.Hour)
		if n := len(r.events()); n == 0 {
			t.Error("pruned too early")
		}
		time.Sleep(2 * time.Hour)
		equal(t, "events", int64(len(r.events())), 0)
		equal(t, "sessions", int64(len(r.sessions())), 1)
		r.stop()
	})
}
