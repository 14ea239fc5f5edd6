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
	next   atomic.Pointer[chunk]
}

// ring is the recent past of a stream. It is a linked list, so that listeners walk it without a lock, with an index
// for those who join. Listeners hold on to what they have not sent yet; the oldest number tells them when they are
// too late.
type ring struct {
	// Set at construction.
	burst int64
	limit int64         // bytes
	span  time.Duration // of media
	nudge func()        // wakes listeners before their turn when much has come at once

	oldest atomic.Uint64 // seq of the first chunk still held

	mu     sync.Mutex
	run    uint64 // whose chunks are taken
	chunks []*chunk
	tail   *chunk // the last one published; one without data before any was
	seq    uint64
	bytes  int64
	total  int64 // published ever
	nudged int64 // total when listeners were woken last
}

const (
	fastest = 320_000 / 8 // bytes per second of what Rewind is sized for
	maxRing = 64 << 20
)

func newRing(m Mount, nudge func()) *ring {
	limit := max(m.Burst*2, int64(m.Rewind.Seconds()*fastest))
	return &ring{burst: m.Burst, limit: min(limit, maxRing), span: m.Rewind, nudge: nudge, tail: new(chunk)}
}

// begin empties nothing, but takes chunks of this run only from now on.
func (r *ring) begin(run uint64) {
	r.mu.Lock()
	r.run = run
	r.mu.Unlock()
}

// reset forgets everything; nobody may be listening.
func (r *ring) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = 0
	r.chunks, r.bytes, r.tail = nil, 0, new(chunk)
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
	c.seq, c.offset = r.seq, r.total
	r.bytes += int64(len(c.data))
	r.total += int64(len(c.data))
	r.chunks = append(r.chunks, c)
	r.tail.next.Store(c)
	r.tail = c
	r.evict()
	if r.total-r.nudged > r.limit/4 {
		r.nudged = r.total
		r.nudge()
	}
}

// evict lets go of what is too old or too much, but never of what a joining listener starts with.
func (r *ring) evict() {
	for len(r.chunks) > 1 {
		first := r.chunks[0]
		left := r.bytes - int64(len(first.data))
		old := r.tail.end-first.end > int64(r.span) && left >= 2*r.burst
		if r.bytes <= r.limit && !old {
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
	after := sort.Search(len(r.chunks), func(i int) bool { return r.total-r.chunks[i].offset < r.burst })
	switch first := max(0, after-1); {
	case len(r.chunks) == 0:
		return r.tail
	case first > 0:
		return r.chunks[first-1]
	default:
		before := new(chunk)
		before.next.Store(r.chunks[0])
		return before
	}
}
