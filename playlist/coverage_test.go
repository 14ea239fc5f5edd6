package playlist

import (
	"sort"
	"time"
)

// coverage is the simplest union of spans: what a meter does, for tests only.
type coverage map[uint64][][2]int64

// add covers spans and returns what of their worth was not covered before.
func (c coverage) add(spans []Span) time.Duration {
	var fresh time.Duration
	for _, s := range spans {
		width := s.To - s.From
		news := width
		keep := [][2]int64{}
		lo, hi := s.From, s.To
		for _, iv := range c[s.Axis] {
			if iv[1] < lo || iv[0] > hi {
				keep = append(keep, iv)
				continue
			}
			news -= max(0, min(s.To, iv[1])-max(s.From, iv[0]))
			lo, hi = min(lo, iv[0]), max(hi, iv[1])
		}
		keep = append(keep, [2]int64{lo, hi})
		sort.Slice(keep, func(i, j int) bool { return keep[i][0] < keep[j][0] })
		c[s.Axis] = keep
		fresh += time.Duration(float64(s.Worth) * float64(news) / float64(width))
	}
	return fresh
}
