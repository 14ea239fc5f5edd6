package playlist

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const resourceDir = "http://packager:8000/live/"

var testStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// seg is a line of a made-up playlist.
type seg struct {
	uri  string
	dur  float64
	tags string    // lines before EXTINF
	pdt  time.Time // zero is none
}

// window writes a media playlist. layout is how dates are written.
func window(t testing.TB, first int, layout string, ended bool, segs ...seg) *Media {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:%d\n", first)
	for _, s := range segs {
		if !s.pdt.IsZero() {
			fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.pdt.Format(layout))
		}
		b.WriteString(s.tags)
		if s.uri != "" {
			fmt.Fprintf(&b, "#EXTINF:%.5f,\n%s\n", s.dur, s.uri)
		}
	}
	if ended {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	doc, err := Parse([]byte(b.String()), mustURL(t, resourceDir+"index.m3u8"))
	if err != nil || doc.Media == nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	return doc.Media
}

const (
	layoutMillis = "2006-01-02T15:04:05.000Z07:00"
	layoutWhole  = "2006-01-02T15:04:05Z07:00"
)

// numbered is n segments named prefix-N.ts of equal length, dated if dated.
func numbered(prefix string, first, n int, length time.Duration, dated bool) []seg {
	segs := make([]seg, n)
	for i := range segs {
		segs[i] = seg{uri: fmt.Sprintf("%s-%d.ts", prefix, first+i), dur: length.Seconds()}
		if dated {
			segs[i].pdt = testStart.Add(time.Duration(first+i) * length)
		}
	}
	return segs
}

// get is a whole segment delivered.
func get(t testing.TB, g *Group, path, uri string) []Span {
	t.Helper()
	spans, class, known := g.Locate(path, resourceDir+uri, 0, 1000, 1000, nil)
	if !known || class != ClassSegment {
		t.Fatalf("%s in %s: class %v, known %v", uri, path, class, known)
	}
	return spans
}

func near(got, want time.Duration, share float64) bool {
	d := float64(got - want)
	return max(d, -d) <= share*float64(want)
}

func TestReloadKeepsPositions(t *testing.T) {
	for _, dated := range []bool{true, false} {
		g := NewGroup()
		first := map[string]Span{}
		now := testStart
		for v := range 30 {
			segs := numbered("s", v, 5, 6*time.Second, dated)
			for i := range segs { // each reload writes the dates a little differently
				if dated {
					segs[i].pdt = segs[i].pdt.Add(time.Duration((v*7)%20) * time.Millisecond)
				}
			}
			g.Update("p", RoleVariant, window(t, v, layoutMillis, false, segs...), now)
			for _, s := range segs {
				sp := get(t, g, "p", s.uri)[0]
				if was, ok := first[s.uri]; ok && was != sp {
					t.Fatalf("dated %v: %s moved from %v to %v", dated, s.uri, was, sp)
				}
				first[s.uri] = sp
			}
			now = now.Add(6 * time.Second)
		}
	}
}

// TestRoundingLosesNothing: a thousand segments, with dates and durations rounded by the packager in several
// ways. What a listener to all of them is given must be what the playlists say.
func TestRoundingLosesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		layout string
		length float64 // true seconds
		round  float64 // of EXTINF
		jitter time.Duration
	}{
		"millisecond dates, 1024/44100 frames": {layoutMillis, 258 * 1024 / 44100.0, 1000, 0},
		"29.97 frames":                         {layoutMillis, 180 * 1001 / 30000.0, 1000, 0},
		"jitter of 20 ms":                      {layoutMillis, 6.006, 100000, 20 * time.Millisecond},
		"whole-second dates":                   {layoutWhole, 5.994, 1000, 0},
		"whole-second dates, short segments":   {layoutWhole, 1.92, 1000, 0},
		"no dates":                             {"", 6.006, 1000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g, cov := NewGroup(), coverage{}
			const n, listed = 1000, 6
			var all []seg
			for i := range n {
				at := testStart.Add(time.Duration(float64(i) * c.length * 1e9))
				if c.jitter > 0 {
					at = at.Add(time.Duration(rnd.Int64N(int64(2*c.jitter))) - c.jitter)
				}
				s := seg{uri: fmt.Sprintf("s-%d.ts", i), dur: float64(int(c.length*c.round+0.5)) / c.round}
				if c.layout != "" {
					s.pdt = at
				}
				all = append(all, s)
			}
			var sum, got time.Duration
			for v := 0; v+listed <= n; v++ {
				now := testStart.Add(time.Duration(float64(v) * c.length * 1e9))
				g.Update("p", RoleVariant, window(t, v, c.layout, false, all[v:v+listed]...), now)
				for i := v; i < v+listed; i++ {
					if v == 0 || i == v+listed-1 {
						sum += time.Duration(all[i].dur * 1e9)
						got += cov.add(get(t, g, "p", all[i].uri))
					}
				}
			}
			t.Logf("%v of %v, short by %.4f%%, %d intervals", got, sum, 100*(1-float64(got)/float64(sum)), len(cov[1])+len(cov[2]))
			if !near(got, sum, 0.001) {
				t.Errorf("counted %v of %v", got, sum)
			}
		})
	}
}

