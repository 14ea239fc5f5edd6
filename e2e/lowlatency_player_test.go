package e2e

import (
	"maps"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// llSeconds is what hls.js plays. EARSHOT_LONG=1 has it play for two minutes.
func llSeconds() int {
	if os.Getenv("EARSHOT_LONG") != "" {
		return 120
	}
	return 9
}

// testLLPlayer: hls.js plays a show twice at the same time, from the origin and through the edge, and there is no difference but for what
// the edge adds to URIs. The books say what the page received.
func testLLPlayer(t *testing.T, s *llShow) {
	tries(t, func(complain complain) bool { return llPlayTwice(t, complain, s) })
}

func llPlayTwice(t *testing.T, complain complain, s *llShow) (disturbed bool) {
	o, e := llEdge(t, s)
	player := startPlayer(t)
	open := func(master string) *browser {
		query := url.Values{"src": {master}, "seconds": {strconv.Itoa(llSeconds())}}
		return openPage(t, player.URL+"/lowlatency.html?"+query.Encode())
	}
	opened := time.Now()
	pages := [2]*browser{open(o.URL + "/" + s.name + "/master.m3u8"), open(e.listen + "/live/master.m3u8")}
	var reports [2]llReport
	for n, page := range pages {
		reports[n] = llPlay(t, page, llSeconds())
	}
	disturbed = reports[0].starved() || reports[1].starved() || pulse.arrested(opened, 300*time.Millisecond) // the origin is here
	for n := range reports {
		reports[n].smooth(t, complain, llSeconds())
		reports[n].once(t, complain, s)
		reports[n].reported(t, complain)
	}
	direct, edged := &reports[0], &reports[1]
	llAlike(t, complain, direct, edged)
	id := edged.sessionID(t)
	deltas := o.asked(func(q llRequest) bool {
		return !strings.Contains(q.agent, "Mozilla") && strings.Contains(q.text, "#EXT-X-SKIP:") // the edge asks in its own name
	})
	if len(deltas) < 2*llSeconds() {
		complain("the edge has fetched %d delta updates", len(deltas))
	}
	o.obeyed(t)

	events, sessions := e.finalised(t, "live")
	if len(events) != 1 || len(sessions) != 1 {
		complain("%d sessions in listen_events and %d in sessions, want one: %+v, %+v", len(events), len(sessions), events, sessions)
		return disturbed
	}
	bytes, parts, whole := edged.media(t, s)
	if !whole {
		return disturbed // smooth has said so
	}
	for table, all := range map[string][]heard{"listen_events": events, "sessions": sessions} {
		h := byID(t, table, all, id)
		llBooks(t, table, h.bytes, bytes, h.durationMS, len(parts))
	}
	return disturbed
}

// llAlike: the pages made the same kinds of requests, about as many of each, and are as far behind live.
func llAlike(t *testing.T, complain complain, direct, edged *llReport) {
	t.Helper()
	a, b := direct.kinds(t), edged.kinds(t)
	if x, y := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)); !slices.Equal(x, y) {
		complain("directly hls.js asks for %v, through the edge for %v", a, b)
	}
	for kind, n := range a {
		if math.Abs(float64(n-b[kind])) > 4+float64(n)/4 {
			complain("directly hls.js asks %d times for %s, through the edge %d times", n, kind, b[kind])
		}
	}
	if b["index _HLS_msn _HLS_part _HLS_skip"] < 2*llSeconds() {
		complain("hls.js does not wait for every part, with delta updates: %v", b)
	}
	hls, behind := direct.latency()
	edgeHLS, edgeBehind := edged.latency()
	t.Logf("behind live: directly %.2f s (%.2f by hls.js), through the edge %.2f s (%.2f); requests %v", behind, hls, edgeBehind, edgeHLS, b)
	if math.Abs(edgeHLS-hls) > 0.5 || math.Abs(edgeBehind-behind) > 0.5 {
		complain("behind live: directly %.2f s (%.2f by hls.js), through the edge %.2f s (%.2f)", behind, hls, edgeBehind, edgeHLS)
	}
}

// sessionID returns the one session id that every request but the first carried.
func (r *llReport) sessionID(t *testing.T) string {
	t.Helper()
	var plain report
	for _, q := range r.Requests {
		plain.Requests = append(plain.Requests, q.request)
	}
	return plain.sessionID(t)
}

// testLLFFmpeg: ffmpeg, which knows no parts, plays the segments, and has nothing to say.
func testLLFFmpeg(t *testing.T, s *llShow) {
	o, e := llEdge(t, s)
	run(t, 30*time.Second, "ffmpeg", "-nostdin", "-v", "error", "-i", e.listen+"/live/master.m3u8", "-t", "8", "-f", "null", "-")
	o.obeyed(t)
}
