package playlist

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafov/m3u8"
)

// samePlace is a mount whose paths at the edge are those at the origin, so that a spliced playlist can be
// spliced again.
var samePlace = [][2]string{{"http://packager:8000/live/", "/live/"}}

func spliceOnce(t testing.TB, in []byte, base *url.URL, a Additions) ([]byte, *Document, *Plan) {
	t.Helper()
	doc, err := Parse(in, base)
	if err != nil {
		t.Fatalf("%v: %q", err, in)
	}
	plan := doc.Plan(prefixMapper(samePlace), false)
	return plan.Splice(nil, &a), doc, plan
}

// checkProperties holds what must be true of any playlist.
func checkProperties(t testing.TB, in []byte, base *url.URL) {
	t.Helper()
	add := Additions{Session: "s 1", Grant: "g1", MasterGrant: "m1", KeyGrant: "k1"}
	once, doc, plan := spliceOnce(t, in, base, add)
	clean, _, _ := spliceOnce(t, in, base, Additions{})

	if again := plan.Splice(nil, &add); !bytes.Equal(again, once) {
		t.Fatalf("a plan spliced twice differs:\n%q\n%q", once, again)
	}
	twice, doc2, plan2 := spliceOnce(t, once, base, add)
	if !bytes.Equal(twice, once) {
		t.Fatalf("not idempotent:\n%q\n%q", once, twice)
	}
	if back, _, _ := spliceOnce(t, once, base, Additions{}); !bytes.Equal(back, clean) {
		t.Fatalf("taking ours out of\n%q\ngives\n%q\nwant\n%q", once, back, clean)
	}
	if bytes.Count(once, []byte("\n")) != bytes.Count(in, []byte("\n")) {
		t.Fatalf("lines were lost or made: %q to %q", in, once)
	}
	if len(plan.cuts) == 0 && plan.count != [owners]int{} || len(plan.cuts) != len(plan2.cuts) {
		t.Fatalf("%d places first, %d then", len(plan.cuts), len(plan2.cuts))
	}
	if doc.Kind != doc2.Kind || plan.HasBOM != plan2.HasBOM || !reflect.DeepEqual(doc.Media, doc2.Media) ||
		!reflect.DeepEqual(doc.Children, doc2.Children) || !reflect.DeepEqual(doc.Keys, doc2.Keys) {
		t.Fatalf("the spliced playlist means another thing:\n%q\n%+v\n%+v", once, doc.Media, doc2.Media)
	}
}

func TestPropertiesHoldForAllCases(t *testing.T) {
	for _, c := range loadCases(t) {
		t.Run(c.name, func(t *testing.T) { checkProperties(t, c.in, c.base) })
	}
}

// TestRemovalGivesInputBack: where the origin had no parameters of ours and no URI is moved, taking ours out of
// what a player got is what the origin sent.
func TestRemovalGivesInputBack(t *testing.T) {
	n := 0
	for _, c := range loadCases(t) {
		low := bytes.ToLower(c.in)
		if bytes.Contains(low, []byte("earshot")) || bytes.Contains(low, []byte("playback")) || bytes.Contains(c.in, []byte("%65")) {
			continue
		}
		clean, _, _ := spliceOnce(t, c.in, c.base, Additions{})
		if !bytes.Equal(clean, c.in) {
			continue // it holds absolute URLs of ours, which become paths
		}
		once, _, _ := spliceOnce(t, c.in, c.base, Additions{Session: "x", Grant: "y"})
		back, _, _ := spliceOnce(t, once, c.base, Additions{})
		if !bytes.Equal(back, c.in) {
			t.Errorf("%s: %q, want %q", c.name, back, c.in)
		}
		n++
	}
	if n < 30 {
		t.Errorf("only %d cases took part", n)
	}
}

// oracleLargest bounds what grafov/m3u8 is given by a fuzzer.
const oracleLargest = 64 << 10

// oracle is what grafov/m3u8 reads in a playlist: everything but where the URIs point, of which it keeps the last
// name. ok is false where it cannot read it. It knows neither parts nor variables.
func oracle(body []byte) (shape string, ok bool) {
	defer func() {
		if recover() != nil {
			shape, ok = "", false
		}
	}()
	if len(body) > oracleLargest {
		return "", false
	}
	p, kind, err := m3u8.Decode(*bytes.NewBuffer(bytes.Clone(body)), false)
	if err != nil {
		return "", false
	}
	var read any
	switch p := p.(type) {
	case *m3u8.MasterPlaylist:
		for _, v := range p.Variants {
			lastName(&v.URI)
			for _, a := range v.Alternatives {
				lastName(&a.URI)
			}
		}
		read = p
	case *m3u8.MediaPlaylist:
		p.StartTime, p.StartTimePrecise = 0, false // it reads attributes in the order of a map, and stops at a bad one: not twice the same
		p.Segments = slices.DeleteFunc(p.Segments, func(s *m3u8.MediaSegment) bool { return s == nil })
		lastNames(p.Key, p.Map)
		for _, s := range p.Segments {
			lastName(&s.URI)
			lastNames(s.Key, s.Map)
		}
		read = p
	}
	text, err := json.MarshalIndent(read, "", " ")
	return fmt.Sprintf("%d %s", kind, text), err == nil
}

// lastName leaves the last name of a URI's path. It may be done again: a key is shared by segments.
func lastName(uri *string) {
	hier, _, _ := splitURI(*uri)
	*uri = hier[strings.LastIndexByte(hier, '/')+1:]
}

