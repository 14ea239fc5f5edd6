package relay

import "math"

// cursor is where a listener is in what he is sent, to the byte. It is a value: a copy of it looks ahead without moving it.
type cursor struct {
	chunk *chunk // being sent, or sent to its end
	off   int    // in its data
	rest  []byte // goes before that: of a preamble, or of a metadata block
	fresh bool   // he has yet to begin: at a chunk with which a decoder can

	metaInt  int    // audio bytes between metadata blocks; 0: none
	metaLeft int    // until the next
	title    *title // the last one sent
	untold   *title // what is on where nothing has been said yet; stays the same until what was looked at has been sent
}

// No more than this is written at once, about.
const (
	batchBytes  = 64 << 10
	batchPieces = 64
)

// always is a horizon that nothing lies beyond.
const always = math.MaxInt64

// walk appends to dst what comes next, limit bytes of it at the most, and moves the cursor behind it. It stops at the end of the ring, before
// a gap in the media, and before a chunk that ends beyond the horizon. from is where on the media axis the first of it is.
func (c *cursor) walk(dst [][]byte, limit int, horizon int64) (pieces [][]byte, n int, from int64) {
	for n < limit && len(dst) < batchPieces {
		if len(c.rest) == 0 && c.off == len(c.chunk.data) {
			next := c.chunk.next.Load()
			if next == nil || next.end > horizon || n > 0 && next.start != c.chunk.end {
				break
			}
			c.enter(next)
			continue
		}
		if n == 0 {
			from = c.pos()
		}
		p := c.step(limit - n)
		n += len(p)
		dst = append(dst, p)
	}
	return dst, n, from
}

// enter goes on to the next chunk. A listener who has yet to begin gets what a decoder must have first.
func (c *cursor) enter(next *chunk) {
	c.chunk, c.off = next, 0
	switch {
	case !c.fresh:
	case next.entry:
		c.fresh, c.rest = false, next.preamble
	default:
		c.off = len(next.data)
	}
}

// step is the next piece, which has a byte at the least. A metadata block stands before the byte that follows it, so that it carries that
// byte's title.
func (c *cursor) step(limit int) []byte {
	if len(c.rest) == 0 && c.metaInt > 0 && c.metaLeft == 0 {
		c.rest, c.metaLeft = c.block(), c.metaInt
	}
	if len(c.rest) > 0 {
		n := min(limit, len(c.rest))
		p := c.rest[:n]
		c.rest = c.rest[n:]
		return p
	}
	n := min(limit, len(c.chunk.data)-c.off)
	if c.metaInt > 0 {
		n = min(n, c.metaLeft)
		c.metaLeft -= n
	}
	p := c.chunk.data[c.off : c.off+n]
	c.off += n
	return p
}

func (c *cursor) block() []byte {
	t := c.chunk.title
	if t == nil {
		t = c.untold
	}
	if t == nil || t == c.title || t.block == nil {
		return unchanged
	}
	c.title = t
	return t.block
}

// pos is where the media stands, ns on the axis.
func (c *cursor) pos() int64 {
	if c.off == 0 || len(c.chunk.data) == 0 {
		return c.chunk.start
	}
	if c.off == len(c.chunk.data) {
		return c.chunk.end
	}
	return c.chunk.start + int64(float64(c.chunk.end-c.chunk.start)*(float64(c.off)/float64(len(c.chunk.data))))
}

// waits reports whether something is there to be sent that ends no later than until.
func (c *cursor) waits(until int64) bool {
	if len(c.rest) > 0 || c.off < len(c.chunk.data) {
		return true
	}
	next := c.chunk.next.Load()
	return next != nil && next.end <= until
}
