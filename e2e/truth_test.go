package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// truthTimes make a session end while the test waits. The proportions are not the defaults': a session may be short.
const truthTimes = "{slice: 1s, idle: 5s, minimum: 1s}"

// story is one listener and what the books must say of him besides what he received.
type story struct {
	name    string
	show    string
	play    func(r *receiver, show string) error
	set     func(r *receiver) // what he is; nil: a plain player
	edges   int               // how many he uses; 0: one
	starts  int64             // zero events; 1 for who opens a master
	nothing bool              // he is in no book
	untimed bool              // the edge cannot know what it was worth
	guessed bool              // or only about: nobody told it how long a body that was cut would have been
	id      string            // of his session, where he chose it
	streams string            // that were heard, parted by commas; "" does not ask
}

func header(name, value string) func(*receiver) {
	return func(r *receiver) { r.header = http.Header{name: {value}} }
}

var stories = []story{
	{name: "plain", show: "vod", play: (*receiver).playAll, starts: 1, streams: "vod,vod/aud/index.m3u8,vod/lo/index.m3u8"},
	{name: "live with dates", show: "dated", play: following, starts: 1, streams: "dated,dated/hi/index.m3u8,dated/lo/index.m3u8"},
	{name: "live without dates", show: "undated", play: following, starts: 1},
	{name: "switch", show: "vod", play: (*receiver).switching, starts: 1},
	{name: "switch with dates", show: "dated-vod", play: (*receiver).switching, starts: 1},
	{name: "retry", show: "vod", play: (*receiver).retrying, starts: 1},
	{name: "abort", show: "large", play: (*receiver).aborting, starts: 1, set: func(r *receiver) { r.window = smallWindow }},
	{name: "abort with dates", show: "dated-vod", play: (*receiver).aborting, starts: 1, set: func(r *receiver) { r.window = smallWindow }},
	{name: "abort, slow to leave", show: "large", play: (*receiver).aborting, starts: 1,
		set: func(r *receiver) { r.window, r.linger = smallWindow, 700*time.Millisecond }},
	{name: "ranges", show: "vod", play: (*receiver).ranging, starts: 1},
	{name: "header", show: "vod", play: (*receiver).playAll, starts: 1, set: header("X-Playback-Session-Id", "my-own-id"), id: "my-own-id"},
	{name: "CMCD header", show: "vod", play: (*receiver).playAll, starts: 1, id: "6e2fb550-c457-11e9-bb97-0800200c9a66",
		set: header("CMCD-Session", `cid="x,y",sf=h,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=v`)},
	{name: "CMCD query", show: "dated-vod", play: (*receiver).playAll, starts: 1, id: "cmcd-by-query",
		set: func(r *receiver) { r.query = "CMCD=bl%3D200%2Csid%3D%22cmcd-by-query%22" }},
	{name: "AVPlayer", show: "vod", play: (*receiver).switching, starts: 1, id: "A7F2-av",
		set: header("X-Playback-Session-Id", "A7F2-av")},
	{name: "AVPlayer, media playlist", show: "dated", play: polling, id: "A7F2-media", set: header("X-Playback-Session-Id", "A7F2-media")},
	{name: "polling with dates", show: "dated", play: polling, streams: "dated/lo/index.m3u8"},
	{name: "polling without dates", show: "undated", play: polling},
	{name: "HEAD and OPTIONS", show: "vod", play: (*receiver).glancing, nothing: true},
	{name: "HEAD and OPTIONS with an id", show: "vod", play: (*receiver).glancing, nothing: true, set: header("X-Playback-Session-Id", "glance")},
	{name: "two edges", show: "vod", play: (*receiver).switching, starts: 1, edges: 2},
	{name: "two edges, live with dates", show: "dated", play: following, starts: 1, edges: 2},
	{name: "two edges, live without dates", show: "undated", play: following, starts: 1, edges: 2},
	{name: "two edges, byte ranges", show: "ranged", play: (*receiver).playAll, starts: 1, edges: 2},
	{name: "master again", show: "vod", play: (*receiver).reloading, starts: 1, id: "again", set: header("X-Playback-Session-Id", "again")},
	{name: "bare", show: "vod", play: (*receiver).direct, set: func(r *receiver) { r.bare = true }, streams: "vod/lo/index.m3u8"},
	{name: "bare, playlist unseen", show: "unseen", play: (*receiver).wild, untimed: true},
	{name: "byte ranges", show: "ranged", play: (*receiver).playAll, starts: 1},
	{name: "byte ranges, abort", show: "ranged", play: (*receiver).aborting, starts: 1, set: func(r *receiver) { r.window = smallWindow }},
	{name: "key", show: "encrypted", play: (*receiver).playAll, starts: 1},
	{name: "chunked", show: "chunked", play: (*receiver).switching, starts: 1},
	{name: "chunked, abort", show: "chunked", play: (*receiver).aborting, starts: 1, guessed: true,
		set: func(r *receiver) { r.window = smallWindow }},
}

