package playlist

import (
	"slices"
	"time"
)

// Media is what a media playlist says of its segments (RFC 8216, 4.3.2 and 4.3.3; rfc8216bis, 4.4.3 to 4.4.5).
// It is immutable and shares no memory with the body.
type Media struct {
	TargetDuration        time.Duration
	PartTarget            time.Duration // of EXT-X-PART-INF; 0 if there is none
	Sequence              int64         // EXT-X-MEDIA-SEQUENCE: number of the first segment, skipped ones included
	DiscontinuitySequence int64
	Skipped               int64 // segments that a delta update leaves out; Segments begins after them
	Ended                 bool  // EXT-X-ENDLIST
	IFramesOnly           bool
	Segments              []Segment           // by ascending Seq, without gaps
	Keys                  map[string]struct{} // Resource of every EXT-X-KEY and EXT-X-SESSION-KEY URI; may be nil
	Maps                  map[string]struct{} // Resource of every EXT-X-MAP URI; may be nil
	Hints                 []Hint              // EXT-X-PRELOAD-HINT
}

// Segment is one media segment. A provisional one, last in the list, has parts but no Resource yet.
type Segment struct {
	Resource     string        // "" if the URI does not resolve to the web, or for a provisional segment
	Seq          int64         // media sequence number
	Duration     time.Duration // EXTINF; of a provisional segment the sum of its parts so far, at most 24 h
	Offset       int64         // of the byte range
	Length       int64         // of the byte range; -1 is the whole resource
	PDT          int64         // start in Unix µs, given or derived from a neighbour's by adding durations; 0 is none
	PDTGiven     bool          // the playlist itself dates this segment
	PDTPrecision time.Duration // of the date that PDT comes from: 1s if it had no fraction, else 1ms
	Parts        []Part

	Discontinuity bool // between the segment before and this one
	Gap           bool // EXT-X-GAP: there is nothing to load
	Provisional   bool // parts of a segment whose EXTINF is still to come
}

// Part is one partial segment (rfc8216bis, 4.4.4.9).
type Part struct {
	Resource string
	Duration time.Duration
	Offset   int64
	Length   int64 // -1 is the whole resource
	Gap      bool
}

// Hint is a resource that is to come (rfc8216bis, 4.4.5.3). It has no duration yet.
type Hint struct {
	Resource string
	Map      bool // of TYPE=MAP, else a part
}

// Window is the sum of the durations listed. At most maxSegments of maxDuration: int64 holds that, though not thrice.
func (m *Media) Window() time.Duration {
	var sum time.Duration
	for i := range m.Segments {
		sum += m.Segments[i].Duration
	}
	return sum
}

// Typical is the median duration of the segments, from a sample of at most a hundred; 0 if there is none.
func (m *Media) Typical() time.Duration {
	const sample = 100
	var buf [sample + 1]time.Duration
	ds := buf[:0]
	step := 1 + len(m.Segments)/sample
	for i := 0; i < len(m.Segments); i += step {
		if s := &m.Segments[i]; s.Resource != "" && s.Duration > 0 {
			ds = append(ds, s.Duration)
		}
	}
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// mediaBuilder gathers a Media. The tags before a URI line describe pend, the segment it will name.
type mediaBuilder struct {
	m       *Media
	pend    Segment
	implied bool // pend has a byte range without an offset

	end      int64 // where the byte range of the last segment ended
	lastPart Part
	parts    int // of the whole document

	// The running date: base and what has been added to it since.
	dated     bool
	base      int64 // Unix µs
	elapsed   time.Duration
	precision time.Duration
}

func newMediaBuilder() *mediaBuilder {
	return &mediaBuilder{m: &Media{}, pend: Segment{Length: -1}}
}

// segment ends the pending segment with its URI. It returns false when there are too many.
func (b *mediaBuilder) segment(res string) bool {
	if len(b.m.Segments) >= maxSegments {
		return false
	}
	s := b.pend
	s.Resource = res
	if b.implied {
		s.Offset = b.impliedOffset(res)
	}
	b.end = s.Offset + max(0, s.Length)
	b.date(&s)
	b.m.Segments = append(b.m.Segments, s)
	b.pend, b.implied = Segment{Length: -1}, false
	return true
}

// impliedOffset continues the sub-range of the segment before, if that is of the same resource
// (RFC 8216, 4.3.2.2).
func (b *mediaBuilder) impliedOffset(res string) int64 {
	n := len(b.m.Segments)
	if n == 0 || b.m.Segments[n-1].Resource != res || b.m.Segments[n-1].Length < 0 || b.end > maxNumber {
		return 0
	}
	return b.end
}

// date gives the segment its date and moves the running date past it. No sum overflows: a date is in µs and of a year of
// four digits, and maxSegments of maxDuration are less than int64 holds, in ns.
func (b *mediaBuilder) date(s *Segment) {
	if s.Discontinuity && !s.PDTGiven {
		b.dated = false
	}
	if s.PDTGiven {
		b.dated, b.base, b.elapsed, b.precision = true, s.PDT, 0, s.PDTPrecision
	}
	if b.dated {
		s.PDT, s.PDTPrecision = dateNotNone(b.base+b.elapsed.Microseconds()), b.precision
	}
	b.elapsed += s.Duration
}

// dateNotNone keeps a date at the epoch itself apart from none, by a microsecond.
func dateNotNone(pdt int64) int64 {
	if pdt == 0 {
		return 1
	}
	return pdt
}

func (b *mediaBuilder) finish() *Media {
	m := b.m
	if len(b.pend.Parts) > 0 && len(m.Segments) < maxSegments {
		for i := range b.pend.Parts {
			b.pend.Duration = min(b.pend.Duration+b.pend.Parts[i].Duration, maxDuration)
		}
		b.pend.Length, b.pend.Offset, b.pend.Provisional = -1, 0, true
		b.date(&b.pend)
		m.Segments = append(m.Segments, b.pend)
	}
	for i := range m.Segments {
		m.Segments[i].Seq = m.Sequence + m.Skipped + int64(i)
	}
	// Segments before the first date are dated backwards from it (RFC 8216, 6.3.3).
	for i := len(m.Segments) - 2; i >= 0; i-- {
		s, after := &m.Segments[i], &m.Segments[i+1]
		if s.PDT == 0 && after.PDT != 0 && !after.Discontinuity {
			s.PDT = dateNotNone(after.PDT - s.Duration.Microseconds())
			s.PDTPrecision = after.PDTPrecision
		}
	}
	return m
}
