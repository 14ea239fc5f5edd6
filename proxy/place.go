package proxy

import (
	"hash/fnv"
	"time"

	"earshot/listen"
	"earshot/playlist"
)

// placer places the body of one HLS request on its group's timeline. It is asked with the account locked, by the settling loop
// or at the body's end, and blocks on nothing.
type placer struct {
	timelines *timelines
	metrics   *Metrics
	timeline  *timeline
	mount     *mount
	in        reference // the playlist that lists it
	resources []string
	base      int64 // where the body begins in the resource
	total     int64 // length of the resource; −1 unknown
	media     bool  // its type is that of audio or video
	small     bool  // it may be a key
	key       bool  // it is one, by its grant
	document  bool  // its type is that of data: session data, a list of assets. It is media only where a playlist lists it as such
	began     time.Time

	found string        // of resources: the one that the playlist lists
	to    int64         // how far the body had come when Place was asked last
	grew  time.Time     // when it had come so far
	worth time.Duration // of what has been placed
	how   string        // it was placed
}

// Metered says yes for media and init sections, no for keys. What cannot be a key need not wait for the playlist to say so.
func (p *placer) Metered() (yes, ok bool) {
	class, known := p.class()
	if p.document {
		return class != playlist.ClassKey && class != playlist.ClassOther, known
	}
	return class != playlist.ClassKey, known || !p.small
}

// class finds out what the resource is, waiting for the playlist if it may still come. What a playlist lists as media is that, whatever the
// request's grant makes of it.
func (p *placer) class() (class playlist.Class, known bool) {
	if class = p.listedAs(); class != playlist.ClassOther {
		return class, true
	}
	switch {
	case p.key:
		return playlist.ClassKey, true
	case p.in.line == "":
		return playlist.ClassOther, true
	}
	if p.timeline.Known(p.in.line) {
		if p.elsewhere() {
			return p.listedAs(), true
		}
		if p.in.role != playlist.RoleVariant {
			return playlist.ClassOther, true
		}
	}
	fetched := p.timelines.refresh(p.mount, p.timeline, p.in, p.began)
	return playlist.ClassOther, fetched || time.Since(p.began) > settleWithin
}

// listedAs is what the playlist says that the resource is.
func (p *placer) listedAs() (class playlist.Class) {
	if p.in.line == "" {
		return playlist.ClassOther
	}
	for _, resource := range p.resources {
		if _, class, _ = p.timeline.Locate(p.in.line, resource, 0, 0, p.total, nil); class != playlist.ClassOther {
			p.found = resource
			return class
		}
	}
	return playlist.ClassOther
}

// elsewhere looks for another playlist that lists the resource: a grant may have been put on a URI of another.
func (p *placer) elsewhere() bool {
	for _, resource := range p.resources {
		if line, role, ok := p.timeline.Find(resource); ok && line != p.in.line {
			p.in = reference{name: line, line: line, role: role}
			return true
		}
	}
	return false
}

// Place finds the spans of a piece of the body.
func (p *placer) Place(dst []listen.Span, piece listen.Piece) ([]listen.Span, bool) {
	class, known := p.class()
	if !known && !piece.Last {
		return dst, false
	}
	if p.in.role != playlist.RoleVariant || p.in.line == "" || class == playlist.ClassKey {
		return dst, true
	}
	total := p.total
	if total < 0 && piece.Total >= 0 {
		total = p.base + piece.Total
	}
	listed := p.listed(piece, total)
	if class == playlist.ClassPart && !listed && !piece.Last && p.fresh(piece) {
		// Hinted at, and not listed yet: it has no time before it is (rfc8216bis, 4.4.5.3). Perhaps nobody else asks for the version
		// that lists it.
		p.timelines.refresh(p.mount, p.timeline, p.in, time.Now())
		return dst, false
	}
	if total < 0 && !listed {
		if !piece.Over && !piece.Last {
			return dst, false
		}
		if total = p.guessed(); total < p.base+piece.To {
			p.note("none") // cut off before anybody told how long it would be, and nothing like it was ever seen whole
			return dst, true
		}
	}
	if class == playlist.ClassOther {
		return p.estimate(dst, piece, total), true
	}
	var space [8]playlist.Span
	// An init section may be a range of the very resource that the segments are in: only the piece itself tells.
	spans, class, _ := p.timeline.Locate(p.in.line, p.found, p.base+piece.From, p.base+piece.To, total, space[:0])
	if class == playlist.ClassInit {
		return dst, true
	}
	for _, s := range spans {
		dst = append(dst, listen.Span{Axis: s.Axis, From: s.From, To: s.To, Worth: int64(s.Worth)})
		p.worth += s.Worth
	}
	if class == playlist.ClassSegment && p.base == 0 && piece.To == total && (p.total >= 0 || piece.Whole) {
		p.timeline.learnRate(p.in.line, total, p.worth)
	}
	p.note("timeline")
	return dst, true
}

// listed tells whether the playlist says what the piece's last byte is worth. Parts come in order, so it says that of the bytes before
// too; where they are ranges it does so however long their resource will be.
func (p *placer) listed(piece listen.Piece, total int64) bool {
	var space [8]playlist.Span
	spans, _, _ := p.timeline.Locate(p.in.line, p.found, p.base+piece.To-1, p.base+piece.To, total, space[:0])
	return len(spans) > 0
}

// fresh tells whether the piece's last byte came not long ago.
func (p *placer) fresh(piece listen.Piece) bool {
	if piece.To != p.to {
		p.to, p.grew = piece.To, time.Now()
	}
	return time.Since(p.grew) < settleWithin
}

// guessed is the length that the resource would have had, had it not been cut off before anybody told.
func (p *placer) guessed() int64 {
	var space [8]playlist.Span
	spans, _, _ := p.timeline.Locate(p.in.line, p.found, 0, 1, 1, space[:0])
	var worth time.Duration
	for _, s := range spans {
		worth += s.Worth
	}
	return p.timeline.guess(p.in.line, worth)
}

// estimate is for a segment that the playlist does not list any more, or never did: it is worth what its playlist's segments typically are, on
// an axis of its own.
func (p *placer) estimate(dst []listen.Span, piece listen.Piece, total int64) []listen.Span {
	typical := p.timeline.TypicalDuration(p.in.line)
	if !p.media || typical <= 0 || total <= 0 {
		p.note("none")
		return dst
	}
	p.note("typical")
	share := float64(piece.To-piece.From) / float64(total)
	return append(dst, listen.Span{Axis: axisOf(p.resources[0]), From: p.base + piece.From, To: p.base + piece.To,
		Worth: int64(share * float64(typical))})
}

// axisOf is the axis of a resource that is on no timeline; the low bit keeps it off those that are.
func axisOf(resource string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(resource))
	return h.Sum64() | 1<<63
}

func (p *placer) note(how string) {
	if p.how == "" {
		p.how = how
		p.metrics.placed(how)
	}
}
