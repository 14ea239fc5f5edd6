package relay

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is a piece of a stream: whole frames, never changed once it is published.
type chunk struct {
	data       []byte
	start, end int64  // ns on the media axis; equal where the bytes carry no time
	title      *title // that was on when it arrived; nil: none has been seen
	entry      bool   // a decoder can begin here
	preamble   []byte // what a listener who begins here must have before: the header pages of Ogg; the same slice for all of one logical stream

	// Set by the ring.
	seq    uint64
	offset int64 // of data in all that was ever published
	worth  int64 // ns of media published before, without the gaps
	next   atomic.Pointer[chunk]
}

// ring is the recent past of a stream. It is a linked list, so that listeners walk it without a lock, with an index
// for those who join. Listeners hold on to what they have not sent yet; the oldest number tells them when they are
// too late.
type ring struct {
	// Set at construction.
	burst     int64
	burstTime int64         // ns; 0: the burst is in bytes
	limit     int64         // bytes
	most      int           // chunks: with a title for every frame they would take far more than their bytes
	span      time.Duration // of media
	nudge     func()        // wakes listeners before their turn when much has come at once

	oldest atomic.Uint64 // seq of the first chunk still held

	mu     sync.Mutex
	run    uint64 // whose chunks are taken
	chunks []*chunk
	tail   *chunk // the last one published; one without data before any was
	tailAt time.Time
	seq    uint64
	bytes  int64
	total  int64 // published ever
	media  int64 // ns; as total
	since  struct {
		at           time.Time
		total, media int64
	} // which all listeners have been woken, or there was no need to
}

const (
	fastest = 1_500_000 / 8 // bytes per second of what Rewind is sized for: sound that is not compressed
	maxRing = 256 << 20
	fewest  = 4096             // chunks that are kept in any case
	slack   = 10 * time.Second // kept beyond Rewind, so that who begins at its far end is not at once too late
)

func newRing(m Mount, nudge func()) *ring {
	limit := max(m.Burst*2, int64(m.Rewind.Seconds()*fastest))
	return &ring{burst: m.Burst, burstTime: int64(m.BurstTime), limit: min(limit, maxRing), most: fewest + int(2*m.Rewind/chunkAge), span: m.Rewind, nudge: nudge, tail: new(chunk)}
}

// begin empties nothing, but takes chunks of this run only from now on.
func (r *ring) begin(run uint64) {
	r.mu.Lock()
	r.run = run
	r.mu.Unlock()
}

// reset forgets everything: nobody may be listening, or those who are listen to its end.
func (r *ring) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = 0
	r.chunks, r.bytes, r.tail = nil, 0, &chunk{start: r.tail.end, end: r.tail.end} // who hears the rest goes by its time
	r.oldest.Store(r.seq + 1)
}

// publish appends a chunk.
func (r *ring) publish(run uint64, c *chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run != r.run {
		return
	}
	r.seq++
	c.seq, c.offset, c.worth = r.seq, r.total, r.media
	r.bytes += int64(len(c.data))
	r.total += int64(len(c.data))
	r.media += c.end - c.start
	r.chunks = append(r.chunks, c)
	r.tail.next.Store(c)
	r.tail, r.tailAt = c, time.Now()
	r.evict()
	r.look(r.tailAt)
}

// look has all listeners woken when so much has come within a second that it may be gone again before their turn.
func (r *ring) look(now time.Time) {
	flood := r.total-r.since.total > r.limit/4 || r.media-r.since.media > int64(r.span+slack)/4
	if !flood && now.Sub(r.since.at) < time.Second {
		return
	}
	r.since.at, r.since.total, r.since.media = now, r.total, r.media
	if flood {
		r.nudge()
	}
}

// evict lets go of what is too old or too much, but never of what a joining listener starts with.
func (r *ring) evict() {
	for len(r.chunks) > 1 {
		first := r.chunks[0]
		left := r.bytes - int64(len(first.data))
		old := r.tail.end-first.end > int64(r.span+slack) && left >= 2*r.burst && r.media-first.worth > 2*r.burstTime
		if r.bytes <= r.limit && len(r.chunks) <= r.most && !old {
			break
		}
		r.bytes = left
		r.chunks[0] = nil
		r.chunks = r.chunks[1:]
	}
	r.oldest.Store(r.chunks[0].seq)
}

// join is the chunk after which a new listener begins: the nearest that leaves him no less than the burst to send,
// or all there is.
func (r *ring) join() *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := sort.Search(len(r.chunks), func(i int) bool { return !r.leavesBurst(r.chunks[i]) })
	return r.before(after - 1)
}

func (r *ring) leavesBurst(c *chunk) bool {
	if r.burstTime > 0 {
		return r.media-c.worth >= r.burstTime
	}
	return r.total-c.offset >= r.burst
}

// before is what a cursor stands at who begins with the first-th chunk, or the nearest before it that a decoder can begin with; with what is
// to come if there is nothing. The caller holds mu.
func (r *ring) before(first int) *chunk {
	first = max(0, first)
	for first > 0 && !r.chunks[first].entry {
		first--
	}
	if len(r.chunks) == 0 {
		return r.tail
	}
	// Not the chunk before itself: a cursor at its end would not know that it has yet to begin.
	start := new(chunk)
	start.next.Store(r.chunks[first])
	return start
}

// holds reports whether what comes after a cursor's place, or is to come, is what the ring holds.
func (r *ring) holds(at *chunk) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := at.next.Load()
	return at == r.tail || next != nil && next.seq >= r.oldest.Load()
}

// end is where the media stands, ns on the axis.
func (r *ring) end() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tail.end
}

// held is how much media and how many bytes there are. The caller holds mu.
func (r *ring) held() (media time.Duration, bytes int64) {
	if len(r.chunks) == 0 {
		return 0, 0
	}
	return time.Duration(r.media - r.chunks[0].worth), r.bytes
}

// live is where the media axis is at now, whether or not the source has kept up. The caller holds mu.
func (r *ring) live(now time.Time) int64 { return r.tail.end + int64(now.Sub(r.tailAt)) }

// liveAt is live.
func (r *ring) liveAt(now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live(now)
}
