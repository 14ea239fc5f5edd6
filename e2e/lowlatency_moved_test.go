package e2e

import (
	"net/url"
	"testing"
)

// testLLMoved: a listener's next reload, for a delta update, comes to an edge that has never heard of him or of the show. What he takes
// there is in that edge's books.
func testLLMoved(t *testing.T, s *llShow) {
	o := startLLOrigin(t, s)
	streams := []string{hlsStream("live", "/live/", o.URL+"/"+s.name+"/")}
	var edges [2]*outpost
	for n, name := range []string{"first", "second"} {
		edges[n] = newOutpost(t, name, "{slice: 1s, idle: 3s, minimum: 1s}", streams).start(t)
	}
	l := newLLListener(t, "moved")
	variants, err := l.master(edges[0].listen + "/live/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.reload(variants[0], -1, -1, false)
	for n := 0; err == nil && n < llParts; n++ {
		if n == 2 {
			edge, _ := url.Parse(edges[1].listen)
			variants[0].Host = edge.Host
			l.bytes, l.heard = 0, make(map[int]bool)
		}
		msn, part := v.next()
		if v, err = l.reload(variants[0], msn, part, true); err != nil {
			break
		}
		var p llPiece
		if p, err = v.part(msn*llParts + part); err == nil {
			err = l.fetch(p)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	edges[1].closed(t)
	a := edges[1].account(t, l.agent)
	llBooks(t, "moved", a.bytes, l.bytes, a.ms, len(l.heard))
	if a.sessions != 1 || a.ids != variants[0].Query().Get("X-Playback-Session-Id") {
		t.Errorf("%d sessions, %s, at the second edge", a.sessions, a.ids)
	}
	o.obeyed(t)
}
