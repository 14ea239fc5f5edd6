package playlist

import (
	"fmt"
	"testing"
	"time"
)

func TestByteRanges(t *testing.T) {
	g := NewGroup()
	m := window(t, 0, layoutMillis, true,
		seg{tags: "#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"100@0\"\n#EXT-X-BYTERANGE:1000@100\n", uri: "all.mp4", dur: 4, pdt: testStart},
		seg{tags: "#EXT-X-BYTERANGE:2000\n", uri: "all.mp4", dur: 6},
		seg{tags: "#EXT-X-BYTERANGE:500\n", uri: "all.mp4", dur: 2})
	g.Update("p", RoleVariant, m, testStart)
	for _, c := range []struct {
		from, to int64
		want     time.Duration
		class    Class
	}{
		{100, 1100, 4 * time.Second, ClassSegment},
		{1100, 3100, 6 * time.Second, ClassSegment},
		{0, 3600, 12 * time.Second, ClassSegment},
		{600, 2100, 5 * time.Second, ClassSegment},
		{0, 100, 0, ClassInit},
		{3600, 9999, 0, ClassInit},
		{0, 1100, 4 * time.Second, ClassSegment},
	} {
		spans, class, _ := g.Locate("p", resourceDir+"all.mp4", c.from, c.to, -1, nil)
		if got := (coverage{}).add(spans); got != c.want || class != c.class {
			t.Errorf("[%d,%d): %v %v, want %v %v", c.from, c.to, got, class, c.want, c.class)
		}
	}
}

// TestPartsThenWhole: a player that loads the parts as they come, then the whole segment, then a part again.
func TestPartsThenWhole(t *testing.T) {
	for _, dated := range []bool{true, false} {
		g, cov := NewGroup(), coverage{}
		pdt := func(i int) (at time.Time) {
			if dated {
				at = testStart.Add(time.Duration(i) * 6 * time.Second)
			}
			return at
		}
		parts := func(n, to int) (s string) {
			for i := range to {
				s += fmt.Sprintf("#EXT-X-PART:DURATION=2.00000,URI=\"p%d.%d.mp4\"\n", n, i)
			}
			return s
		}
		part := func(uri string) (d time.Duration) {
			spans, class, _ := g.Locate("p", resourceDir+uri, 0, 10, 10, nil)
			if class != ClassPart {
				t.Fatalf("%s is %v", uri, class)
			}
			return cov.add(spans)
		}
		full := seg{uri: "s-0.ts", dur: 6, pdt: pdt(0)}
		var got time.Duration
		for n := range 3 {
			g.Update("p", RoleVariant, window(t, 0, layoutMillis, false, full, seg{tags: parts(1, n+1) +
				fmt.Sprintf("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p1.%d.mp4\"\n", n+1), pdt: pdt(1)}), testStart)
			got += part(fmt.Sprintf("p1.%d.mp4", n))
			if d := part(fmt.Sprintf("p1.%d.mp4", n+1)); d != 0 {
				t.Errorf("a hinted part is worth %v", d)
			}
		}
		if got.Round(time.Microsecond*50) != 6*time.Second {
			t.Errorf("dated %v: parts are worth %v", dated, got)
		}
		g.Update("p", RoleVariant, window(t, 0, layoutMillis, false, full, seg{tags: parts(1, 3), uri: "s-1.ts", dur: 6, pdt: pdt(1)},
			seg{tags: parts(2, 1), pdt: pdt(2)}), testStart)
		got += cov.add(get(t, g, "p", "s-1.ts"))
		got += part("p1.1.mp4")
		if got.Round(time.Microsecond*50) != 6*time.Second {
			t.Errorf("dated %v: with the whole segment %v", dated, got)
		}
		got += part("p2.0.mp4")
		// A later version lists the segment without its parts; they are remembered.
		g.Update("p", RoleVariant, window(t, 1, layoutMillis, false, seg{uri: "s-1.ts", dur: 6, pdt: pdt(1)}, seg{uri: "s-2.ts", dur: 6, pdt: pdt(2)}), testStart)
		got += part("p1.2.mp4") + part("p2.0.mp4")
		got += cov.add(get(t, g, "p", "s-2.ts"))
		if got.Round(time.Microsecond*50) != 12*time.Second {
			t.Errorf("dated %v: in the end %v", dated, got)
		}
	}
}

// TestPartsAsRangesOfTheSegment: parts that are byte ranges of the segment that they will be.
func TestPartsAsRangesOfTheSegment(t *testing.T) {
	const tags = "#EXT-X-PART:DURATION=2,URI=\"s.mp4\",BYTERANGE=\"100@0\"\n" +
		"#EXT-X-PART:DURATION=2,URI=\"s.mp4\",BYTERANGE=\"300\"\n" +
		"#EXT-X-PART:DURATION=2,URI=\"s.mp4\",BYTERANGE=\"200\"\n"
	g, cov := NewGroup(), coverage{}
	g.Update("p", RoleVariant, window(t, 0, layoutMillis, false, seg{tags: tags, pdt: testStart}), testStart)
	ask := func(from, to, total int64) (time.Duration, Class) {
		spans, class, _ := g.Locate("p", resourceDir+"s.mp4", from, to, total, nil)
		return cov.add(spans), class
	}
	if d, class := ask(0, 100, -1); d != 2*time.Second || class != ClassPart {
		t.Errorf("first part: %v %v", d, class)
	}
	if d, class := ask(100, 400, 600); d != 2*time.Second || class != ClassPart {
		t.Errorf("second part: %v %v", d, class)
	}
	g.Update("p", RoleVariant, window(t, 0, layoutMillis, false, seg{tags: tags, uri: "s.mp4", dur: 6, pdt: testStart}), testStart)
	if d, class := ask(0, 400, 600); d != 0 || class != ClassPart {
		t.Errorf("both again: %v %v", d, class)
	}
	if d, class := ask(0, 600, 600); d != 2*time.Second || class != ClassSegment {
		t.Errorf("the whole: %v %v", d, class)
	}
}

func TestByteRangesOutOfOrder(t *testing.T) {
	g, cov := NewGroup(), coverage{}
	var segs []seg
	for _, off := range []int{500, 100, 300, 0} {
		segs = append(segs, seg{tags: fmt.Sprintf("#EXT-X-BYTERANGE:100@%d\n", off), uri: "one.ts", dur: 5})
	}
	g.Update("p", RoleVariant, window(t, 0, "", true, segs...), testStart)
	for _, c := range []struct {
		from, to int64
		want     time.Duration
	}{{0, 100, 5 * time.Second}, {150, 350, 5 * time.Second}, {0, 1000, 10 * time.Second}} {
		spans, class, _ := g.Locate("p", resourceDir+"one.ts", c.from, c.to, 1000, nil)
		if got := cov.add(spans); got.Round(time.Millisecond) != c.want || class != ClassSegment {
			t.Errorf("[%d,%d): %v %v, want %v", c.from, c.to, got, class, c.want)
		}
	}
	if _, class, _ := g.Locate("p", resourceDir+"one.ts", 200, 300, 1000, nil); class.String() != "segment" {
		t.Errorf("between the ranges: %v", class)
	}
}
