package listentest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"earshot/listen"
	"earshot/session"
)

func idleListing(w *world) {
	gone, live, closed, ignored := key("gone", "g"), key("live", "g"), key("closed", "g"), key("ignored", "g")
	w.append(w.heard(gone, "g", 60, 60), w.heard(gone, "g", 100, 30), w.heard(live, "g", 60, 60), w.heard(live, "g", 160, 30),
		w.heard(closed, "g", 60, 60), w.heard(ignored, "g", 60, 1))
	w.append(w.heard(live, "g", 90, 10)) // late: the last to come is not the last by time
	w.finalise(90, closed, ignored)
	are(w, "long before", w.idle(60, session.Key{}, 10), nil)
	are(w, "at the last event's end", w.idle(100, session.Key{}, 10), nil)
	are(w, "after it", w.idle(101, session.Key{}, 10), []session.Key{gone})
	are(w, "after both", w.idle(500, session.Key{}, 10), []session.Key{gone, live})
	w.append(w.heard(ignored, "g", 200, 1))
	are(w, "resumed", w.idle(500, session.Key{}, 10), []session.Key{gone, ignored, live})
}

func idlePages(w *world) {
	var want []session.Key
	var events []listen.Event
	for i := range 25 {
		for _, group := range []string{"a", "b", "ü"} {
			k := key(fmt.Sprintf("s%02d", i), group)
			events = append(events, w.heard(k, "x", 30, 30), w.heard(k, "x", 60, 30))
			if i%5 == 0 {
				events = append(events, w.heard(k, "x", 900, 30))
				continue
			}
			want = append(want, k)
		}
	}
	w.append(events...)
	for _, limit := range []int{1, 7, 60, 100} {
		var got []session.Key
		after := session.Key{}
		for {
			page := w.idle(500, after, limit)
			if len(page) > limit {
				w.Fatalf("a page of %d, want at most %d", len(page), limit)
			}
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			after = page[len(page)-1]
		}
		are(w, fmt.Sprintf("pages of %d", limit), got, want)
	}
	is(w, "after a key that is none", w.idle(500, key("s23", "aa"), 1)[0], key("s23", "b"))
}

func recent(w *world) {
	old, live, closed := key("old", "g"), key("live", "g"), key("closed", "g")
	w.append(w.heard(old, "g", 60, 60), w.heard(live, "low", 60, 60), w.heard(closed, "g", 460, 60))
	last := w.heard(live, "high", 450, 30)
	last.Who = listen.Who{Key: live, Kind: session.ICY, UserID: "u", DeviceID: "d", DeviceType: "t", IP: "i",
		UserAgent: "a", Country: "c", Edge: "e"}
	w.append(last)
	w.append(w.heard(live, "low", 90, 30)) // late: not the last by time
	w.finalise(500, closed)
	for _, since := range []int64{100, 450} {
		got, err := w.Store.Recent(w.Context(), at(since))
		if err != nil {
			w.Fatal(err)
		}
		are(w, fmt.Sprint("since ", since), got, []listen.Recent{{Who: last.Who, FromMS: epoch, TimeMS: epoch + 450_000}})
	}
	got, err := w.Store.Recent(w.Context(), at(451))
	if err != nil || len(got) != 0 {
		w.Errorf("after all: %v, %v; want none", got, err)
	}
}

func rowIsStoredWhole(w *world) {
	k := key("s", "news")
	a, b := w.heard(k, "low", 30, 30), w.heard(k, "low", 100, 40)
	for _, e := range []*listen.Event{&a, &b} {
		e.Who = listen.Who{Key: k, Kind: session.HLS, UserID: "user", DeviceID: "device", DeviceType: "stb", IP: "192.0.2.7",
			UserAgent: "agent", Country: "AT", Edge: "e"}
	}
	w.append(a, b)
	_, err := w.Store.Finalise(w.Context(), []listen.Closing{{Key: k, Reason: listen.SourceGone}}, at(500), minimum, at(777))
	if err != nil {
		w.Fatal(err)
	}
	are(w, "rows", w.rows(), []row{{"s", "news", epoch, epoch + 100_000, "hls", "low", 70 * 16000, 70_000, 100_000,
		"user", "device", "stb", "192.0.2.7", "agent", "AT", "source-gone", epoch + 777_000}})
	are(w, "states", w.states(), []int{1, 1})
}

func rowTakesTheLatestKnown(w *world) {
	k := key("s", "news")
	first, second, third := w.heard(k, "low", 30, 30), w.heard(k, "low", 60, 30), w.heard(k, "low", 90, 30)
	first.Who.UserID, first.Who.Country, first.Who.IP = "old user", "DE", "192.0.2.1"
	second.Who.UserID, second.Who.DeviceID, second.Who.IP = "user", "device", "192.0.2.2"
	third.Who.UserAgent, third.Who.IP = "", "192.0.2.3"
	w.append(third, first, second) // latest is by time, not by arrival
	w.finalise(500, k)
	r := w.rows()[0]
	is(w, "row", [5]string{r.User, r.Device, r.Country, r.IP, r.Agent},
		[5]string{"user", "device", "DE", "192.0.2.3", "player/1"})
}

