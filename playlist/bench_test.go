package playlist

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"earshot/playlist/playlisttest"
)

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
	for _, bt := range playlisttest.Samples() {
		b.Run(bt.Name, func(b *testing.B) {
			plan := benchDocument(b, bt.Text).Plan(prefixMapper(samePlace), false)
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
	for _, bt := range playlisttest.Samples() {
		b.Run(bt.Name, func(b *testing.B) {
			src := benchDocument(b, bt.Text).Plan(prefixMapper(samePlace), false).Splice(nil, &benchAdd)
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
	for _, bt := range playlisttest.Samples() {
		b.Run(bt.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchDocument(b, bt.Text)
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, bt := range playlisttest.Samples() {
		b.Run(bt.Name, func(b *testing.B) {
			doc := benchDocument(b, bt.Text)
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
				versions = append(versions, benchDocument(b, playlisttest.Live(2680+i, n, 6*time.Second)).Media)
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

// BenchmarkUpdateTokens is the same window polled by listener after listener, each with a token of his own in all queries.
func BenchmarkUpdateTokens(b *testing.B) {
	var versions []*Media
	for i := range 100 {
		text := strings.ReplaceAll(playlisttest.Live(2680, 600, 6*time.Second), ".ts", fmt.Sprintf(".ts?token=%d", i))
		versions = append(versions, benchDocument(b, text).Media)
	}
	g, now := NewGroup(), time.Unix(1_700_000_000, 0)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		g.Update("p", RoleVariant, versions[i%len(versions)], now)
		i++
	}
}

// BenchmarkLocateToken asks by a token that no version had.
func BenchmarkLocateToken(b *testing.B) {
	g := NewGroup()
	text := strings.ReplaceAll(playlisttest.Live(2680, 600, 6*time.Second), ".ts", ".ts?token=A")
	g.Update("p", RoleVariant, benchDocument(b, text).Media, time.Unix(1_700_000_000, 0))
	var spans []Span
	b.ReportAllocs()
	for b.Loop() {
		spans, _, _ = g.Locate("p", "http://packager:8000/live/seg-2900.ts?token=B", 0, 65536, 65536, spans[:0])
	}
}

func BenchmarkLocate(b *testing.B) {
	g := NewGroup()
	g.Update("p", RoleVariant, benchDocument(b, playlisttest.Live(2680, 600, 6*time.Second)).Media, time.Unix(1_700_000_000, 0))
	var spans []Span
	b.ReportAllocs()
	for b.Loop() {
		spans, _, _ = g.Locate("p", "http://packager:8000/live/seg-2900.ts", 0, 65536, 65536, spans[:0])
	}
	if len(spans) != 1 {
		b.Fatal(spans)
	}
}
