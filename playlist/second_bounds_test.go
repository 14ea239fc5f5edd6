package playlist

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"earshot/playlist/playlisttest"
)

// What a splice and a parse may cost, in counts, which are the same on a busy machine.

// longestSession is the longest id in bytes that the edge takes.
const longestSession = 128

// TestSpliceAllocatesOnce: once from nothing, and not at all where the destination is large enough, whatever the
// playlist.
func TestSpliceAllocatesOnce(t *testing.T) {
	cases := append(loadCases(t), boundsCase(t, "vod of 2000 segments", playlisttest.Live(0, 2000, 6*time.Second)+"#EXT-X-ENDLIST\n"),
		boundsCase(t, "master", playlisttest.Master(40)), boundsCase(t, "low latency", lowLatencyNow))
	for _, c := range cases {
		for _, rebase := range []bool{c.rebase, true} {
			doc, err := Parse(c.in, c.base)
			if err != nil {
				t.Fatal(err)
			}
			plan := doc.Plan(prefixMapper(c.mounts), rebase)
			add := Additions{Session: strings.Repeat("é", longestSession/2), Grant: benchAdd.Grant, MasterGrant: benchAdd.Grant, KeyGrant: benchAdd.Grant}
			var dst []byte
			if n := testing.AllocsPerRun(20, func() { dst = plan.Splice(nil, &add) }); n < 1 || n > 1+raceAllocates {
				t.Errorf("%s: %v allocations from nil", c.name, n)
			}
			if n := testing.AllocsPerRun(20, func() { dst = plan.Splice(dst[:0], &add) }); n != 0 {
				t.Errorf("%s: %v allocations into %d bytes for %d", c.name, n, cap(dst), len(dst))
			}
		}
	}
}

func boundsCase(t *testing.T, name, text string) testCase {
	return testCase{name: name, in: []byte(text), mounts: samePlace, base: mustURL(t, "http://packager:8000/live/index.m3u8")}
}

// TestCostGrowsWithSize: four times the playlist costs at most five times the bytes and allocations of a parse and
// of a plan.
func TestCostGrowsWithSize(t *testing.T) {
	const n = 1500
	repeat := func(line string) func(int) string {
		return func(n int) string { return "#EXTM3U\n" + strings.Repeat(line, n) }
	}
	count := func(format string) func(int) string {
		return func(n int) string {
			var b strings.Builder
			b.WriteString("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-DEFINE:NAME=\"v\",VALUE=\"dir\"\n")
			for i := range n {
				fmt.Fprintf(&b, format, i)
			}
			return b.String()
		}
	}
	for name, text := range map[string]func(int) string{
		"segments":  func(n int) string { return playlisttest.Live(0, n, 6*time.Second) },
		"master":    playlisttest.Master,
		"variables": count("#EXTINF:6,\n{$v}/%d.ts?a{$v}\n"),
		"absolute":  count("#EXTINF:6,\nhttp://packager:8000/live/a/../%d.ts#f\n"),
		"ours":      count("#EXTINF:6,\n%d.ts?earshot=old&a=1\n"),
		"parts":     count("#EXT-X-PART:DURATION=0.5,URI=\"part%d.mp4\"\n"),
		"ranges":    count("#EXTINF:6,\n#EXT-X-BYTERANGE:1%d\nall.mp4\n"),
		"keys":      count("#EXT-X-KEY:METHOD=AES-128,URI=\"k%d\"\n#EXTINF:6,\nall.mp4\n"),
		"maps":      repeat("#EXT-X-MAP:URI=\"i\",URI=\"j\"\n"),
		"broken":    repeat("#EXT-X-MAP:URI=\"i\n"),
	} {
		t.Run(name, func(t *testing.T) {
			small, large := parseCost(t, text(n)), parseCost(t, text(4*n))
			if large.bytes > 5*small.bytes || large.allocs > 5*small.allocs {
				t.Errorf("%d segments cost %+v, %d cost %+v", n, small, 4*n, large)
			}
			t.Logf("%+v, then %+v", small, large)
		})
	}
}

type cost struct{ bytes, allocs uint64 }

// parseCost is the least of a few runs, for other goroutines allocate too.
func parseCost(t *testing.T, text string) cost {
	t.Helper()
	base := mustURL(t, "http://packager:8000/live/index.m3u8")
	mapper := prefixMapper(samePlace)
	least := cost{^uint64(0), ^uint64(0)}
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		doc, err := Parse([]byte(text), base)
		if err != nil {
			t.Fatal(err)
		}
		plan := doc.Plan(mapper, false)
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(plan)
		least.bytes = min(least.bytes, after.TotalAlloc-before.TotalAlloc)
		least.allocs = min(least.allocs, after.Mallocs-before.Mallocs)
	}
	return least
}
