package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"earshot/origin/blob"
)

// fill is one fetch from the origin, for all who ask for the same thing while it runs: from before its head is there to its last byte. It belongs
// to none of them. Whoever leaves leaves the others alone; when all have left it ends, unless it is nearly done.
type fill struct {
	cache  *cache
	object *object
	base   string // name of the whole
	listed bool   // a playlist said that it is there when it was asked for
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by cache.mu.
	askers  int  // who wait for it, or read from it
	running bool // the fetch itself
	joined  bool // by others than who began it
	nearly  bool // done: it goes on without anybody

	// What came of it; set before head is closed.
	head   chan struct{}
	entity *entity // to be answered with, by all
	stored bool    // and its body is the object's: nothing changed
	alone  bool    // each must ask for himself: the answer is not to be shared
	failed error
	whence fetched
	body   *blob.Blob
	room   *room

	// Of the fetch itself.
	sliding bool // it is longer than what is kept
	closing bool // nearly was set

	present chan *gift // holds the answer that is not to be shared, for one of those who asked

	written atomic.Int64

	mu      sync.Mutex
	more    chan struct{} // closed when there is more; nil: nobody waits
	over    bool          // there will be no more
	broken  error         // why, if not for being complete
	readers map[*body]struct{}
	gone    int64 // what lies before it is not there any more
}

// fetched is why an answer was fetched, and what the origin said.
type fetched struct {
	asked  time.Time
	stale  bool // there was one, too old
	down   bool // and it is used all the same: the origin is not there
	status int  // of the origin's answer; 0: there was none
}

// leave is for who has asked and does not any more.
func (f *fill) leave() {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	f.askers--
	if f.askers == 0 && f.running && !f.nearly {
		f.cancel()
		if f.object.fill == f { // who comes now begins another
			f.object.fill = nil
			c.tidy(f.object)
		}
	}
	f.done()
}

// done lets go of the body when nobody needs it any more. The caller holds cache.mu.
func (f *fill) done() {
	if f.askers > 0 || f.running {
		return
	}
	if f.body != nil {
		f.body.Release()
		f.body = nil
	}
	select {
	case g := <-f.present:
		go g.body.Close() // it waits for the network
	default:
	}
	f.cancel()
}

// await waits until there is more of the body than pos, and returns how much. wait is called before it has to wait.
func (f *fill) await(ctx context.Context, pos int64, wait func()) (to int64, err error) {
	for {
		if to = f.written.Load(); to > pos {
			if f.lost(pos) {
				return pos, fmt.Errorf("%w: a listener fell behind a body that is too large to keep", ErrTooLarge)
			}
			return to, nil
		}
		f.mu.Lock()
		to = f.written.Load()
		if over, broken := f.over, f.broken; over || to > pos {
			f.mu.Unlock()
			switch {
			case to > pos:
				continue
			case broken != nil:
				return pos, broken
			}
			return pos, io.EOF
		}
		if f.more == nil {
			f.more = make(chan struct{})
		}
		more := f.more
		f.mu.Unlock()
		if wait != nil {
			wait()
		}
		select {
		case <-more:
		case <-ctx.Done():
			return pos, ctx.Err()
		}
	}
}

func (f *fill) lost(pos int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return pos < f.gone
}

// advance tells the readers that n more bytes are there.
func (f *fill) advance(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written.Add(int64(n))
	f.wake()
}

// finish tells them that nothing follows.
func (f *fill) finish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.broken = true, err
	f.wake()
}

func (f *fill) wake() {
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

// follow and unfollow tell which listeners read from the fill.
func (f *fill) follow(b *body) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers == nil {
		f.readers = make(map[*body]struct{})
	}
	f.readers[b] = struct{}{}
}

func (f *fill) unfollow(b *body) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, b)
}

// slowest is the position of the reader that is furthest behind. Who has asked and does not read yet is at the beginning.
func (f *fill) slowest() int64 {
	f.cache.mu.Lock()
	askers := f.askers
	f.cache.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) < askers {
		return f.gone
	}
	pos := f.written.Load()
	for b := range f.readers {
		pos = min(pos, b.pos.Load())
	}
	return pos
}

// receive takes the body in, until its end.
func (f *fill) receive(body io.Reader) error {
	buf := fillBuffers.Get().(*[fillBuffer]byte)
	defer fillBuffers.Put(buf)
	for {
		n, err := body.Read(buf[:])
		if n > 0 {
			if err := f.keep(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && f.entity.length >= 0 && f.written.Load() != f.entity.length:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// fillBuffer is one read from an origin.
const fillBuffer = 64 << 10

var fillBuffers = sync.Pool{New: func() any { return new([fillBuffer]byte) }}

func (f *fill) keep(p []byte) error {
	if err := f.makeRoom(int64(len(p))); err != nil {
		return err
	}
	n, err := f.body.Write(p)
	missing := f.entity.length - f.written.Load() - int64(n)
	if f.entity.length >= 0 && !f.closing && missing <= max(nearlyBytes, f.entity.length/nearlyShare) { // before a reader who needs no more can leave
		f.closing = true
		f.cache.mu.Lock()
		f.nearly = true
		f.cache.mu.Unlock()
	}
	if n > 0 {
		f.advance(n)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return nil
}

// A fill is nearly done when what is missing is at most nearlyBytes, or one part in nearlyShare.
const (
	nearlyBytes = 64 << 10
	nearlyShare = 4
)

// ErrNoRoom is the edge's own failure to keep a body on its way.
var ErrNoRoom = errors.New("there is no room for the body")

// growBy is how much more room a body of unknown length gets at a time.
const growBy = 1 << 20

// makeRoom reserves room for n more bytes. A body that nobody said the length of may be without an end: beyond what may be kept of one it
// slides by.
func (f *fill) makeRoom(n int64) error {
	if f.sliding {
		return f.slide()
	}
	if f.written.Load()+n <= f.room.bytes.Load() {
		return nil
	}
	c := f.cache
	c.mu.Lock()
	grown := f.room.bytes.Load()+growBy <= c.most(f.room.tier) && c.grow(f.room, max(n, growBy))
	if !grown && f.object.fill == f { // others begin their own
		f.object.fill = nil
		c.tidy(f.object)
	}
	c.mu.Unlock()
	if grown {
		return nil
	}
	f.sliding = true
	return f.slide()
}

// window is how much of a sliding body is there, for its readers to be apart, in bytes.
const window = 1 << 20

// slide waits until the slowest reader is near enough, and gives back what all have read.
func (f *fill) slide() error {
	for {
		slowest := f.slowest()
		if behind := f.written.Load() - slowest; behind <= window {
			f.mu.Lock()
			f.gone = max(f.gone, slowest)
			f.mu.Unlock()
			if !f.body.Drop(slowest) {
				return fmt.Errorf("%w: %s has no end", ErrNoRoom, named(f.entity.url))
			}
			return nil
		}
		if err := f.pause(); err != nil {
			return err
		}
	}
}

// slidePause is how long a sliding body waits before it looks again where its readers are.
const slidePause = 20 * time.Millisecond

func (f *fill) pause() error {
	select {
	case <-time.After(slidePause):
		return nil
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}

// reply makes the answer of this fill to one who asked. He has joined it, and leaves it with the answer's body.
func (q *query) reply(f *fill, served Served) *Media {
	f.cache.mu.Lock()
	body := f.body
	if body != nil {
		body.Hold()
	}
	f.cache.mu.Unlock()
	if f.stored { // its body is all there: nothing comes from the fill
		defer f.leave()
		return q.answer(f.entity, body, nil, served)
	}
	return q.answer(f.entity, body, f, served)
}
