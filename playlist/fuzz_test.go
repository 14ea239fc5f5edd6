package playlist

import (
	"net/url"
	"testing"
	"time"
)

// secondLargest bounds what the second parser, which is clear and not fast, is given by a fuzzer.
const secondLargest = 64 << 10

// FuzzSplice holds the properties of a splice for any input, also against the second parser, and that nothing
// panics.
func FuzzSplice(f *testing.F) {
	for _, c := range loadCases(f) {
		f.Add(c.in, c.base.RequestURI())
		f.Add(c.out, c.base.RequestURI())
	}
	for _, line := range oddLines {
		f.Add(oddPlaylist(line), "/live/index.m3u8")
	}
	f.Fuzz(func(t *testing.T, in []byte, path string) {
		base, err := url.Parse("http://packager:8000" + path)
		if err != nil || base.Host != "packager:8000" || base.User != nil {
			base = nil
		}
		if base == nil { // a path at the edge would mean nothing the second time
			if doc, err := Parse(in, nil); err == nil {
				doc.Plan(prefixMapper(samePlace), true).Splice(nil, &Additions{Session: "s", Grant: "g"})
			}
			return
		}
		if _, err := Parse(in, base); err != nil {
			return
		}
		checkProperties(t, in, base)
		if len(in) <= secondLargest {
			checkSecond(t, in, base)
		}
	})
}

// FuzzGroup feeds two versions of a playlist and asks for all that they name: no panic, no empty span, no span
// worth more than the segment, and the same position as long as the playlist does not begin anew.
func FuzzGroup(f *testing.F) {
	for _, c := range loadCases(f) {
		f.Add(c.in, c.out, int64(10), int64(500), int64(1000))
	}
	few := longParts(3)
	f.Add([]byte(few+"#EXTINF:0.0003,\ns.ts\n"), []byte(few+"#EXT-X-TARGETDURATION:6\n"), int64(0), int64(10), int64(10))
	for _, pair := range [][2]string{ // queries that tell segments apart, tokens, and both
		{"#EXTINF:6,\ns?n=1\n", "#EXTINF:6,\ns?n=1\n#EXTINF:6,\ns?n=2\n"},
		{"#EXT-X-PART:DURATION=1,URI=\"p?t=1\"\n#EXTINF:6,\ns?t=1\n", "#EXT-X-PART:DURATION=1,URI=\"p?t=2\"\n#EXTINF:6,\ns?t=2\n"},
		{"#EXTINF:6,\ns\n#EXT-X-BYTERANGE:9@0\n#EXTINF:6,\nr?t=1\n", "#EXTINF:6,\ns?t=2\n#EXT-X-BYTERANGE:9@0\n#EXTINF:6,\nr?t=2\n"},
	} {
		f.Add([]byte("#EXTM3U\n"+pair[0]), []byte("#EXTM3U\n"+pair[1]), int64(0), int64(10), int64(10))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, from, to, total int64) {
		base := &url.URL{Scheme: "http", Host: "packager:8000", Path: "/live/index.m3u8"}
		now := time.Unix(1_700_000_000, 0)
		g := NewGroup()
		for i, body := range [][]byte{a, b, a} {
			doc, err := Parse(body, base)
			if err != nil || doc.Media == nil {
				continue
			}
			fresh := !g.Known("p")
			g.Update("p", RoleVariant, doc.Media, now.Add(time.Duration(i)*time.Minute))
			g.Update("q", Role(i%3), doc.Media, now.Add(time.Duration(i)*time.Minute))
			for j := range doc.Media.Segments {
				s := &doc.Media.Segments[j]
				checkLocate(t, g, s.Resource, from, to, total)
				checkFind(t, g, s.Resource)
				for k := range s.Parts {
					checkLocate(t, g, s.Parts[k].Resource, from, to, total)
					if fresh { // parts that go by other names later are not taken in again
						checkFind(t, g, s.Parts[k].Resource)
					}
				}
			}
		}
	})
}

func checkLocate(t *testing.T, g *Group, resource string, from, to, total int64) {
	for _, path := range []string{"p", "q"} {
		spans, _, known := g.Locate(path, resource, from, to, total, nil)
		if !known {
			t.Fatalf("%s is not known", path)
		}
		for _, s := range spans {
			if s.To <= s.From || s.Worth < 0 || s.Worth > maxDuration*2 || s.Axis == 0 {
				t.Fatalf("Locate(%s, %d, %d, %d): %+v", resource, from, to, total, s)
			}
		}
	}
}

func checkFind(t *testing.T, g *Group, resource string) {
	if resource != "" {
		if _, _, ok := g.Find(resource); !ok {
			t.Fatalf("%s is not found", resource)
		}
	}
}

// FuzzStripQuery holds that stripping is stable, and that what it leaves was there.
func FuzzStripQuery(f *testing.F) {
	for _, q := range []string{"", "a=1", "earshot=1", "&earshot=1&", "a=b;c=d&earshot", "%65arshot=1&a=%zz", "CMCD=x&&"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		once := StripQuery(q, SessionParam, GrantParam, CMCDParam)
		if twice := StripQuery(once, SessionParam, GrantParam, CMCDParam); twice != once {
			t.Fatalf("%q, then %q", once, twice)
		}
		if len(once) > len(q) {
			t.Fatalf("%q from %q", once, q)
		}
		if StripQuery(q) != q {
			t.Fatalf("%q changed without names", q)
		}
	})
}

// FuzzNumbers holds the ranges of what the number readers believe.
func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"6.006", "1e308", "-1", "NaN", "99999999999", "75232@0", "2026-01-02T03:04:05.678+01:00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if d := parseSeconds(b); d < 0 || d > maxDuration {
			t.Fatal(d)
		}
		if n := parseNumber(b); n < 0 || n > maxNumber {
			t.Fatal(n)
		}
		if l, o, _, _ := parseRange(b); l < 0 || o < 0 || l > maxNumber || o > maxNumber {
			t.Fatal(l, o)
		}
		parseDateTime(b)
	})
}