func TestSwitchAndRetryCountOnce(t *testing.T) {
	for name, c := range map[string]struct{ dated, whole bool }{
		"dated": {true, false}, "whole seconds": {true, true}, "by sequence": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			layout := layoutMillis
			if c.whole {
				layout = layoutWhole
			}
			g, cov := NewGroup(), coverage{}
			now := testStart
			var got time.Duration
			for v := range 50 {
				for _, p := range []string{"low", "mid", "high"} {
					segs := numbered(p, v, 5, 5994*time.Millisecond, c.dated)
					g.Update(p, RoleVariant, window(t, v, layout, false, segs...), now)
				}
				from := v + 4
				if v == 0 {
					from = 0
				}
				for i := from; i < v+5; i++ {
					for _, p := range []string{"low", "mid", "high", "low"} {
						got += cov.add(get(t, g, p, fmt.Sprintf("%s-%d.ts", p, i)))
					}
				}
				now = now.Add(5994 * time.Millisecond)
			}
			if want := 54 * 5994 * time.Millisecond; !near(got, want, 0.0001) {
				t.Errorf("counted %v, want %v", got, want)
			}
		})
	}
}

// TestSameDateIsSamePlace: the second playlist is first seen later, and dates its segments alike, though both
// drifted from their dates meanwhile: the same date is the same place.
func TestSameDateIsSamePlace(t *testing.T) {
	g := NewGroup()
	a := numbered("a", 0, 20, 5900*time.Millisecond, true)
	for i := range a {
		a[i].pdt = testStart.Add(time.Duration(i) * 5940 * time.Millisecond) // 40 ms of drift, then a jump
	}
	b := append([]seg(nil), a[10:]...)
	for i := range b {
		b[i].uri = fmt.Sprintf("b-%d.ts", 10+i)
	}
	g.Update("a", RoleVariant, window(t, 0, layoutMillis, true, a...), testStart)
	g.Update("b", RoleVariant, window(t, 110, layoutMillis, true, b...), testStart)
	for i := range b {
		sa, sb := get(t, g, "a", a[10+i].uri), get(t, g, "b", b[i].uri)
		if sa[0] != sb[0] {
			t.Errorf("segment %d at %v and %v", i, sa[0], sb[0])
		}
	}
}

func TestCutOffTransferCountsItsShare(t *testing.T) {
	for _, dated := range []bool{true, false} {
		g, cov := NewGroup(), coverage{}
		g.Update("p", RoleVariant, window(t, 7, layoutMillis, false, numbered("s", 7, 3, 6*time.Second, dated)...), testStart)
		var got time.Duration
		for _, piece := range [][2]int64{{0, 250}, {0, 250}, {250, 500}, {900, 5000}} {
			spans, _, _ := g.Locate("p", resourceDir+"s-8.ts", piece[0], piece[1], 1000, nil)
			got += cov.add(spans)
		}
		if got.Round(time.Millisecond) != 3600*time.Millisecond {
			t.Errorf("dated %v: %v, want 3.6s", dated, got)
		}
		for _, piece := range [][3]int64{{0, 500, -1}, {500, 500, 1000}, {600, 500, 1000}, {0, 1, 0}, {1000, 2000, 1000}} {
			if spans, class, known := g.Locate("p", resourceDir+"s-8.ts", piece[0], piece[1], piece[2], nil); len(spans) > 0 || class != ClassSegment || !known {
				t.Errorf("%v: %v %v %v", piece, spans, class, known)
			}
		}
	}
}

func TestOnlyVariantsCarryTime(t *testing.T) {
	for role, want := range map[Role]int{RoleVariant: 1, RoleRendition: 0, RoleIFrame: 0} {
		g := NewGroup()
		g.Update("p", role, window(t, 0, layoutMillis, false, numbered("s", 0, 3, 6*time.Second, true)...), testStart)
		if spans := get(t, g, "p", "s-1.ts"); len(spans) != want {
			t.Errorf("%v: %v", role, spans)
		}
	}
}

