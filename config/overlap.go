package config

import (
	"fmt"
	"strings"
)

const maxPatterns = 100 // a request tries each in turn

// place is a stream with the name of its entry.
type place struct {
	stream *Stream
	key    string
}

// path is the path as the file has it.
func (d *decoder) path(p place) string { return d.written[p.key+".path"].quote() }

func (p place) String() string { return fmt.Sprintf("%s (line %d)", p.key, p.stream.Line) }

// overlaps reports streams whose paths or keys would answer for one another's. A pattern that also matches paths of
// the app API, which come first, is only worth a notice. Whether two patterns can match the same path is not
// looked at: the first in the file wins.
func (d *decoder) overlaps(streams []Stream) (notices []Problem) {
	var literals, patterns []place
	for i := range streams {
		p := place{&streams[i], fmt.Sprintf("streams[%d]", i)}
		switch {
		case p.stream.Match != nil:
			patterns = append(patterns, p)
		case p.stream.Path != "":
			literals = append(literals, p)
		}
	}
	d.sameKeys(streams)
	d.samePaths(literals)
	if len(patterns) > maxPatterns {
		d.written["streams"].problem("holds %d patterns, each of which every request may try; write %d or fewer", len(patterns), maxPatterns)
		return nil
	}
	d.samePatterns(patterns)
	for _, p := range patterns {
		d.patternOver(p, literals)
		if p.stream.Match.MatchString("/api/") {
			notices = append(notices, Problem{d.file, p.stream.Line, p.key + ".match",
				"also matches paths under /api/, which the app API answers first"})
		}
	}
	return notices
}

// sameKeys: stream and group keys are one space of names, since sessions, limits and reports go by them.
func (d *decoder) sameKeys(streams []Stream) {
	first := map[string]place{}
	for i := range streams {
		p := place{&streams[i], fmt.Sprintf("streams[%d]", i)}
		name, key := "group", p.stream.Group
		if p.stream.Stream != "" {
			name, key = "stream", p.stream.Stream
		}
		if key == "" {
			continue
		}
		if other, ok := first[key]; ok {
			at := d.written[p.key+"."+name]
			at.problem("%s is also the key of %v; give each a key of its own", at.quote(), other)
			continue
		}
		first[key] = p
	}
}

func (d *decoder) samePaths(literals []place) {
	first := map[string]place{}
	var distinct []place
	for _, p := range literals {
		if other, ok := first[p.stream.Path]; ok {
			d.written[p.key+".path"].problem("%s is also the path of %v; give each a path of its own", d.path(p), other)
			continue
		}
		first[p.stream.Path] = p
		distinct = append(distinct, p)
	}
	for _, p := range distinct {
		for end := len(p.stream.Path) - 1; end > 0; end-- {
			if p.stream.Path[end-1] != '/' {
				continue
			}
			if other, ok := first[p.stream.Path[:end]]; ok && len(other.stream.HLS) > 0 {
				d.written[p.key+".path"].problem("%s lies inside %s, the path of %v; write a path outside it", d.path(p), d.path(other), other)
				break
			}
		}
	}
}

func (d *decoder) samePatterns(patterns []place) {
	first := map[string]place{}
	for _, p := range patterns {
		if other, ok := first[p.stream.Match.String()]; ok {
			d.written[p.key+".match"].problem("is also the pattern of %v; write another", other)
			continue
		}
		first[p.stream.Match.String()] = p
	}
}

// patternOver reports the first literal path that a pattern matches, or inside which all its matches lie.
func (d *decoder) patternOver(p place, literals []place) {
	start := literalStart(p.stream.Match)
	for _, other := range literals {
		inside := len(other.stream.HLS) > 0 && strings.HasPrefix(start, other.stream.Path)
		if inside || p.stream.Match.MatchString(other.stream.Path) {
			d.written[p.key+".match"].problem("matches %s, the path of %v; write a narrower pattern, or another path", d.path(other), other)
			return
		}
	}
}
