package listen

import (
	"cmp"
	"slices"
	"sort"
)

// maxIntervals bounds what one session remembers. A live listener needs one interval; each seek adds one.
const maxIntervals = 512

// interval is a covered piece [from, to) of an axis.
type interval struct {
	axis     uint64
	from, to int64
	touched  int64 // Unix ms when it grew last
}

// coverage is what of a group's timeline a session has been given: disjoint intervals that do not touch,
// sorted by axis and position. When there are too many the one that grew longest ago is forgotten.
type coverage []interval

// add covers a piece and returns how much of it was not covered before, in units of the axis.
func (c *coverage) add(piece interval) (fresh int64) {
	axis, from, to := piece.axis, piece.from, piece.to
	if to <= from {
		return 0
	}
	s := *c
	// The run s[i:j] overlaps or touches the new piece.
	i := sort.Search(len(s), func(k int) bool {
		return s[k].axis > axis || s[k].axis == axis && s[k].to >= from
	})
	j, fresh := i, to-from
	lo, hi := from, to
	for ; j < len(s) && s[j].axis == axis && s[j].from <= to; j++ {
		fresh -= max(0, min(to, s[j].to)-max(from, s[j].from))
		lo, hi = min(lo, s[j].from), max(hi, s[j].to)
	}
	joined := interval{axis, lo, hi, piece.touched}
	if j > i {
		s[i] = joined
		*c = append(s[:i+1], s[j:]...)
		return fresh
	}
	s = append(s, interval{})
	copy(s[i+1:], s[i:])
	s[i] = joined
	if len(s) > maxIntervals {
		s = slices.Delete(s, oldest(s), oldest(s)+1)
	}
	*c = s
	return fresh
}

// oldest is the index of the interval that grew longest ago; of several, the lowest.
func oldest(s []interval) int {
	k := 0
	for i := range s {
		if s[i].touched < s[k].touched {
			k = i
		}
	}
	return k
}

// newest returns the up to n intervals that grew last, for the journal: what a player could fetch again.
func (c coverage) newest(n int) []interval {
	if len(c) <= n {
		return c
	}
	kept := slices.Clone(c)
	slices.SortFunc(kept, func(a, b interval) int {
		return cmp.Or(cmp.Compare(b.touched, a.touched), cmp.Compare(b.axis, a.axis), cmp.Compare(b.from, a.from))
	})
	return kept[:n]
}