func firstStreamNamesTheRow(w *world) {
	late, tie := key("a", "news"), key("b", "news")
	zero := w.heard(tie, "news", 10, 0)
	same := w.heard(tie, "low", 70, 60)
	w.append(w.heard(late, "high", 90, 30), w.heard(late, "low", 60, 30), zero, same)
	w.finalise(500, late, tie)
	rows := w.rows()
	is(w, "by time, not by arrival", rows[0].Stream, "low")
	is(w, "by arrival where the time is the same", rows[1].Stream, "news")
}

func minimumCountsTheWholeSession(w *world) {
	k := key("s", "news")
	w.append(w.heard(k, "news", 0, 0), w.heard(k, "low", 30, 30), w.heard(k, "low", 50, 20))
	is(w, "50 s", w.finalise(400, k), listen.Outcome{Ignored: 1})
	is(w, "rows", len(w.rows()), 0)
	are(w, "states", w.states(), []int{2, 2, 2})
	w.append(w.heard(k, "high", 1015, 15))
	is(w, "15 s more", w.finalise(1400, k), listen.Outcome{Finalised: 1})
	are(w, "rows", w.rows(), []row{{ID: "s", Group: "news", Started: epoch, Ended: epoch + 1_015_000, Kind: "hls",
		Stream: "news", Bytes: 65 * 16000, Duration: 65_000, Elapsed: 1_015_000, IP: "192.0.2.1", Agent: "player/1",
		Reason: "idle", Finalised: epoch + 1_400_000}})
	are(w, "states", w.states(), []int{1, 1, 1, 1})
}

func minimumCountsTheRows(w *world) {
	k := key("s", "news")
	w.append(w.heard(k, "low", 60, 60))
	is(w, "the first row", w.finalise(400, k), listen.Outcome{Finalised: 1})
	w.append(w.heard(k, "high", 1005, 5))
	is(w, "5 s more", w.finalise(1400, k), listen.Outcome{Finalised: 1})
	rows := w.rows()
	is(w, "rows", len(rows), 2)
	is(w, "the first is as it was", rows[0].Duration, 60_000)
	is(w, "supplementary", rows[1], row{ID: "s", Group: "news", Started: epoch + 1_000_000, Ended: epoch + 1_005_000,
		Kind: "hls", Stream: "high", Bytes: 5 * 16000, Duration: 5_000, Elapsed: 5_000, IP: "192.0.2.1", Agent: "player/1",
		Reason: "idle", Finalised: epoch + 1_400_000})
}

func minimumIsReachedExactly(w *world) {
	k := key("s", "news")
	short := w.heard(k, "low", 60, 60)
	short.MediaMS--
	w.append(short)
	is(w, "a millisecond short", w.finalise(400, k), listen.Outcome{Ignored: 1})
	rest := w.heard(k, "low", 61, 0)
	rest.MediaMS = 1
	w.append(rest)
	is(w, "on the dot", w.finalise(400, k), listen.Outcome{Finalised: 1})
	none, err := w.Store.Finalise(w.Context(), []listen.Closing{{Key: key("x", "y")}}, at(500), 0, at(500))
	if err != nil || none != (listen.Outcome{Skipped: 1}) {
		w.Errorf("a session that is not there: %+v, %v; want it skipped", none, err)
	}
}

func lateEvents(w *world) {
	k := key("s", "news")
	w.append(w.heard(k, "low", 160, 60))
	w.finalise(500, k)
	w.append(w.heard(k, "high", 90, 30)) // from a spill: older than the row
	is(w, "late", w.finalise(600, k), listen.Outcome{Finalised: 1})
	rows := w.rows()
	is(w, "rows", len(rows), 2)
	is(w, "started", rows[1].Started, epoch+60_000)
	is(w, "ended", rows[1].Ended, epoch+90_000)
	is(w, "sum", rows[0].Duration+rows[1].Duration, 90_000)
}

func nothingHeard(w *world) {
	k := key("s", "news")
	w.append(w.heard(k, "news", 0, 0))
	done, err := w.Store.Finalise(w.Context(), []listen.Closing{{Key: k}}, at(500), 0, at(500))
	if err != nil || done != (listen.Outcome{Ignored: 1}) {
		w.Errorf("an empty session and no minimum: %+v, %v; want it ignored", done, err)
	}
	w.append(w.heard(k, "low", 660, 60))
	w.finalise(1000, k)
	w.append(w.heard(k, "news", 1100, 0))
	is(w, "a master fetched once more", w.finalise(2000, k), listen.Outcome{Ignored: 1})
	is(w, "rows", len(w.rows()), 1)
	are(w, "states", w.states(), []int{1, 1, 2})
}

