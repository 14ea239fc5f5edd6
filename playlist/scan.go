package playlist

import "bytes"

// lineEnd returns where the line at start ends (its terminator not included) and where the next one begins.
// A CR before the LF is left to the line: whoever reads it trims.
func lineEnd(b []byte, start int) (end, next int) {
	if i := bytes.IndexByte(b[start:], '\n'); i >= 0 {
		return start + i, start + i + 1
	}
	return len(b), len(b)
}

// trim narrows [start, end) to what is left without spaces and control characters at either side, as URL
// parsers do before they read.
func trim(b []byte, start, end int) (int, int) {
	for start < end && b[start] <= ' ' {
		start++
	}
	for start < end && b[end-1] <= ' ' {
		end--
	}
	return start, end
}

// longestTag bounds what is looked up as a tag name; the longest in the table is 29 bytes.
const longestTag = 32

// tagName returns the name of the tag on a line, #EXT… without its '#', and where its value begins (after the
// colon, or the line's end). The name is empty if the line is a comment.
func tagName(line []byte) (name []byte, value int) {
	if !bytes.HasPrefix(line, []byte("#EXT")) {
		return nil, len(line)
	}
	head := line[:min(len(line), longestTag+2)]
	if i := bytes.IndexByte(head, ':'); i >= 0 {
		return head[1:i], i + 1
	}
	if len(line) > longestTag {
		return nil, len(line)
	}
	_, end := trim(line, 0, len(line))
	return line[1:end], len(line)
}

// attr is one NAME=value of an attribute list (RFC 8216, 4.2). [start, end) is the value without its quotes.
type attr struct {
	name       []byte
	start, end int
	quoted     bool
	broken     bool // a quote that never closes
}

// attrs walks an attribute list from the position at. It knows quotes, takes unquoted values where the standard
// wants quoted ones, and allows spaces around names and values.
type attrs struct {
	b  []byte
	at int
}

func (s *attrs) next() (a attr, ok bool) {
	for {
		if s.at >= len(s.b) {
			return attr{}, false
		}
		i := bytes.IndexAny(s.b[s.at:], "=,")
		if i < 0 {
			s.at = len(s.b)
			return attr{}, false
		}
		from, stop := s.at, s.at+i
		s.at = stop + 1
		if s.b[stop] == ',' {
			continue // a name without a value
		}
		ns, ne := trim(s.b, from, stop)
		a.name = s.b[ns:ne]
		s.value(&a)
		return a, true
	}
}

func (s *attrs) value(a *attr) {
	at := s.at
	for at < len(s.b) && (s.b[at] == ' ' || s.b[at] == '\t') {
		at++
	}
	if at < len(s.b) && s.b[at] == '"' {
		a.quoted = true
		at++
		n := bytes.IndexByte(s.b[at:], '"')
		if n < 0 {
			a.broken = true
			a.start, a.end = at, len(s.b)
			s.at = len(s.b)
			return
		}
		a.start, a.end = trim(s.b, at, at+n)
		at += n + 1
		s.at = s.comma(at) + 1
		return
	}
	end := s.comma(at)
	a.start, a.end = trim(s.b, at, end)
	s.at = end + 1
}

// comma returns where the next comma is, or the end.
func (s *attrs) comma(at int) int {
	if i := bytes.IndexByte(s.b[at:], ','); i >= 0 {
		return at + i
	}
	return len(s.b)
}
