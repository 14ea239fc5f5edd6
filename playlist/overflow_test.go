package playlist

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// longParts is n parts of 24 hours: their sum is more than int64 holds from 106,752 on.
func longParts(n int) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	for i := range n {
		fmt.Fprintf(&b, "#EXT-X-PART:DURATION=86400,URI=\"%x\"\n", i)
	}
	return b.String()
}

// TestPartsWithoutEnd: no part begins before its segment, or later than the longest segment ends.
func TestPartsWithoutEnd(t *testing.T) {
	n := 160_000
	if testing.Short() {
		n = 40_000
	}
	provisional := longParts(n)
	for name, body := range map[string]string{
		"whole": provisional + "#EXTINF:0.0003,\ns.ts\n", "provisional": provisional + "#EXT-X-TARGETDURATION:6\n",
		"dated": strings.Replace(provisional, "\n", "\n#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z\n", 1) + "#EXTINF:0.0003,\ns.ts\n",
	} {
		doc, err := Parse([]byte(body), mustURL(t, resourceDir+"index.m3u8"))
		if err != nil {
			t.Fatal(name, err)
		}
		if w := doc.Media.Window(); w < 0 || w > maxDuration {
			t.Errorf("%s: a window of %v", name, w)
		}
		g := NewGroup()
		g.Update("p", RoleVariant, doc.Media, testStart)
		g.Update("q", RoleVariant, doc.Media, testStart)
		e := g.lines["p"].placed[0]
		for i := range e.parts {
			if at := e.parts[i].at; at < 0 || at > maxDuration {
				t.Fatalf("%s: part %d begins at %v", name, i, at)
			}
		}
		for _, i := range []int{0, 1, n / 2, n - 1} {
			checkLocate(t, g, fmt.Sprintf("%s%x", resourceDir, i), 0, 10, 10)
		}
	}
}

// TestLongWindowIsKept: three times its length is more than int64 holds; its segments are not forgotten for that.
func TestLongWindowIsKept(t *testing.T) {
	segments := strings.Repeat("#EXTINF:86400,\ns.ts\n", maxSegments/2)
	parse := func(first int) *Media {
		body := fmt.Sprintf("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:86400,\n%d.ts\n%s", first, first, segments)
		doc, err := Parse([]byte(body), mustURL(t, resourceDir+"index.m3u8"))
		if err != nil {
			t.Fatal(err)
		}
		return doc.Media
	}
	g := NewGroup()
	g.Update("p", RoleVariant, parse(0), testStart)
	g.Update("p", RoleVariant, parse(1), testStart.Add(time.Hour))
	g.Update("p", RoleVariant, parse(2), testStart.Add(2*time.Hour))
	get(t, g, "p", "0.ts")
}

// TestShareTakesAnything: what a part is of a whole lies within it.
func TestShareTakesAnything(t *testing.T) {
	for _, c := range []struct{ part, want int64 }{
		{math.MinInt64, 0}, {-1, 0}, {0, 0}, {1, 3}, {300_000, 1 << 20}, {300_001, 1 << 20}, {math.MaxInt64, 1 << 20},
	} {
		if got := share(1<<20, c.part, 300_000); got != c.want {
			t.Errorf("share of %d is %d, want %d", c.part, got, c.want)
		}
	}
}

// TestPartsAreBounded: of a document, with a URI or without; and of a segment that versions without end add to.
func TestPartsAreBounded(t *testing.T) {
	base := mustURL(t, resourceDir+"index.m3u8")
	const part = "#EXT-X-PART:DURATION=1\n"
	if _, err := Parse([]byte("#EXTM3U\n"+strings.Repeat(part, maxParts)), base); err != nil {
		t.Errorf("%d parts: %v", maxParts, err)
	}
	if _, err := Parse([]byte("#EXTM3U\n"+strings.Repeat(part, maxParts+1)), base); err != ErrTooLarge {
		t.Errorf("%d parts: %v", maxParts+1, err)
	}
	g := NewGroup()
	const each = maxParts/2 + 1
	for v := range 3 {
		s := Segment{Provisional: true, Length: -1}
		for i := range each {
			s.Parts = append(s.Parts, Part{Resource: "r", Duration: 1, Offset: int64(v*(each-1) + i), Length: 1})
		}
		g.Update("p", RoleVariant, &Media{Segments: []Segment{s}}, testStart)
	}
	if n := len(g.lines["p"].placed[0].parts); n != maxParts {
		t.Errorf("a segment of %d parts", n)
	}
}
