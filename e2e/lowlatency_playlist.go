package e2e

import (
	"fmt"
	"strings"
	"time"
)

const (
	llWindow    = 10           // whole segments in a playlist
	llSkipUntil = 6 * llTarget // what is further from the end than that, a delta update leaves out
	llHoldBack  = 8 * llPart   // at least three; a machine busy with other tests may pause a page
)

// query is what follows the path of a playlist's URI.
func (s *llShow) query() string {
	if s.feed == "" {
		return ""
	}
	return "?" + s.feed
}

// master is the multivariant playlist.
func (s *llShow) master() string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	if s.sound != nil {
		fmt.Fprintf(&b, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"1\",URI=\"%s/index.m3u8%s\"\n",
			s.sound.name, s.query())
	}
	for n, k := range s.tracks {
		if k == s.sound {
			continue
		}
		more := `,CODECS="mp4a.40.2"`
		if s.sound != nil {
			more = `,CODECS="avc1.42c00d,mp4a.40.2",AUDIO="a"`
		}
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d%s\n%s/index.m3u8%s\n", 800_000/(n+1), more, k.name, s.query())
	}
	return b.String()
}

// playlist is a track's, when it and its fellows have so many parts. With skip it is a delta update, if there is anything to leave out.
func (s *llShow) playlist(k *llTrack, air time.Time, published func(*llTrack) int, skip bool) string {
	parts := published(k)
	first := max(0, parts/llParts-llWindow)
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:%.0f\n", llTarget.Seconds())
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=%.1f,HOLD-BACK=%.1f,PART-HOLD-BACK=%.2f\n",
		llSkipUntil.Seconds(), (3 * llTarget).Seconds(), llHoldBack.Seconds())
	fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=%.5f\n#EXT-X-MEDIA-SEQUENCE:%d\n", llPart.Seconds(), llFirst+first)
	from := first
	if skip {
		// The skip boundary is so far from the end of the playlist, parts included.
		from = max(first, int((time.Duration(parts)*llPart-llSkipUntil)/llSegment))
	}
	if from > first {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", from-first)
	} else {
		b.WriteString("#EXT-X-MAP:URI=\"init.mp4\"\n") // belongs to the first segment, and goes with it
	}
	for n := from; n*llParts < parts; n++ {
		s.segment(&b, k, n, parts, air)
	}
	s.hint(&b, k, parts)
	for _, other := range s.tracks {
		if other != k {
			last := published(other) - 1
			fmt.Fprintf(&b, "#EXT-X-RENDITION-REPORT:URI=\"../%s/index.m3u8%s\",LAST-MSN=%d,LAST-PART=%d\n",
				other.name, s.query(), llFirst+last/llParts, last%llParts)
		}
	}
	return b.String()
}

// segment writes one, or as much as there is of it. Parts leave the playlist three target durations behind its end.
func (s *llShow) segment(b *strings.Builder, k *llTrack, n, parts int, air time.Time) {
	begin, end := n*llParts, min((n+1)*llParts, parts)
	fmt.Fprintf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", air.Add(time.Duration(begin)*llPart).UTC().Format("2006-01-02T15:04:05.000Z"))
	for part := begin; part < end; part++ {
		if time.Duration(parts-part)*llPart > 3*llTarget {
			continue
		}
		fmt.Fprintf(b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"", llPart.Seconds(), s.partURI(part))
		if s.ranged {
			fmt.Fprintf(b, ",BYTERANGE=\"%d@%d\"", len(k.part[part]), k.offset(part))
		}
		if part%k.anchor == 0 {
			b.WriteString(",INDEPENDENT=YES")
		}
		b.WriteByte('\n')
	}
	if end == begin+llParts {
		fmt.Fprintf(b, "#EXTINF:%.5f,\n%d.m4s\n", llSegment.Seconds(), llFirst+n)
	}
}

// hint names the part to come. Nobody knows yet how long it will be.
func (s *llShow) hint(b *strings.Builder, k *llTrack, part int) {
	if part >= len(k.part) {
		return
	}
	fmt.Fprintf(b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"", s.partURI(part))
	if s.ranged {
		fmt.Fprintf(b, ",BYTERANGE-START=%d", k.offset(part))
	}
	b.WriteByte('\n')
}

func (s *llShow) partURI(part int) string {
	if s.ranged {
		return fmt.Sprintf("%d.m4s", llFirst+part/llParts)
	}
	return fmt.Sprintf("%d.%d.m4s", llFirst+part/llParts, part%llParts)
}
