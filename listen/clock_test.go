package listen_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/listen"
	"earshot/session"
)

func equal(t *testing.T, what string, got, want int64) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// TestSlices: two hours of listening are events of 30 s that abut, add up, and carry the running total.
func TestSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		listener := tuneIn(r.book, "a")
		listener.hear(2 * time.Hour)
		listener.leave()
		time.Sleep(slice + time.Second)
		events := r.events()
		bytes, media := sum(events)
		equal(t, "bytes", bytes, listener.bytes)
		equal(t, "media ms", media, listener.media.Milliseconds())
		if n := len(events); n < 240 || n > 242 {
			t.Errorf("%d events in two hours", n)
		}
		running := int64(0)
		for i, e := range events {
			if running += e.MediaMS; e.Running != running {
				t.Fatalf("event %d says %d ms so far, want %d", i, e.Running, running)
			}
			if length := e.TimeMS - e.FromMS; length > slice.Milliseconds()+500 {
				t.Errorf("event %d is %d ms long", i, length)
			}
			if i > 0 && (e.FromMS < events[i-1].TimeMS || e.FromMS-events[i-1].TimeMS > 500) {
				t.Errorf("event %d begins %d ms after the last ended", i, e.FromMS-events[i-1].TimeMS)
			}
		}
		r.stop()
	})
}

// TestStagger: sessions that all begin at once do not all write at once.
func TestStagger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		const n = 600
		var all sync.WaitGroup
		for i := range n {
			listener := tuneIn(r.book, fmt.Sprint("s", i))
			all.Go(func() { listener.hear(2 * time.Minute); listener.leave() })
		}
		all.Wait()
		perSecond := make(map[int64]int)
		for _, e := range r.events() {
			perSecond[e.TimeMS/1000]++
		}
		for second, count := range perSecond {
			if count > n/5 {
				t.Errorf("%d of %d sessions wrote in second %d", count, n, second)
			}
		}
		r.stop()
	})
}

// TestFinalise: idle, resume, idle again; the minimum is on the session's total.
func TestFinalise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		long := tuneIn(r.book, "long")
		long.hear(10 * time.Minute)
		long.leave()
		left := time.Now()
		short := tuneIn(r.book, "short")
		short.hear(50 * time.Second)
		short.leave()
		time.Sleep(idle - 2*time.Minute)
		if rows := r.sessions(); len(rows) != 0 {
			t.Fatalf("finalised too early: %+v", rows)
		}
		time.Sleep(4 * time.Minute)
		rows := r.sessions()
		if len(rows) != 1 || rows[0].ID != "long" {
			t.Fatalf("rows: %+v", rows)
		}
		equal(t, "bytes", rows[0].Bytes, long.bytes)
		equal(t, "media", rows[0].MediaMS, long.media.Milliseconds())
		equal(t, "ended", rows[0].TimeMS, left.UnixMilli())
		equal(t, "elapsed", rows[0].Elapsed, (10 * time.Minute).Milliseconds())

		// The short one comes back for 20 s: 70 s in all, one row that holds the ignored slices too. The long one for 5 s: a
		// supplementary row, for its total has passed the minimum.
		again, more := tuneIn(r.book, "short"), tuneIn(r.book, "long")
		again.hear(20 * time.Second)
		more.hear(5 * time.Second)
		again.leave()
		more.leave()
		time.Sleep(idle + time.Minute)
		byID := make(map[string][]row)
		for _, x := range r.sessions() {
			byID[x.ID] = append(byID[x.ID], x)
		}
		if len(byID["short"]) != 1 || len(byID["long"]) != 2 {
			t.Fatalf("rows: %+v", byID)
		}
		equal(t, "short's media", byID["short"][0].MediaMS, (short.media + again.media).Milliseconds())
		equal(t, "long's second row", byID["long"][1].Bytes, more.bytes)
		for _, e := range r.events() {
			if e.State != 1 {
				t.Errorf("event in state %d: %+v", e.State, e)
			}
		}
		r.stop()
	})
}

// TestStalledSource: a listener whose source stops is connected, and not listening.
func TestStalledSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		listener := tuneIn(r.book, "a")
		listener.hear(2 * time.Minute)
		time.Sleep(time.Hour)
		if n := len(r.events()); n > 6 {
			t.Errorf("%d events: a stalled source counts", n)
		}
		rows := r.sessions()
		if len(rows) != 1 || rows[0].MediaMS != (2*time.Minute).Milliseconds() {
			t.Fatalf("rows while stalled: %+v", rows)
		}
		listener.hear(3 * time.Minute)
		listener.leave()
		time.Sleep(idle + time.Minute)
		bytes, media := sum(r.sessions())
		equal(t, "rows", int64(len(r.sessions())), 2)
		equal(t, "bytes", bytes, listener.bytes)
		equal(t, "media", media, listener.media.Milliseconds())
		r.stop()
	})
}

