package playlist

import "bytes"

// The readers below take in the tags of a media playlist. What they gather in a document of another kind is
// thrown away.

func (p *parser) readTarget(value []byte, _ string) {
	p.media.m.TargetDuration = parseSeconds(value)
}

func (p *parser) readSequence(value []byte, _ string) {
	p.media.m.Sequence = parseNumber(value)
}

func (p *parser) readDiscontinuitySequence(value []byte, _ string) {
	p.media.m.DiscontinuitySequence = parseNumber(value)
}

func (p *parser) readEnd([]byte, string) {
	p.media.m.Ended = true
}

func (p *parser) readIFramesOnly([]byte, string) {
	p.media.m.IFramesOnly = true
}

func (p *parser) readInf(value []byte, _ string) {
	secs, _, _ := bytes.Cut(value, []byte(","))
	p.media.pend.Duration = parseSeconds(secs)
}

func (p *parser) readRange(value []byte, _ string) {
	if length, offset, given, ok := parseRange(value); ok {
		p.media.pend.Length, p.media.pend.Offset = length, offset
		p.media.implied = !given
	}
}

func (p *parser) readDiscontinuity([]byte, string) {
	p.media.pend.Discontinuity = true
}

func (p *parser) readGap([]byte, string) {
	p.media.pend.Gap = true
}

func (p *parser) readDateTime(value []byte, _ string) {
	if t, precision, ok := parseDateTime(value); ok {
		s := &p.media.pend
		s.PDT, s.PDTPrecision, s.PDTGiven = dateNotNone(t), precision, true
	}
}

// readSkip takes in a delta update (rfc8216bis, 4.4.5.2).
func (p *parser) readSkip(value []byte, _ string) {
	for list := (attrs{value, 0}); ; {
		a, ok := list.next()
		if !ok {
			return
		}
		if string(a.name) == "SKIPPED-SEGMENTS" {
			p.media.m.Skipped = parseNumber(value[a.start:a.end])
		}
	}
}

func (p *parser) readPartInf(value []byte, _ string) {
	for list := (attrs{value, 0}); ; {
		a, ok := list.next()
		if !ok {
			return
		}
		if string(a.name) == "PART-TARGET" {
			p.media.m.PartTarget = parseSeconds(value[a.start:a.end])
		}
	}
}

func (p *parser) readMap(_ []byte, res string) {
	if res == "" {
		return
	}
	if p.media.m.Maps == nil {
		p.media.m.Maps = make(map[string]struct{})
	}
	p.media.m.Maps[res] = struct{}{}
}

func (p *parser) readPart(value []byte, res string) {
	if p.media.parts++; p.media.parts > maxParts { // one without a URI is a part too
		p.err = ErrTooLarge
		return
	}
	part := Part{Resource: res, Length: -1}
	implied := false
	for list := (attrs{value, 0}); ; {
		a, ok := list.next()
		if !ok {
			break
		}
		text := value[a.start:a.end]
		switch string(a.name) {
		case "DURATION":
			part.Duration = parseSeconds(text)
		case "BYTERANGE":
			if length, offset, given, ok := parseRange(p.vars.resolved(text)); ok {
				part.Length, part.Offset, implied = length, offset, !given
			}
		case "GAP":
			part.Gap = string(text) == "YES"
		}
	}
	last := &p.media.lastPart
	if end := last.Offset + last.Length; implied && last.Resource == res && last.Length >= 0 && end <= maxNumber {
		part.Offset = end
	}
	*last = part
	p.media.pend.Parts = append(p.media.pend.Parts, part)
}

func (p *parser) readHint(value []byte, res string) {
	if res == "" {
		return
	}
	h := Hint{Resource: res}
	for list := (attrs{value, 0}); ; {
		a, ok := list.next()
		if !ok {
			break
		}
		if string(a.name) == "TYPE" {
			h.Map = string(value[a.start:a.end]) == "MAP"
		}
	}
	p.media.m.Hints = append(p.media.m.Hints, h)
}