func TestClassesAndFind(t *testing.T) {
	g := NewGroup()
	m := window(t, 0, layoutMillis, false,
		seg{tags: "#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k.bin\"\n", uri: "a.ts", dur: 6},
		seg{tags: "#EXT-X-GAP\n", uri: "gap.ts", dur: 6})
	g.Update("v", RoleVariant, m, testStart)
	g.Update("i", RoleIFrame, m, testStart.Add(time.Second))
	for uri, want := range map[string]Class{"init.mp4": ClassInit, "k.bin": ClassKey, "a.ts": ClassSegment, "gap.ts": ClassSegment, "x.ts": ClassOther} {
		spans, class, known := g.Locate("v", resourceDir+uri, 0, 10, 10, nil)
		if class != want || !known || (len(spans) > 0) != (uri == "a.ts") {
			t.Errorf("%s: %v %v %v", uri, spans, class, known)
		}
		path, role, ok := g.Find(resourceDir + uri)
		if ok != (want != ClassOther) || ok && (path != "v" || role != RoleVariant) {
			t.Errorf("%s is found in %q as %v, %v", uri, path, role, ok)
		}
	}
	if _, _, known := g.Locate("cold", resourceDir+"a.ts", 0, 10, 10, nil); known || g.Known("cold") || !g.Known("v") {
		t.Error("a path never updated is known")
	}
	if d := g.TypicalDuration("v"); d != 6*time.Second || g.TypicalDuration("cold") != 0 {
		t.Errorf("typical %v", d)
	}
}

// TestVariantStaysVariant: somebody opens a rendition directly while others reach it through the master.
func TestVariantStaysVariant(t *testing.T) {
	g := NewGroup()
	upd := func(role Role, v int) {
		g.Update("p", role, window(t, v, layoutMillis, false, numbered("s", v, 5, 6*time.Second, true)...), testStart)
	}
	upd(RoleRendition, 0)
	upd(RoleVariant, 1)
	was := get(t, g, "p", "s-4.ts")
	upd(RoleRendition, 2)
	if is := get(t, g, "p", "s-4.ts"); len(was) != 1 || len(is) != 1 || is[0] != was[0] {
		t.Errorf("%v, then %v", was, is)
	}
}

func TestNewestOccurrenceOfARepeatedResource(t *testing.T) {
	g := NewGroup()
	segs := numbered("s", 0, 4, 6*time.Second, true)
	segs[3].uri = segs[0].uri
	g.Update("p", RoleVariant, window(t, 0, layoutMillis, false, segs...), testStart)
	if sp := get(t, g, "p", "s-0.ts"); len(sp) != 1 || sp[0].From != testStart.Add(18*time.Second).UnixMicro() {
		t.Errorf("%v", sp)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	g := NewGroup()
	done := make(chan bool)
	for w := range 4 {
		go func() {
			defer func() { done <- true }()
			path := fmt.Sprint(w % 2)
			for v := range 50 {
				m := window(t, v, layoutMillis, false, numbered("s"+path, v, 5, 6*time.Second, true)...)
				g.Update(path, RoleVariant, m, testStart.Add(time.Duration(v)*6*time.Second))
				g.Locate(path, resourceDir+fmt.Sprintf("s%s-%d.ts", path, v), 0, 1, 2, nil)
				g.Find(resourceDir + fmt.Sprintf("s%s-%d.ts", path, v))
				g.TypicalDuration(path)
			}
		}()
	}
	for range 4 {
		<-done
	}
}

// TestURIsThatChangeAtEachReload: a token in path or query names the same segment anew; it stays in its place,
// and a player may still ask by a name it got a while ago: for ever where only the query changes.
func TestURIsThatChangeAtEachReload(t *testing.T) {
	for _, form := range []string{"tok%d/s-1.ts", "s-1.ts?tok=%d"} {
		g := NewGroup()
		var was Span
		const reloads = 15
		for v := range reloads {
			g.Update("p", RoleVariant, window(t, 1, "", false, seg{uri: fmt.Sprintf(form, v), dur: 6}), testStart)
			sp := get(t, g, "p", fmt.Sprintf(form, v))[0]
			if v > 0 && sp != was {
				t.Fatalf("moved from %v to %v", was, sp)
			}
			was = sp
		}
		for v := range reloads {
			_, class, _ := g.Locate("p", resourceDir+fmt.Sprintf(form, v), 0, 1, 1, nil)
			if want := v >= reloads-1-maxFormer || strings.Contains(form, "?"); (class == ClassSegment) != want {
				t.Errorf("name %d is %v", v, class)
			}
		}
	}
}
