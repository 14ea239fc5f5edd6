package listentest

import (
	"strings"

	"earshot/listen"
	"earshot/session"
)

func appendIsIdempotent(w *world) {
	k := key("s", "news")
	a, b, c := w.heard(k, "low", 30, 30), w.heard(k, "low", 60, 30), w.heard(k, "low", 90, 30)
	w.append(a, b)
	changed := b
	changed.Bytes, changed.MediaMS = 1, 1
	for range 2 { // once with one that is new, once with none
		if _, err := w.Store.Append(w.Context(), []listen.Event{a, changed, c, c}); err != nil {
			w.Fatal(err)
		}
	}
	are(w, "events", w.events(), []stored{{a, 30_000, 0}, {b, 60_000, 0}, {c, 90_000, 0}})
	n, err := w.Store.Append(w.Context(), []listen.Event{a, b, c, w.heard(k, "low", 120, 30)})
	if err != nil || n != 1 {
		w.Errorf("a replay with one new event inserted %d, %v; want 1", n, err)
	}
	is(w, "finalised", w.finalise(500, k), listen.Outcome{Finalised: 1})
	if n, err := w.Store.Append(w.Context(), []listen.Event{a, b, c}); err != nil || n != 0 {
		w.Errorf("a replay of finalised events inserted %d, %v; want 0", n, err)
	}
	are(w, "states", w.states(), []int{1, 1, 1, 1})
}

func appendOfNothing(w *world) {
	w.append()
	is(w, "outcome", w.finalise(0), listen.Outcome{})
	is(w, "events", len(w.events()), 0)
}

func eventIsStoredWhole(w *world) {
	e := listen.Event{ID: "e-1", FromMS: 1, TimeMS: 2, Stream: "kpcc", Bytes: 3, MediaMS: 4, Offset: 5, Who: listen.Who{
		Key: key("s", "g"), Kind: session.ICY, UserID: "user", DeviceID: "device", DeviceType: "stb", IP: "2001:db8::1",
		UserAgent: "agent", Country: "DE", Edge: "edge-7"}}
	w.append(e)
	are(w, "events", w.events(), []stored{{e, 4, 0}})
}

func runningTotals(w *world) {
	a, b := key("a", "news"), key("b", "news")
	w.append(w.heard(a, "low", 30, 10), w.heard(b, "low", 30, 1), w.heard(a, "high", 30, 20), w.heard(a, "low", 60, 30))
	w.append(w.heard(a, "news", 61, 0), w.heard(b, "low", 60, 2))
	w.finalise(500, a, b)
	w.append(w.heard(b, "low", 600, 4), w.heard(a, "high", 600, 30))
	are(w, "totals", w.totals(), []int64{10_000, 30_000, 60_000, 60_000, 90_000, 1_000, 3_000, 7_000})
}

func runningTotalsOfTwoHandles(w *world) {
	k := key("a", "news")
	for i := range 6 {
		store := []listen.Store{w.Store, w.Other}[i%2]
		if _, err := store.Append(w.Context(), []listen.Event{w.heard(k, "low", int64(i+1)*30, 30)}); err != nil {
			w.Fatal(err)
		}
	}
	are(w, "totals", w.totals(), []int64{30_000, 60_000, 90_000, 120_000, 150_000, 180_000})
}

func oneIDInTwoGroups(w *world) {
	one, two := key("same", "news"), key("same", "music")
	w.append(w.heard(one, "n", 60, 60), w.heard(two, "m", 60, 61), w.heard(one, "n", 70, 10))
	are(w, "idle", w.idle(400, session.Key{}, 10), []session.Key{two, one})
	are(w, "totals", w.totals(), []int64{61_000, 60_000, 70_000})
	is(w, "one", w.finalise(400, one), listen.Outcome{Finalised: 1})
	are(w, "states", w.states(), []int{0, 1, 1})
	is(w, "two", w.finalise(400, two), listen.Outcome{Finalised: 1})
	rows := w.rows()
	is(w, "rows", len(rows), 2)
	is(w, "music", rows[0].Duration, 61_000)
	is(w, "news", rows[1].Duration, 70_000)
}