// TestResumeAcrossRestart: an orderly restart in the middle of a session makes one row, and what is fetched again after it is
// not counted again.
func TestResumeAcrossRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		segment := func(r *rig, n int64) {
			w := who("viewer")
			w.Kind = session.HLS
			live := listen.NewLive(1, n*6e9)
			transfer := r.book.Account(w).Open(listen.Body{Stream: "radio/hi", Length: 100_000, Placer: live})
			live.Wrote(100_000, (n+1)*6e9)
			transfer.Wrote(100_000)
			transfer.Finish(false)
			time.Sleep(6 * time.Second)
		}
		r := start(t, dir, "1")
		for n := range int64(20) {
			segment(r, n)
		}
		r.stop()
		time.Sleep(20 * time.Second)
		r = start(t, dir, "2")
		for n := int64(18); n < 40; n++ { // two of them again
			segment(r, n)
		}
		time.Sleep(idle + time.Minute)
		rows := r.sessions()
		if len(rows) != 1 {
			t.Fatalf("rows: %+v", rows)
		}
		equal(t, "bytes", rows[0].Bytes, 42*100_000)
		equal(t, "media", rows[0].MediaMS, 40*6000)
		r.stop()
	})
}

// TestKill: at random moments of an hour the process dies. What is left finalises once, holds nothing that was not sent, and lacks less
// than the last second.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		r := start(t, t.TempDir(), "boot0")
		for i := range 25 {
			id := fmt.Sprint("s", i)
			listener := tuneIn(r.book, id)
			before := r.sent(id)
			listener.hear(time.Duration(rng.Int64N(int64(150 * time.Second))))
			time.Sleep(time.Duration(rng.Int64N(int64(beat))))
			dir := r.kill()
			listener.leave()
			old := r
			r = start(t, dir, fmt.Sprint("boot", i+1))
			old.stop()
			bytes := r.sent(id)
			if bytes > before+listener.bytes || bytes < before+listener.bytes-beatBytes*int64(time.Second/beat) {
				t.Errorf("kill %d: %d bytes, sent were %d", i, bytes, before+listener.bytes)
			}
		}
		time.Sleep(idle + time.Minute)
		rows := make(map[string]int)
		for _, x := range r.sessions() {
			rows[x.ID]++
		}
		for id, n := range rows {
			if n != 1 {
				t.Errorf("session %s has %d rows", id, n)
			}
		}
		finalised, ignored := 0, 0
		for _, e := range r.events() {
			switch e.State {
			case 0:
				t.Errorf("an event is open: %+v", e)
			case 1:
				finalised++
			case 2:
				ignored++
			}
		}
		if finalised == 0 || ignored == 0 {
			t.Errorf("%d events finalised, %d ignored: the test tries too little", finalised, ignored)
		}
		r.stop()
	})
}

// sent is what the store and the open slices hold of a session.
func (r *rig) sent(id string) (bytes int64) {
	for _, e := range r.events() {
		if e.ID == id {
			bytes += e.Bytes
		}
	}
	return bytes
}

// TestTwoFinalisers run at the same time over the same sessions: each ends in one row.
func TestTwoFinalisers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "1")
		const n = 300
		var all sync.WaitGroup
		for i := range n {
			listener := tuneIn(r.book, fmt.Sprint("s", i))
			all.Go(func() { listener.hear(90 * time.Second); listener.leave() })
		}
		all.Wait()
		time.Sleep(idle - 20*time.Second)
		time.Sleep(30 * time.Second) // idle now, and perhaps half done
		for range 4 {
			second := *r.finaliser
			second.Book = nil
			all.Go(func() {
				if err := second.Once(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		rows := r.sessions()
		seen := make(map[string]bool)
		for _, x := range rows {
			if seen[x.ID] {
				t.Errorf("%s has two rows", x.ID)
			}
			seen[x.ID] = true
		}
		equal(t, "rows", int64(len(rows)), n)
		bytes, _ := sum(rows)
		events, _ := sum(r.events())
		equal(t, "bytes in rows", bytes, events)
		r.stop()
	})
}
