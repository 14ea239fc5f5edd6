package playlist

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// ask is what a playlist "p" has of a whole resource.
func ask(g *Group, name string) ([]Span, Class) {
	spans, class, _ := g.Locate("p", resourceDir+name, 0, 1000, 1000, nil)
	return spans, class
}

// tokens is a version as one listener gets it.
func tokens(t *testing.T, first int, token string, form ...string) *Media {
	t.Helper()
	segs := make([]seg, 0, len(form))
	for _, f := range form {
		segs = append(segs, seg{uri: fmt.Sprintf(f, token), dur: 6})
	}
	return window(t, first, "", false, segs...)
}

// TestTokensOfListeners: every listener's names of a segment are one place, however many poll in between, and also those that no
// version had that we saw.
func TestTokensOfListeners(t *testing.T) {
	for name, without := range map[string]bool{"the first has a token": false, "the first has none": true} {
		g := NewGroup()
		if without {
			g.Update("p", RoleVariant, tokens(t, 1, "", "s1.ts%s", "s2.ts%s", "s3.ts%s"), testStart)
		}
		for i := range 20 {
			g.Update("p", RoleVariant, tokens(t, 1, fmt.Sprint("?token=", i), "s1.ts%s", "s2.ts%s", "s3.ts%s"), testStart)
		}
		for _, n := range []string{"s1.ts", "s2.ts", "s3.ts"} {
			want, _ := ask(g, n+"?token=0")
			for _, token := range []string{"?token=0", "?token=10", "?token=19", "?token=99", ""} {
				got, class := ask(g, n+token)
				if class != ClassSegment || len(got) != 1 || !slices.Equal(got, want) {
					t.Errorf("%s: %s%s is %v %v, not %v", name, n, token, class, got, want)
				}
				if path, _, ok := g.Find(resourceDir + n + token); !ok || path != "p" {
					t.Errorf("%s: %s%s is not found", name, n, token)
				}
			}
		}
		if _, class := ask(g, "s4.ts?token=0"); class != ClassOther {
			t.Errorf("%s: another path is %v", name, class)
		}
	}
}

// TestQueriesThatTellSegmentsApart: there a query that is not listed says nothing.
func TestQueriesThatTellSegmentsApart(t *testing.T) {
	for name, windows := range map[string][][]string{
		"in one window":          {{"s.ts?n=1%s", "s.ts?n=2%s", "s.ts?n=3%s"}},
		"in windows of one":      {{"s.ts?n=1%s"}, {"s.ts?n=2%s"}, {"s.ts?n=3%s"}},
		"one more at each poll":  {{"s.ts?n=1%s"}, {"s.ts?n=1%s", "s.ts?n=2%s"}, {"s.ts?n=1%s", "s.ts?n=2%s", "s.ts?n=3%s"}},
		"the first without":      {{"s.ts%s"}, {"s.ts%s", "s.ts?n=2%s"}},
		"the window moves along": {{"s.ts?n=1%s", "s.ts?n=2%s"}, {"s.ts?n=2%s", "s.ts?n=3%s"}},
	} {
		for _, tokened := range []bool{false, true} {
			if tokened && name == "the first without" {
				continue
			}
			g := NewGroup()
			axis := map[int64]string{}
			var last []string
			for v, forms := range windows {
				token := ""
				if tokened {
					token = fmt.Sprint("&t=", v)
				}
				first := 1
				if len(forms) == 1 || name == "the window moves along" {
					first += v
				}
				g.Update("p", RoleVariant, tokens(t, first, token, forms...), testStart)
				last = last[:0]
				for _, f := range forms {
					last = append(last, fmt.Sprintf(f, token))
				}
				for _, n := range last {
					spans, class := ask(g, n)
					if class != ClassSegment || len(spans) != 1 {
						t.Fatalf("%s: %s is %v %v after version %d", name, n, class, spans, v)
					}
				}
			}
			for _, n := range last {
				spans, _ := ask(g, n)
				if was := axis[spans[0].From]; was != "" {
					t.Errorf("%s: %s and %s are at one place", name, was, n)
				}
				axis[spans[0].From] = n
			}
			if spans, class := ask(g, "s.ts?n=99"); class != ClassOther || len(spans) > 0 {
				t.Errorf("%s: n=99 is %v %v", name, class, spans)
			}
		}
	}
}

