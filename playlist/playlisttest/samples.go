// Package playlisttest writes playlists of the kinds that benchmarks are about.
package playlisttest

import (
	"fmt"
	"strings"
	"time"
)

// Base is where the samples come from.
const Base = "http://packager:8000/live/index.m3u8"

// Sample is a playlist by name.
type Sample struct{ Name, Text string }

// Samples are the five that speed is quoted for.
func Samples() []Sample {
	return []Sample{
		{"master6", Master(6)},
		{"live10", Live(2680, 10, 6*time.Second)},
		{"dvr600", Live(2680, 600, 6*time.Second)},
		{"vod2000", VOD(2000)},
		{"lowlatency12", LowLatency(2680, 12)},
	}
}

// Master is a master of n variants.
func Master(n int) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	for i := range n {
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000\n",
			(i+1)*800_000, (i+1)*700_000)
		fmt.Fprintf(&b, "v%d/index.m3u8\n", i)
	}
	return b.String()
}

// Live is a window of n segments, dated, that begins with number first. Windows of one stream agree on their segments.
func Live(first, n int, length time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", length/time.Second, first)
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%.6f,\nseg-%d.ts\n", date(i, length), length.Seconds(), i)
	}
	return b.String()
}

func date(i int, length time.Duration) string {
	start := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	return start.Add(time.Duration(i) * length).Format("2006-01-02T15:04:05.000Z")
}

// VOD is a film of n segments.
func VOD(n int) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n")
	for i := range n {
		fmt.Fprintf(&b, "#EXTINF:6.006000,\nseg-%05d.ts\n", i)
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	return b.String()
}

// LowLatency is a window of n segments of four seconds, of which the last three and the one to come have parts (rfc8216bis, Appendix B).
func LowLatency(first, n int) string {
	const length, parts = 4 * time.Second, 12
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n"+
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0\n#EXT-X-PART-INF:PART-TARGET=0.33334\n"+
		"#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-MAP:URI=\"init.mp4\"\n", first)
	part := func(i, k int) {
		fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.33334,URI=\"part-%d.%d.m4s\"%s\n", i, k, map[bool]string{true: ",INDEPENDENT=YES"}[k == 0])
	}
	last := first + n
	for i := first; i < last; i++ {
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", date(i, length))
		for k := 0; k < parts && i >= last-3; k++ {
			part(i, k)
		}
		fmt.Fprintf(&b, "#EXTINF:4.00008,\nseg-%d.m4s\n", i)
	}
	for k := range 5 {
		part(last, k)
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-%d.5.m4s\"\n", last)
	for _, name := range []string{"lo", "hi"} {
		fmt.Fprintf(&b, "#EXT-X-RENDITION-REPORT:URI=\"../%s/index.m3u8\",LAST-MSN=%d,LAST-PART=4\n", name, last)
	}
	return b.String()
}