// awkward are texts that have broken SQL, CSV, C strings and terminals before.
var awkward = []string{`'; DROP TABLE sessions; --`, `"quoted" 'both' \back\ %s $1 ?1 :x`, "new\nline\r\n\ttab",
	"\u202eright to left \U0001f3a7 e\u0301 ü \ufeff", "{serial} {{}}", " ", strings.Repeat("ж", 128)}

func awkwardTexts(w *world) {
	var want []stored
	for _, text := range awkward {
		e := w.heard(key(text, text), text, 100, 61)
		e.ID += text
		e.Who = listen.Who{Key: e.Who.Key, Kind: session.HLS, UserID: text, DeviceID: text, DeviceType: text, IP: text,
			UserAgent: text, Country: text, Edge: text}
		w.append(e)
		want = append(want, stored{e, 61_000, 0})
		is(w, "finalised", w.finalise(500, e.Who.Key), listen.Outcome{Finalised: 1})
		want[len(want)-1].State = 1
	}
	got := map[string]stored{}
	for _, e := range w.events() {
		got[e.ID] = e
	}
	for _, e := range want {
		is(w, "event", got[e.ID], e)
	}
	for _, r := range w.rows() {
		e := got[findID(want, r.ID)]
		is(w, "row", [8]string{r.Group, r.Stream, r.User, r.Device, r.DeviceType, r.IP, r.Agent, r.Country},
			[8]string{e.Who.Key.Group, e.Stream, e.Who.UserID, e.Who.DeviceID, e.Who.DeviceType, e.Who.IP,
				e.Who.UserAgent, e.Who.Country})
	}
}

// findID is the id of the event of that session.
func findID(events []stored, id string) string {
	for _, e := range events {
		if string(e.Who.Key.ID) == id {
			return e.ID
		}
	}
	return ""
}

// unstorableTexts have bytes that some databases cannot hold. They may be changed into others, but an event with one
// must not hold up its batch, and its session must close like any other, by the key it has in memory.
func unstorableTexts(w *world) {
	for i, text := range []string{"nul\x00inside", "\x00", "bad \xff\xfe utf-8", "\xed\xa0\x80 surrogate"} {
		bad := w.heard(key(text, "group"+text), text, 100, 61)
		bad.Who.UserAgent, bad.Who.UserID = text, text
		plain := w.heard(key("z", "news"), "low", 100, 61)
		w.append(bad, plain)
		listed := w.idle(500, session.Key{}, 10)
		if len(listed) != 2 {
			w.Fatalf("%q: %d sessions are idle, want 2", text, len(listed))
		}
		is(w, "finalised", w.finalise(500, bad.Who.Key, plain.Who.Key), listen.Outcome{Finalised: 2})
		is(w, "rows", len(w.rows()), 2*(i+1))
		is(w, "left", len(w.idle(500, session.Key{}, 10)), 0)
	}
}

func largeNumbers(w *world) {
	const huge = 1 << 62
	k := key("s", "g")
	a, b := w.heard(k, "g", 100, 0), w.heard(k, "g", 200, 0)
	a.Bytes, a.MediaMS = huge, huge/1_000_000
	b.Bytes, b.MediaMS, b.Offset = huge-1, 1<<53+1, huge
	a.FromMS = 0
	w.append(a, b)
	is(w, "finalised", w.finalise(500, k), listen.Outcome{Finalised: 1})
	r := w.rows()[0]
	is(w, "bytes", r.Bytes, huge+(huge-1))
	is(w, "duration", r.Duration, huge/1_000_000+1<<53+1)
	is(w, "elapsed", r.Elapsed, epoch+200_000)
	is(w, "total", w.totals()[1], huge/1_000_000+1<<53+1)
	is(w, "offset", w.events()[1].Offset, huge)
}