// TestTokensOfAllElse: ranges of one file, parts, what is hinted at, init sections and keys.
func TestTokensOfAllElse(t *testing.T) {
	g := NewGroup()
	version := func(token string, parts int) {
		tags := fmt.Sprintf("#EXT-X-KEY:METHOD=AES-128,URI=\"k?t=%s\"\n#EXT-X-MAP:URI=\"all.mp4?t=%s\",BYTERANGE=\"100@0\"\n#EXT-X-BYTERANGE:1000@100\n", token, token)
		partTags := ""
		for i := range parts {
			partTags += fmt.Sprintf("#EXT-X-PART:DURATION=2,URI=\"p%d.mp4?t=%s\"\n", i, token)
		}
		partTags += fmt.Sprintf("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p%d.mp4?t=%s\"\n", parts, token)
		g.Update("p", RoleVariant, window(t, 1, "", false, seg{tags: tags, uri: "all.mp4?t=" + token, dur: 4},
			seg{tags: "#EXT-X-BYTERANGE:2000@1100\n", uri: "all.mp4?t=" + token, dur: 6}, seg{tags: partTags}), testStart)
	}
	for i := range 20 {
		version(fmt.Sprint(i), 1+i/10)
	}
	for _, token := range []string{"0", "10", "19", "99"} {
		for _, c := range []struct {
			name     string
			from, to int64
			class    Class
			worth    time.Duration
		}{
			{"all.mp4", 0, 100, ClassInit, 0}, {"all.mp4", 100, 1100, ClassSegment, 4 * time.Second},
			{"all.mp4", 1100, 3100, ClassSegment, 6 * time.Second}, {"k", 0, 16, ClassKey, 0},
			{"p0.mp4", 0, 10, ClassPart, 2 * time.Second}, {"p1.mp4", 0, 10, ClassPart, 2 * time.Second},
			{"p2.mp4", 0, 10, ClassPart, 0},
		} {
			spans, class, _ := g.Locate("p", resourceDir+c.name+"?t="+token, c.from, c.to, c.to, nil)
			if got := (coverage{}).add(spans); class != c.class || got != c.worth {
				t.Errorf("%s of %s [%d, %d) is %v %v", c.name, token, c.from, c.to, class, got)
			}
		}
	}
}

// TestTokensAfterARestart: the segments of before give way to those of now.
func TestTokensAfterARestart(t *testing.T) {
	g := NewGroup()
	g.Update("p", RoleVariant, tokens(t, 50, "A", "s1.ts?t=%s", "s2.ts?t=%s"), testStart)
	was, _ := ask(g, "s1.ts?t=A")
	g.Update("p", RoleVariant, tokens(t, 0, "B", "s1.ts?t=%s", "s2.ts?t=%s"), testStart)
	now, class := ask(g, "s1.ts?t=C")
	if class != ClassSegment || len(now) != 1 || slices.Equal(was, now) {
		t.Errorf("%v %v after %v", class, now, was)
	}
}

// TestNamesDoNotHeapUp: a listener more is no name more, and what is forgotten leaves nothing.
func TestNamesDoNotHeapUp(t *testing.T) {
	for _, form := range []string{"s%[1]d.ts?t=%[2]d", "s.ts?n=%[1]d&t=%[2]d", "s%[1]d.ts"} {
		g := NewGroup()
		for v := range 2000 {
			var segs []seg
			for i := v / 4; i < v/4+3; i++ {
				uri := fmt.Sprintf(form, i, v)
				segs = append(segs, seg{uri: uri, dur: 6, tags: fmt.Sprintf("#EXT-X-MAP:URI=\"i.mp4?t=%d\"\n", v)})
			}
			g.Update("p", RoleVariant, window(t, v/4, "", false, segs...), testStart.Add(time.Duration(v)*time.Second))
			line := g.lines["p"]
			limit := 100 * (1 + maxFormer)
			if form == "s%[1]d.ts?t=%[2]d" {
				limit = 100
			}
			if n := len(line.shelves); n > limit || len(line.bares) > limit {
				t.Fatalf("%s: %d names of %d paths after %d versions", form, n, len(line.bares), v)
			}
		}
		line := g.lines["p"]
		for v := range 3 {
			g.Update("p", RoleVariant, window(t, 5000+v, "", false, seg{uri: "end.ts", dur: 6}), testStart.Add(time.Duration(24+v)*time.Hour))
		}
		if len(line.bares) != 0 || len(line.shelves) != 1 || len(line.others) != 0 {
			t.Errorf("%s: left are %d names, %d paths, %d listings", form, len(line.shelves), len(line.bares), len(line.others))
		}
	}
}
