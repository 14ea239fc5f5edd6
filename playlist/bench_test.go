package playlist

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The playlists of the design's table: a master of 6 variants, a live window, two hours of DVR. The dates make
// a window that moves, as an origin's does.

func masterText(variants int) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	for i := range variants {
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000\n",
			(i+1)*800_000, (i+1)*700_000)
		fmt.Fprintf(&b, "v%d/index.m3u8\n", i)
	}
	return b.String()
}

func liveText(first, n int, length time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:%d\n", first)
	start := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	for i := first; i < first+n; i++ {
		at := start.Add(time.Duration(i) * length)
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%.6f,\nseg-%d.ts\n", at.Format("2006-01-02T15:04:05.000Z"), length.Seconds(), i)
	}
	return b.String()
}

var benchTexts = []struct{ name, text string }{
	{"master6", masterText(6)},
	{"live10", liveText(2680, 10, 6*time.Second)},
	{"dvr600", liveText(2680, 600, 6*time.Second)},
}

var benchAdd = Additions{
	Session: "3f2a9c41e0b84d7796c1d2e3f4a5b6c7",
	Grant:   "a.eyJzIjoiM2YyYTljNDFlMGI4NGQ3Nzk2YzFkMmUzZjRhNWI2YzciLCJnIjoibmV3cyJ9.Zm9vYmFyYmF6cXV4Zm9v",
}

func benchDocument(b *testing.B, text string) *Document {
	doc, err := Parse([]byte(text), &url.URL{Scheme: "http", Host: "packager:8000", Path: "/live/index.m3u8"})
	if err != nil {
		b.Fatal(err)
	}
	return doc
}

func BenchmarkSplice(b *testing.B) {
	for _, bt := range benchTexts {
		b.Run(bt.name, func(b *testing.B) {
			plan := benchDocument(b, bt.text).Plan(prefixMapper(samePlace), false)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = plan.Splice(dst[:0], &benchAdd)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

// BenchmarkCopy is what a splice is measured against: a bare copy of what it makes.
func BenchmarkCopy(b *testing.B) {
	for _, bt := range benchTexts {
		b.Run(bt.name, func(b *testing.B) {
			src := benchDocument(b, bt.text).Plan(prefixMapper(samePlace), false).Splice(nil, &benchAdd)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = append(dst[:0], src...)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

// BenchmarkParse and BenchmarkPlan are paid once for each version of a playlist, whoever listens.
func BenchmarkParse(b *testing.B) {
	for _, bt := range benchTexts {
		b.Run(bt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchDocument(b, bt.text)
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, bt := range benchTexts {
		b.Run(bt.name, func(b *testing.B) {
			doc := benchDocument(b, bt.text)
			m := prefixMapper(samePlace)
			b.ReportAllocs()
			for b.Loop() {
				doc.Plan(m, false)
			}
		})
	}
}

// BenchmarkUpdate places a window that moves by one segment each time.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{10, 600} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var versions []*Media
			for i := range 100 {
				versions = append(versions, benchDocument(b, liveText(2680+i, n, 6*time.Second)).Media)
			}
			g, now := NewGroup(), time.Unix(1_700_000_000, 0)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i%len(versions) == 0 {
					g = NewGroup()
				}
				now = now.Add(6 * time.Second)
				g.Update("p", RoleVariant, versions[i%len(versions)], now)
				i++
			}
		})
	}
}

func BenchmarkLocate(b *testing.B) {
	g := NewGroup()
	g.Update("p", RoleVariant, benchDocument(b, liveText(2680, 600, 6*time.Second)).Media, time.Unix(1_700_000_000, 0))
	var spans []Span
	b.ReportAllocs()
	for b.Loop() {
		spans, _, _ = g.Locate("p", "http://packager:8000/live/seg-2900.ts", 0, 65536, 65536, spans[:0])
	}
	if len(spans) != 1 {
		b.Fatal(spans)
	}
}
