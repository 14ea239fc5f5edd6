package playlist

import (
	"testing"
	"time"
)

func parseMedia(t *testing.T, text string) *Media {
	t.Helper()
	doc, err := Parse([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:6\n"+text), mustURL(t, resourceDir+"index.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Media
}

func TestImpliedByteRanges(t *testing.T) {
	m := parseMedia(t, `#EXTINF:4,
#EXT-X-BYTERANGE:100@50
a.ts
#EXT-X-BYTERANGE:200
#EXTINF:4,
a.ts
#EXTINF:4,
#EXT-X-BYTERANGE:300
b.ts
#EXTINF:4,
c.ts
#EXTINF:4,
#EXT-X-BYTERANGE:10
c.ts
#EXT-X-BYTERANGE:broken
d.ts
`)
	for i, want := range [][2]int64{{50, 100}, {150, 200}, {0, 300}, {0, -1}, {0, 10}, {0, -1}} {
		if s := m.Segments[i]; s.Offset != want[0] || s.Length != want[1] {
			t.Errorf("segment %d: %d@%d, want %d@%d", i, s.Length, s.Offset, want[1], want[0])
		}
	}
}

func TestDates(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro()
	m := parseMedia(t, `#EXTINF:1.5,
a
#EXTINF:2.0000005,
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05Z
b
#EXTINF:2.0000005,
c
#EXTINF:1,
d
#EXT-X-DISCONTINUITY
#EXTINF:1,
e
#EXTINF:1,
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:05:05.000Z
f
#EXT-X-DISCONTINUITY
#EXTINF:1,
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z
g
`)
	for i, want := range []Segment{
		{PDT: at - 1500000, PDTPrecision: time.Second},
		{PDT: at, PDTGiven: true, PDTPrecision: time.Second},
		{PDT: at + 2000000, PDTPrecision: time.Second},
		{PDT: at + 4000001, PDTPrecision: time.Second},
		{PDT: at + 59000000, PDTPrecision: time.Millisecond, Discontinuity: true},
		{PDT: at + 60000000, PDTGiven: true, PDTPrecision: time.Millisecond},
		{PDT: 1, PDTGiven: true, PDTPrecision: time.Millisecond, Discontinuity: true},
	} {
		s := m.Segments[i]
		if s.PDT != want.PDT || s.PDTGiven != want.PDTGiven || s.PDTPrecision != want.PDTPrecision || s.Discontinuity != want.Discontinuity {
			t.Errorf("segment %d: %+v, want %+v", i, s, want)
		}
	}
}

func TestMediaTags(t *testing.T) {
	m := parseMedia(t, `#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-SKIP:SKIPPED-SEGMENTS=10
#EXTINF:4,
#EXT-X-GAP
a.ts
#EXT-X-PART:DURATION=0.5,URI="p.mp4",BYTERANGE="10@20"
#EXT-X-PART:DURATION=0.4,URI="p.mp4",BYTERANGE="30",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p.mp4",BYTERANGE-START=60
#EXT-X-ENDLIST
`)
	if m.TargetDuration != 6*time.Second || m.Sequence != 100 || m.Skipped != 10 || m.DiscontinuitySequence != 3 ||
		m.PartTarget != 500*time.Millisecond || !m.Ended || m.IFramesOnly || len(m.Hints) != 1 {
		t.Errorf("%+v", m)
	}
	if len(m.Segments) != 2 {
		t.Fatal(m.Segments)
	}
	if s := m.Segments[0]; s.Seq != 110 || !s.Gap || s.Provisional {
		t.Errorf("%+v", s)
	}
	s := m.Segments[1]
	if s.Seq != 111 || !s.Provisional || s.Resource != "" || s.Duration != 900*time.Millisecond || len(s.Parts) != 2 {
		t.Fatalf("%+v", s)
	}
	p := s.Parts[1]
	if p.Offset != 30 || p.Length != 30 || !p.Gap || p.Resource != resourceDir+"p.mp4" {
		t.Errorf("%+v", p)
	}
}

func TestHostileNumbersAreNone(t *testing.T) {
	m := parseMedia(t, `#EXT-X-MEDIA-SEQUENCE:99999999999999999999999
#EXT-X-SKIP:SKIPPED-SEGMENTS=-5
#EXTINF:1e308,
a.ts
#EXTINF:-6,
b.ts
`)
	if m.Sequence != 0 || m.Skipped != 0 || m.Window() != 0 || m.Typical() != 0 || m.Segments[1].Seq != 1 {
		t.Errorf("%+v", m)
	}
}
