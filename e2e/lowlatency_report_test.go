package e2e

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// llReport is what the page of lowlatency.js has to say.
type llReport struct {
	Requests  []llSent
	Errors    []string
	Waits     []llStall // where playing stood still for want of media
	Starved   []llStall // the same, where the page had not run for want of a processor
	Slept     float64   // ms: the longest that the page has not run
	Levels    []int
	Latencies []struct{ HLS, Behind float64 } // seconds, by hls.js and by the date of what is shown
	Change    *llChange
	URIs      []string // of the variants, as the master has them
	Played    float64  // seconds of media
	Wall      float64  // seconds of clock
	Done      bool
}

// llStall is where playing stood still: seconds of media, and ms of the page.
type llStall struct{ Media, At float64 }

// llSent is a request as the page sent it.
type llSent struct {
	request
	Range      string
	Aborted    bool
	Sent, Took int // ms of the page
}

// llChange is the change of variant, and what the playlist said then of the other renditions.
type llChange struct {
	Requests int    // sent before
	Playlist string // that was playing, with the directives of its last reload
	Reports  []struct {
		URI       string
		MSN, Part int
	}
}

// llPlay waits until the page has played so many seconds.
func llPlay(t *testing.T, page *browser, seconds int) (r llReport) {
	t.Helper()
	eventually(t, time.Duration(3*seconds+60)*time.Second, "hls.js plays", func() error {
		if err := page.eval("report", &r); err != nil {
			return err
		}
		if !r.Done {
			return fmt.Errorf("%.1f s played; errors: %q", r.Played, r.Errors)
		}
		return nil
	})
	page.quiet(t)
	return r
}

// starved tells whether the page, or its player, had no processor for longer than a player so close to live can bear.
func (r *llReport) starved() bool { return len(r.Starved) > 0 || r.Slept > 300 }

// smooth: no error, no stall, the first variant and then the second, never slower than the clock, and no transfer cut short.
func (r *llReport) smooth(t *testing.T, complain complain, seconds int) {
	t.Helper()
	for _, err := range r.Errors {
		complain("hls.js: %s", err)
	}
	if len(r.Waits)+len(r.Starved) > 0 {
		complain("hls.js stalls at %v, %v", r.Waits, r.Starved)
	}
	if r.Played < float64(seconds) || r.Wall > r.Played+1 {
		complain("played %.2f s in %.2f s", r.Played, r.Wall)
	}
	if !slices.Equal(r.Levels, []int{0, 1}) {
		complain("the variants played were %v, want the first and then the second", r.Levels)
	}
	for _, q := range r.Requests {
		switch good := q.Status == 200 || q.Status == 206; {
		case q.Aborted && !q.path(t).playlist():
			complain("aborted: %s (%s)", q.URL, q.Range)
		case !good && !q.Aborted:
			t.Errorf("status %d for %s (%s)", q.Status, q.URL, q.Range)
		}
	}
	if t.Failed() {
		r.show(t)
	}
}

// show logs what the page asked for, and when.
func (r *llReport) show(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, q := range r.Requests {
		p := q.path(t)
		fmt.Fprintf(&b, "%6d ms, %4d: %s/%s %s %s %s %d, %d bytes\n", q.Sent, q.Took, p.track, p.name,
			p.query.Get("_HLS_msn"), p.query.Get("_HLS_part"), q.Range, q.Status, q.Bytes)
	}
	t.Logf("what the page asked for:\n%s", b.String())
}

// llPath is a URL of the origin's or of the edge's: …/track/name.
type llPath struct {
	track, name string
	query       url.Values
}

func (q llSent) path(t testing.TB) llPath {
	t.Helper()
	u, err := url.Parse(q.URL)
	if err != nil {
		t.Fatal(err)
	}
	return llPath{track: path.Base(path.Dir(u.Path)), name: path.Base(u.Path), query: u.Query()}
}

func (p llPath) playlist() bool { return strings.HasSuffix(p.name, ".m3u8") }

// kind is what a request is for, in words; requests of the same kind may differ in numbers only.
func (p llPath) kind(ranges string) string {
	kind := "segment"
	switch {
	case p.playlist():
		kind = strings.TrimSuffix(p.name, ".m3u8")
		for _, d := range []string{"_HLS_msn", "_HLS_part", "_HLS_skip"} {
			if p.query.Has(d) {
				kind += " " + d
			}
		}
	case p.name == "init.mp4":
		kind = "init"
	case ranges != "":
		kind = "range"
	case strings.Count(p.name, ".") == 2:
		kind = "part"
	}
	return kind
}