func bytesWithoutTime(w *world) {
	k := key("s", "news")
	e := w.heard(k, "subtitles", 10, 0)
	e.Bytes = 999
	w.append(e)
	done, err := w.Store.Finalise(w.Context(), []listen.Closing{{Key: k}}, at(500), 0, at(500))
	if err != nil || done != (listen.Outcome{Finalised: 1}) {
		w.Errorf("bytes and no minimum: %+v, %v; want a row", done, err)
	}
	is(w, "bytes", w.rows()[0].Bytes, 999)
}

func leftAlone(w *world) {
	k := key("s", "news")
	w.append(w.heard(k, "low", 60, 60), w.heard(k, "low", 120, 60))
	is(w, "heard since", w.finalise(100, k), listen.Outcome{Skipped: 1})
	is(w, "heard at that moment", w.finalise(120, k), listen.Outcome{Skipped: 1})
	is(w, "one of three", w.finalise(121, key("a", "b"), k, k), listen.Outcome{Finalised: 1, Skipped: 2})
	is(w, "rows", len(w.rows()), 1)
}

func finaliseTwice(w *world) {
	k := key("s", "news")
	w.append(w.heard(k, "low", 60, 60))
	is(w, "first", w.finalise(400, k), listen.Outcome{Finalised: 1})
	is(w, "again", w.finalise(400, k), listen.Outcome{Skipped: 1})
	is(w, "rows", len(w.rows()), 1)
}

// workers runs finalisers over both handles until no session is idle. Each looks for itself, as two edges would. A
// store whose sessions never end is given up on.
func (w *world) workers(n int) (done listen.Outcome) {
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		store := []listen.Store{w.Store, w.Other}[i%2]
		wg.Go(func() {
			for {
				keys, err := store.Idle(ctx, at(500), session.Key{}, 17)
				if err != nil {
					w.Error(err)
				}
				if len(keys) == 0 {
					return
				}
				closing := make([]listen.Closing, len(keys))
				for i, k := range keys {
					closing[i] = listen.Closing{Key: k, Reason: listen.Left}
				}
				o, err := store.Finalise(ctx, closing, at(500), minimum, at(500))
				if err != nil {
					w.Error(err)
					return
				}
				mu.Lock()
				done = listen.Outcome{Finalised: done.Finalised + o.Finalised, Ignored: done.Ignored + o.Ignored,
					Skipped: done.Skipped + o.Skipped}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return done
}

func twoFinalisers(w *world) {
	const sessions = 300
	var events []listen.Event
	for i := range sessions {
		k := key(fmt.Sprint("s", i), "news")
		for j := range int64(i%4 + 1) {
			events = append(events, w.heard(k, "low", 30*(j+1), 30))
		}
	}
	w.append(events...)
	done := w.workers(4)
	is(w, "finalised", done.Finalised, sessions*3/4)
	is(w, "ignored", done.Ignored, sessions/4)
	w.balance()
	is(w, "rows", len(w.rows()), sessions*3/4)
}

func appendWhileFinalising(w *world) {
	const sessions = 40
	var wg sync.WaitGroup
	batches := make([][]listen.Event, 50)
	for b := range batches {
		for i := range sessions {
			batches[b] = append(batches[b], w.heard(key(fmt.Sprint("s", i), "news"), "low", int64(b), 2))
		}
	}
	wg.Go(func() {
		for _, events := range batches {
			if _, err := w.Store.Append(context.WithoutCancel(w.Context()), events); err != nil {
				w.Error(err)
			}
		}
	})
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	for waiting := true; waiting; {
		select {
		case <-finished:
			waiting = false
		case <-time.After(time.Millisecond):
		}
		w.workers(2)
	}
	w.balance()
	is(w, "events", len(w.events()), sessions*len(batches))
	var sum int64
	for _, r := range w.rows() {
		sum += r.Duration
	}
	is(w, "all of it", sum, int64(sessions*len(batches)*2000))
}

// balance checks that rows and finalised events agree, session by session.
func (w *world) balance() {
	w.Helper()
	type sum struct{ bytes, duration int64 }
	rows, events := map[session.Key]sum{}, map[session.Key]sum{}
	for _, r := range w.rows() {
		k := key(r.ID, r.Group)
		rows[k] = sum{rows[k].bytes + r.Bytes, rows[k].duration + r.Duration}
	}
	for _, e := range w.events() {
		switch k := e.Who.Key; e.State {
		case 0:
			w.Errorf("event %s is still open", e.ID)
		case 1:
			events[k] = sum{events[k].bytes + e.Bytes, events[k].duration + e.MediaMS}
		}
	}
	is(w, "sessions with rows", len(rows), len(events))
	for k, s := range events {
		is(w, fmt.Sprint("session ", k), rows[k], s)
	}
}
