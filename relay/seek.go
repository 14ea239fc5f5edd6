package relay

import (
	"sort"
	"time"
)

// Place is where in the recent past of a stream a listener begins.
type Place struct {
	Behind  time.Duration // live
	Clamped bool          // it is not what was asked for, but the nearest there is

	at  *chunk
	lag int64 // ns that he stays behind live
}

// startMargin is how far from what is let go of next a listener begins at the least, where there is room for it.
const startMargin = 5 * time.Second

// Seek is the place so far behind live, for Join. Less than a burst is a burst's listener: he is sent all there is from there on; who is
// further behind gets a burst, and then as much as time goes by.
func (h *Hub) Seek(behind time.Duration) Place {
	now := time.Now()
	r := h.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.chunks) == 0 {
		return Place{at: r.tail, Clamped: behind > 0}
	}
	live, media := r.live(now), r.media-r.chunks[0].worth
	from := r.chunks[0].start
	if held := live - from; held > 4*int64(startMargin) && held > int64(r.span) {
		from = max(from+int64(startMargin), live-int64(r.span))
	}
	target := live - int64(max(0, behind))
	i := sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].start > target }) - 1
	if target < from {
		i = sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].start >= from })
	}
	at := r.before(min(i, len(r.chunks)-1))
	start := at.next.Load().start
	p := Place{at: at, Behind: time.Duration(live - start), Clamped: target < from || target > r.tail.end}
	burst := r.burstTime
	if burst == 0 && r.bytes > 0 {
		burst = int64(float64(r.burst) * float64(media) / float64(r.bytes))
	}
	p.lag = max(0, live-start-burst)
	return p
}