func following(r *receiver, show string) error { return r.follow(show, 14) }
func polling(r *receiver, show string) error   { return r.poll(show, 20) }

func truthStudio(t testing.TB) *studio {
	return startStudio(t,
		&show{name: "vod", length: 8},
		&show{name: "dated-vod", length: 7, dated: true},
		&show{name: "large", length: 5, bulk: 900_000},
		&show{name: "dated", dated: true},
		&show{name: "undated"},
		&show{name: "ranged", length: 6, ranged: true},
		&show{name: "encrypted", length: 5, dated: true, encrypted: true},
		&show{name: "chunked", length: 6, chunked: true},
		&show{name: "unseen", length: 6})
}

// TestTruthHLS: what the database says equals what the clients received.
func TestTruthHLS(t *testing.T) {
	t.Parallel()
	s := truthStudio(t)
	edges := []*outpost{
		newOutpost(t, "east", truthTimes, s.streams()).start(t),
		newOutpost(t, "west", truthTimes, s.streams()).start(t),
	}
	receivers := make([]*receiver, len(stories))
	var playing sync.WaitGroup
	for i := range stories {
		r := stories[i].receiver(i, s, edges)
		receivers[i] = r
		playing.Go(func() {
			defer r.close()
			if err := stories[i].play(r, stories[i].show); err != nil {
				t.Errorf("%s: %v", stories[i].name, err)
			}
		})
	}
	playing.Wait()
	for _, e := range edges {
		e.waitClosed(t, 30*time.Second)
	}
	sum := ledger{}
	for i := range stories {
		t.Run(stories[i].name, func(t *testing.T) { stories[i].compare(t, receivers[i], edges) })
		sum.read = append(sum.read, receivers[i].ledger.read...)
	}
	checkMeters(t, edges)
	t.Logf("compared %d bytes of %d listeners", total(sum.read), len(stories))
}

func (s *story) receiver(n int, from *studio, edges []*outpost) *receiver {
	r := &receiver{agent: "truth/" + s.name, address: fmt.Sprintf("198.51.100.%d", n+1), studio: from}
	for _, e := range edges[:max(s.edges, 1)] {
		r.edges = append(r.edges, e.listen)
	}
	if s.set != nil {
		s.set(r)
	}
	return r
}

// compare adds up what all edges say of a listener, and compares.
func (s *story) compare(t *testing.T, r *receiver, edges []*outpost) {
	ids, streams := make(map[string]bool), make(map[string]bool)
	var bytes, ms, starts int64
	for i, e := range edges {
		a := e.account(t, r.agent)
		if want := i < max(s.edges, 1) && !s.nothing; want != (a.events > 0) {
			t.Fatalf("edge %d has %d events, of %s", i, a.events, a.ids)
		}
		if a.events == 0 {
			continue
		}
		s.checkRow(t, r, &a)
		bytes, ms, starts = bytes+a.bytes, ms+a.ms, starts+a.starts
		collect(ids, a.ids)
		collect(streams, a.streams)
	}
	if s.nothing {
		return
	}
	if want := r.bytes(); !want.holds(float64(bytes), 0) {
		t.Errorf("%d bytes in the books; %.0f to %.0f received", bytes, want.least, want.most)
	}
	want := r.seconds()
	if s.untimed {
		want = span{}
	}
	tolerance := max(want.least/1000, 0.003)
	if s.guessed {
		tolerance = want.least / 10
	}
	if got := float64(ms) / 1000; !want.holds(got, tolerance) {
		t.Errorf("%.3f s in the books; %.3f to %.3f received", got, want.least, want.most)
	}
	if starts != s.starts {
		t.Errorf("%d zero events under the group key, want %d", starts, s.starts)
	}
	if len(ids) != 1 || s.id != "" && !ids[s.id] {
		t.Errorf("the sessions are %v, want one (%q)", slices.Collect(maps.Keys(ids)), s.id)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(streams)), ","); s.streams != "" && got != s.streams {
		t.Errorf("the streams are %s, want %s", got, s.streams)
	}
	t.Logf("%d bytes of %.0f to %.0f, %.3f s of %.3f to %.3f", bytes, r.bytes().least, r.bytes().most, float64(ms)/1000, want.least, want.most)
}