// kinds counts the requests of each kind.
func (r *llReport) kinds(t testing.TB) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, q := range r.Requests {
		counts[q.path(t).kind(q.Range)]++
	}
	return counts
}

// media sums what the page received of media: bytes, and the parts of the timed tracks, by their number from the first on; and whether it all
// came whole.
func (r *llReport) media(t testing.TB, s *llShow) (bytes int64, parts map[int]bool, whole bool) {
	t.Helper()
	parts, whole = make(map[int]bool), true
	for _, q := range r.Requests {
		p := q.path(t)
		if p.playlist() {
			continue
		}
		bytes += q.Bytes
		whole = whole && !q.Aborted
		for _, k := range s.tracks {
			if k.name == p.track && k != s.sound {
				for _, part := range k.within(t, p.name, q.Range) {
					parts[part] = true
				}
			}
		}
	}
	return bytes, parts, whole
}

// within are the parts that a resource, or a range of it, consists of.
func (k *llTrack) within(t testing.TB, name, ranges string) (parts []int) {
	t.Helper()
	segment, part, isMedia := readMediaName(name)
	if !isMedia {
		return nil
	}
	if part >= 0 {
		return []int{segment*llParts + part}
	}
	from, to := 0, openEnd
	if ranges != "" {
		if _, err := fmt.Sscanf(ranges, "bytes=%d-%d", &from, &to); err != nil {
			t.Fatalf("range %q: %v", ranges, err)
		}
	}
	for part := segment * llParts; part < (segment+1)*llParts; part++ {
		if at := k.offset(part); at >= from && at+len(k.part[part])-1 <= to {
			parts = append(parts, part)
		}
	}
	return parts
}

// once: nothing was asked for twice, nor a segment whose parts had come.
func (r *llReport) once(t *testing.T, complain complain, s *llShow) {
	t.Helper()
	had := make(map[string]bool)
	var again []string
	for _, q := range r.Requests {
		p := q.path(t)
		for _, k := range s.tracks {
			if k.name != p.track || p.playlist() {
				continue
			}
			keys := []string{q.URL + q.Range}
			for _, part := range k.within(t, p.name, q.Range) {
				keys = append(keys, fmt.Sprint(k.name, part))
			}
			if slices.ContainsFunc(keys, func(key string) bool { return had[key] }) {
				again = append(again, fmt.Sprintf("%s/%s %s", p.track, p.name, q.Range))
			}
			for _, key := range keys {
				had[key] = true
			}
		}
	}
	if len(again) > 0 {
		complain("asked for though all or some of it had come: %d times, %v", len(again), again[:min(len(again), 10)])
	}
}

// latency is how far the player is behind live in the end, in seconds: the median of the last third.
func (r *llReport) latency() (hls, behind float64) {
	last := r.Latencies[len(r.Latencies)*2/3:]
	var hs, bs []float64
	for _, l := range last {
		hs, bs = append(hs, l.HLS), append(bs, l.Behind)
	}
	slices.Sort(hs)
	slices.Sort(bs)
	return hs[len(hs)/2], bs[len(bs)/2]
}

// reported: the first reload of the new variant waits for what the report in the old one's playlist named, at the URL that the master had.
func (r *llReport) reported(t *testing.T, complain complain) {
	t.Helper()
	c := r.Change
	if c == nil {
		complain("the variant was not changed")
		return
	}
	base, err := url.Parse(c.Playlist)
	if err != nil {
		t.Fatal(err)
	}
	for _, report := range c.Reports {
		u, err := base.Parse(report.URI)
		if err != nil {
			t.Fatal(err)
		}
		if u.String() != r.URIs[1] {
			continue
		}
		// For what it names, or, where that was some time ago, for the part after.
		named := []string{fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", report.MSN, report.Part),
			fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", report.MSN, report.Part+1)}
		if got := r.firstOf(t, r.URIs[1]); !slices.Contains(named, got) {
			complain("the report says segment %d, part %d; the first reload of the new variant asks for %q", report.MSN, report.Part, got)
		}
		return
	}
	t.Errorf("the master has the new variant at %s; no report matches: %+v", r.URIs[1], c.Reports)
}

// firstOf are the directives of the first request for a playlist after the change.
func (r *llReport) firstOf(t *testing.T, playlist string) string {
	t.Helper()
	for _, q := range r.Requests[r.Change.Requests:] {
		u, err := url.Parse(q.URL)
		if err != nil {
			t.Fatal(err)
		}
		if withoutDirectives(u) == playlist {
			return strings.TrimLeft(strings.TrimPrefix(q.URL, playlist), "?&")
		}
	}
	return "nothing"
}
