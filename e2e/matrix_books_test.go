package e2e

import (
	"fmt"
	"math"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// session returns the one id that everything but the playlist it began with was asked for with, each time with a grant.
func (p *played) session(t *testing.T) string {
	t.Helper()
	ids := make(map[string]int)
	for _, q := range p.Requests {
		u, err := url.Parse(q.URL)
		if err != nil {
			t.Fatal(err)
		}
		values := u.Query()
		if len(values) == 0 && p.name(t, q) == "master.m3u8" {
			continue
		}
		ids[values.Get("X-Playback-Session-Id")]++
		if values.Get("earshot") == "" {
			t.Errorf("no grant on %s", q.URL)
		}
	}
	if len(ids) != 1 || ids[""] > 0 {
		t.Fatalf("the session ids of the requests are %v, want one", ids)
	}
	for id := range ids {
		return id
	}
	return ""
}

// moment is a piece of a variant: which of its segments, and for how long.
type moment struct {
	number  int
	seconds float64
}

// moments are the segments of the kind's variants, by name and range. The variants are cut at the same times, so a segment's number
// says which moment it is in all of them.
func (l *library) moments(t *testing.T, k kind) map[string]moment {
	t.Helper()
	all := make(map[string]moment)
	for _, name := range k.variants {
		number, seconds, part := 0, 0.0, ""
		for line := range strings.Lines(string(l.read(t, k.name+"/"+name))) {
			line = strings.TrimSpace(line)
			if text, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
				text, _, _ = strings.Cut(text, ",")
				seconds, _ = strconv.ParseFloat(text, 64)
			} else if text, ok := strings.CutPrefix(line, "#EXT-X-BYTERANGE:"); ok {
				part = rangeOf(text)
			} else if line != "" && line[0] != '#' {
				all[path.Join(path.Dir(name), line)+" "+part] = moment{number, seconds}
				number++
			}
		}
	}
	return all
}

// rangeOf is "length@offset" as a Range header has it.
func rangeOf(text string) string {
	var length, offset int64
	fmt.Sscanf(text, "%d@%d", &length, &offset)
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// heard is what the edge is to have in its books when these were received: every byte that is not of a playlist or a key, and each moment of
// the show once. Other languages, subtitles and I-frames are no time of their own.
func (l *library) heard(t *testing.T, k kind, received []fetched) (bytes int64, seconds float64) {
	t.Helper()
	moments := l.moments(t, k)
	got := make(map[int]float64)
	for _, q := range received {
		if isPlaylist(q.URL) || isKey(q.URL) {
			continue
		}
		bytes += q.Bytes
		if m, ok := moments[q.URL+" "+strings.TrimSuffix(q.Range, "bytes=0-")]; ok {
			got[m.number] = m.seconds
		}
	}
	for _, s := range got {
		seconds += s
	}
	return bytes, seconds
}

// delivery is what a play through the edge came to.
type delivery struct {
	kind     kind
	id       string // of the session
	received []fetched
}

// balanced: the books hold one session for a play, and it says what was received.
func (m *matrix) balanced(t *testing.T, name string, d delivery) {
	t.Helper()
	bytes, seconds := m.stage.library.heard(t, d.kind, d.received)
	rows := query(t, m.edge.database(t), `SELECT session_id, kind, sum(bytes), sum(duration_ms), 0, count(*) FROM listen_events
		WHERE group_key = ? GROUP BY 1, 2`, name)
	if len(rows) != 1 {
		t.Errorf("%d sessions, want one: %+v", len(rows), rows)
	}
	h := byID(t, "listen_events", rows, d.id)
	if h.kind != "hls" || h.bytes != bytes {
		t.Errorf("%s: %d bytes in the books, and %d received", h.kind, h.bytes, bytes)
	}
	if got := float64(h.durationMS) / 1000; math.Abs(got-seconds) > seconds/1000 {
		t.Errorf("%.3f s of media in the books, and %.3f s received", got, seconds)
	}
}

// names is what was received with the names that the content has at its origin.
func (p *played) names(t *testing.T) []fetched {
	t.Helper()
	received := slices.Clone(p.Requests)
	for n := range received {
		received[n].URL = p.name(t, received[n])
	}
	return received
}

// discreet: nothing of ours reached the origin, and what is not a playlist was asked of it once, in the ranges in which it would have been asked for
// without an edge: an open range from the first byte on is all of it.
func (m *matrix) discreet(t *testing.T, name string) {
	t.Helper()
	direct, _ := m.stage.seen("direct-" + name)
	edge, leaks := m.stage.seen("edge-" + name)
	for _, u := range leaks {
		t.Errorf("the origin was asked for %s", u)
	}
	media := func(requests []fetched) (lines []string) {
		for _, q := range requests {
			if !isPlaylist(q.URL) {
				lines = append(lines, fmt.Sprintf("%s %s: %d bytes", q.URL, strings.TrimSuffix(q.Range, "bytes=0-"), q.Bytes))
			}
		}
		slices.Sort(lines)
		return lines
	}
	if a, b := slices.Compact(media(direct)), media(edge); !slices.Equal(a, b) {
		t.Errorf("what the origin was asked for: %s", differ(a, b))
	}
}

// grew: a show that was still going on was received in order, without a gap and nothing twice, and its playlist was polled no more than
// the standard allows: after half a target duration when nothing was new (RFC 8216, 6.3.4), which is half a second here and the time that a segment
// takes to come.
func (p *played) grew(t *testing.T, k kind) {
	t.Helper()
	next, polls := -1, 0
	for _, q := range p.names(t) {
		var n int
		if k.polls(q.URL) {
			polls++
		} else if _, err := fmt.Sscanf(q.URL, "%d.ts", &n); err == nil {
			if next >= 0 && n != next {
				t.Errorf("segment %d came where %d should", n, next)
			}
			next = n + 1
		}
	}
	segments := int(k.length)
	if next != segments {
		t.Errorf("segment %d was the last, want %d", next-1, segments-1)
	}
	// Once at first, and then some before the last segment, with which comes the end tag.
	if most := 3 + segments - eventHead; polls < 2 || polls > most {
		t.Errorf("the playlist was asked for %d times, want 2 to %d", polls, most)
	}
}
