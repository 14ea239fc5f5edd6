package playlist

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"earshot/playlist/playlisttest"
)

// What the package reads in a media playlist, held to what the second parser reads. Numbers that are none by RFC
// 8216, 4.2 are left out: how the package reads those is in number_test.go.

var (
	secondSecondsRE = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,6})?$`)
	secondRangeRE   = regexp.MustCompile(`^([0-9]{1,12})(?:@([0-9]{1,12}))?$`)
	secondDateRE    = regexp.MustCompile(`^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[012][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][01][0-9]:[0-5][0-9])$`)
)

// checkMedia compares the segments, as far as they are written soundly.
func checkMedia(body []byte, doc *Document) error {
	p := readSecond(body, doc.Base, nil)
	if p.kind != "media" || doc.Media == nil || len(p.wild) > 0 || p.master {
		return nil
	}
	m := doc.Media
	if len(p.segments) != len(m.Segments) {
		return fmt.Errorf("%d segments, not %d", len(m.Segments), len(p.segments))
	}
	for i := range p.segments {
		if err := p.checkSegment(&p.segments[i], &m.Segments[i]); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		if want := m.Sequence + m.Skipped + int64(i); m.Segments[i].Seq != want {
			return fmt.Errorf("segment %d has number %d, not %d", i, m.Segments[i].Seq, want)
		}
		if err := p.checkRange(i, m); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}

func (p *second) checkSegment(want *secondSegment, got *Segment) error {
	if got.Discontinuity != want.discontinuity || got.Gap != want.gap || got.Provisional != (want.uri < 0) {
		return fmt.Errorf("%+v, not %+v", got, want)
	}
	if secondSecondsRE.MatchString(want.duration) && want.uri >= 0 {
		if err := sameSeconds(got.Duration, want.duration); err != nil {
			return err
		}
	}
	if at, err := time.Parse(time.RFC3339, want.pdt); err == nil && secondDateRE.MatchString(want.pdt) {
		if !got.PDTGiven || got.PDT != at.UnixMicro() {
			return fmt.Errorf("date %d (%v), not %s", got.PDT, got.PDTGiven, want.pdt)
		}
	}
	if want.pdt == "" && got.PDTGiven {
		return fmt.Errorf("a date out of nowhere")
	}
	return p.checkParts(want, got)
}

func sameSeconds(got time.Duration, text string) error {
	want, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(got.Seconds()-want) > 1e-6 {
		return fmt.Errorf("duration %v, not %s", got, text)
	}
	return nil
}

// checkParts compares the parts that have all that a part must have (rfc8216bis, 4.4.4.9) and once.
func (p *second) checkParts(want *secondSegment, got *Segment) error {
	for _, n := range want.parts {
		if count := p.tags[n].count("URI"); count != 1 || p.tags[n].count("DURATION") != 1 {
			return nil
		}
	}
	if len(got.Parts) != len(want.parts) {
		return fmt.Errorf("%d parts, not %d", len(got.Parts), len(want.parts))
	}
	for i, n := range want.parts {
		tag, part := &p.tags[n], &got.Parts[i]
		if d := tag.get("DURATION"); secondSecondsRE.MatchString(d) {
			if err := sameSeconds(part.Duration, d); err != nil {
				return fmt.Errorf("part %d: %w", i, err)
			}
		}
		if gap := tag.get("GAP") == "YES"; tag.count("GAP") < 2 && part.Gap != gap {
			return fmt.Errorf("part %d: gap %v", i, part.Gap)
		}
	}
	return nil
}

func (t *secondTag) count(name string) (n int) {
	for _, a := range t.attrs {
		if a.name == name && a.value != "" {
			n++
		}
	}
	return n
}

func (t *secondTag) get(name string) string {
	for _, a := range t.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

// checkRange: a byte range without an offset goes on where the one before ended, if that is of the same resource
// (RFC 8216, 4.3.2.2).
func (p *second) checkRange(i int, m *Media) error {
	want, got := &p.segments[i], &m.Segments[i]
	if want.byteRange == "" {
		if got.Length != -1 {
			return fmt.Errorf("a range of %d out of nowhere", got.Length)
		}
		return nil
	}
	parts := secondRangeRE.FindStringSubmatch(want.byteRange)
	if parts == nil || want.uri < 0 {
		return nil
	}
	length, _ := strconv.ParseInt(parts[1], 10, 64)
	offset, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		if i == 0 || !secondRangeRE.MatchString(p.segments[i-1].byteRange) || m.Segments[i-1].Resource != got.Resource {
			return nil
		}
		offset = m.Segments[i-1].Offset + m.Segments[i-1].Length
	}
	if got.Length != length || got.Offset != offset {
		return fmt.Errorf("range %d@%d, not %s", got.Length, got.Offset, want.byteRange)
	}
	return nil
}

func TestSecondReadsTheSameMedia(t *testing.T) {
	bodies := map[string]string{"live": playlisttest.Live(2680, 30, 4*time.Second), "low latency": lowLatencyText}
	bases := map[string]*url.URL{}
	for _, c := range loadCases(t) {
		bodies[c.name], bodies[c.name+" spliced"] = string(c.in), string(c.out)
		bases[c.name], bases[c.name+" spliced"] = c.base, c.base
	}
	segments := 0
	for name, body := range bodies {
		doc, err := Parse([]byte(body), bases[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := checkMedia([]byte(body), doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		segments += strings.Count(body, "#EXTINF")
	}
	if segments < 150 {
		t.Errorf("only %d segments were compared", segments)
	}
}
