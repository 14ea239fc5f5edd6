package listen

import "sort"

// maxIntervals bounds what one session remembers. A live listener needs one interval; each seek adds one.
const maxIntervals = 512

// interval is a covered piece [from, to) of an axis.
type interval struct {
	axis     uint64
	from, to int64
}

// coverage is what of a group's timeline a session has been given: disjoint intervals that do not touch,
// sorted by axis and position. When there are too many the lowest of the axis is forgotten.
type coverage []interval

// add covers [from, to) and returns how much of it was not covered before, in units of the axis.
func (c *coverage) add(axis uint64, from, to int64) (fresh int64) {
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
	joined := interval{axis, lo, hi}
	if j > i {
		s[i] = joined
		*c = append(s[:i+1], s[j:]...)
		return fresh
	}
	s = append(s, interval{})
	copy(s[i+1:], s[i:])
	s[i] = joined
	if len(s) > maxIntervals {
		s = forgetLowest(s, i)
	}
	*c = s
	return fresh
}

// forgetLowest drops the lowest interval of the axis that s[keep] is on, or of the first axis if that is the
// one just added.
func forgetLowest(s coverage, keep int) coverage {
	k := sort.Search(len(s), func(k int) bool { return s[k].axis >= s[keep].axis })
	if k == keep {
		if k = 0; keep == 0 {
			k = len(s) - 1
		}
	}
	return append(s[:k], s[k+1:]...)
}

// newest returns up to n intervals, the highest of each axis first come, for the journal.
func (c coverage) newest(n int) []interval {
	if len(c) <= n {
		return c
	}
	return c[len(c)-n:]
}