func lastNames(k *m3u8.Key, m *m3u8.Map) {
	if k != nil {
		lastName(&k.URI)
	}
	if m != nil {
		lastName(&m.URI)
	}
}

func TestOracleReadsTheSame(t *testing.T) {
	n := 0
	for _, c := range loadCases(t) {
		before, ok := oracle(c.in)
		if !ok || c.rebase || strings.HasPrefix(c.name, "define-") {
			continue // it knows no variables
		}
		once, _, _ := spliceOnce(t, c.in, c.base, c.add)
		for _, out := range [][]byte{c.out, once} {
			if after, ok := oracle(out); !ok || after != before {
				t.Errorf("%s: read before\n%s\nafter\n%s", c.name, before, after)
			}
		}
		n++
	}
	if n < 20 {
		t.Errorf("only %d cases took part", n)
	}
}

func TestNotPlaylist(t *testing.T) {
	for _, body := range []string{"", "#EXTM3", "<html>", " #EXTM3U", "\ufeff\ufeff#EXTM3U", "\n#EXTM3U", "#EXTINF:1,\na.ts"} {
		if _, err := Parse([]byte(body), nil); err != ErrNotPlaylist {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestWithoutBaseOnlyAbsoluteResolves(t *testing.T) {
	doc, err := Parse([]byte("#EXTM3U\n#EXTINF:1,\na.ts\n#EXTINF:1,\nhttp://packager:8000/live/b.ts\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := doc.Plan(prefixMapper(samePlace), false)
	if got := string(plan.Splice(nil, &Additions{Session: "1"})); plan.Unresolved != 1 ||
		!strings.Contains(got, "\na.ts\n") || !strings.Contains(got, "\n/live/b.ts?X-Playback-Session-Id=1\n") {
		t.Errorf("%d unresolved: %q", plan.Unresolved, got)
	}
}

// TestHostileInputIsLinear: megabytes of what might be slow. The limit is generous; something quadratic in
// these would take many minutes.
func TestHostileInputIsLinear(t *testing.T) {
	size := 4 << 20
	if testing.Short() {
		size /= 4
	}
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	base := mustURL(t, "http://packager:8000/live/index.m3u8")
	for name, body := range map[string]string{
		"long line":       "#EXTINF:1,\n" + repeat("a"),
		"long tag":        "#EXT" + repeat("A"),
		"long query":      "#EXTINF:1,\na?" + repeat("&"),
		"ours in query":   "#EXTINF:1,\na?" + repeat("earshot=1&"),
		"long digits":     "#EXTINF:" + repeat("9") + ",\na.ts",
		"dot segments":    "#EXTINF:1,\n" + repeat("../"),
		"deep dots":       "#EXTINF:1,\n" + repeat("a/../"),
		"many names":      "#EXT-X-MAP:" + repeat("URI=,"),
		"quotes":          "#EXT-X-MAP:" + repeat("\"a=\""),
		"equals":          "#EXT-X-MAP:" + repeat("="),
		"keys":            "#EXTINF:1,\n" + repeat("#EXT-X-KEY:URI=a\n"),
		"ranges":          "#EXTINF:1,\n" + repeat("#EXT-X-BYTERANGE:9007199254740992\nu\n"),
		"defines":         repeat("#EXT-X-DEFINE:NAME=a,VALUE=b\n"),
		"exponential":     "#EXT-X-DEFINE:NAME=a,VALUE=bbbbbbbb\n" + repeat("#EXT-X-DEFINE:NAME=a,VALUE=\"{$a}{$a}\"\n"),
		"amplified":       "#EXT-X-DEFINE:NAME=a,VALUE=" + strings.Repeat("b", size/4) + "\n" + repeat("{$a}\n"),
		"open references": "#EXTINF:1,\n" + repeat("{$a"),
		"parts":           "#EXTINF:1,\n" + repeat("#EXT-X-PART:URI=a,DURATION=1\n"),
		"master":          repeat("#EXT-X-STREAM-INF:BANDWIDTH=1\nabc.m3u8\n"),
		"carriage":        repeat("\r"),
		"blank":           repeat("\n"),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			doc, err := Parse([]byte("#EXTM3U\n"+body), base)
			if err == nil {
				plan := doc.Plan(prefixMapper(samePlace), true)
				plan.Splice(nil, &Additions{Session: "s", Grant: "g"})
				if doc.Media != nil {
					g := NewGroup()
					g.Update("p", RoleVariant, doc.Media, began)
					g.Locate("p", "http://packager:8000/live/u", 0, 1<<40, 1<<40, nil)
				}
			} else if err != ErrTooLarge {
				t.Fatal(err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			} else {
				t.Logf("took %v, %v", took.Round(time.Millisecond), err)
			}
		})
	}
}

func TestTooManySegments(t *testing.T) {
	body := "#EXTM3U\n" + strings.Repeat("#EXTINF:1,\na\n", maxSegments)
	if _, err := Parse([]byte(body), nil); err != nil {
		t.Errorf("%d segments: %v", maxSegments, err)
	}
	if _, err := Parse([]byte(body+"b\n"), nil); err != ErrTooLarge {
		t.Errorf("one more: %v", err)
	}
}

func TestLongBaseUnderManySegments(t *testing.T) {
	base := mustURL(t, "http://packager:8000/"+strings.Repeat("d", 4096)+"/index.m3u8")
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	for i := range 50_000 {
		fmt.Fprintf(&b, "#EXTINF:1,\n%d\n", i)
	}
	if _, err := Parse([]byte(b.String()), base); err != ErrTooLarge {
		t.Error(err)
	}
}