func collect(into map[string]bool, list string) {
	for name := range strings.SplitSeq(list, ",") {
		into[name] = true
	}
}

// checkRow compares the sessions table of one edge with its events, and both with who the listener was.
func (s *story) checkRow(t *testing.T, r *receiver, a *account) {
	t.Helper()
	if a.kinds != "hls" || a.groups != s.show || a.ips != r.address {
		t.Errorf("kinds %s, groups %s, addresses %s", a.kinds, a.groups, a.ips)
	}
	if a.sessions == 1 && a.running != a.ms {
		t.Errorf("the running total ends at %d ms, the events come to %d", a.running, a.ms)
	}
	if s.untimed { // too short, as far as the edge can tell
		if a.rows != 0 || a.ignoredBytes != a.bytes {
			t.Errorf("%d rows, %d of %d bytes ignored", a.rows, a.ignoredBytes, a.bytes)
		}
		return
	}
	if a.rows != 1 || a.rowBytes != a.bytes || a.rowMS != a.ms {
		t.Errorf("%d rows with %d bytes and %d ms; the events have %d and %d", a.rows, a.rowBytes, a.rowMS, a.bytes, a.ms)
	}
	first := s.show
	if a.starts == 0 {
		first = a.rowStreams // the variant that was heard first, whichever that was
	}
	if a.rowKinds != "hls" || a.rowAddrs != r.address || a.rowStreams != first || !strings.HasPrefix(first, s.show) {
		t.Errorf("the row says %s, %s, %s", a.rowKinds, a.rowAddrs, a.rowStreams)
	}
	came, went := r.first(), r.last()
	heard, late := went.Sub(came), stoodStill(came.Add(-5*time.Second), went.Add(5*time.Second))
	elapsed := time.Duration(a.rowElapsed) * time.Millisecond
	if a.rowElapsed != a.ended-a.started || s.edges < 2 && (elapsed-heard).Abs() > 2*time.Second+late {
		t.Errorf("%v elapsed; the events span %d ms, the listener read for %v", elapsed, a.ended-a.started, heard)
	}
}

// checkMeters compares /metrics with the database, edge by edge and group by group.
func checkMeters(t *testing.T, edges []*outpost) {
	t.Helper()
	for _, e := range edges {
		metrics := mustGet(t, e.admin+"/metrics")
		if n := sample(metrics, "earshot_origin_fetches_total", `outcome="broken"`); n != 0 {
			t.Errorf("the origin is said to have broken off %v times; it was the listeners who left", n)
		}
		for _, w := range []string{"vod", "dated-vod", "large", "dated", "undated", "ranged", "encrypted", "chunked", "unseen"} {
			label := fmt.Sprintf("stream=%q", w)
			bytes := e.number(t, `SELECT COALESCE(sum(bytes), 0) FROM listen_events WHERE group_key = ?`, w)
			if got := sample(metrics, "earshot_sent_bytes_total", label, `kind="hls"`); got != float64(bytes) {
				t.Errorf("%s: /metrics says %.0f bytes, the events %d", w, got, bytes)
			}
			ms := e.number(t, `SELECT COALESCE(sum(duration_ms), 0) FROM listen_events WHERE group_key = ?`, w)
			if got := sample(metrics, "earshot_listening_seconds_total", label); got < float64(ms)/1000-0.001 || got > float64(ms)/1000+0.1 {
				t.Errorf("%s: /metrics says %.3f s, the events %d ms", w, got, ms)
			}
		}
	}
}
