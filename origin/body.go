package origin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"earshot/origin/blob"
)

// body is one listener's way through what is kept, or through what is being fetched as far as it has come.
type body struct {
	ctx  context.Context
	blob *blob.Blob
	fill *fill // that brings it; nil: it is all there
	pos  atomic.Int64
	end  int64 // −1: where the fill ends

	closed sync.Once
}

// maxPiece is how much of a body is given to a writer at a time, in bytes, so that a long one is counted as it goes whatever the writer is.
const maxPiece = 1 << 20

func newBody(ctx context.Context, b *blob.Blob, from *fill, first, end int64) *body {
	r := &body{ctx: ctx, blob: b, fill: from, end: end}
	r.pos.Store(first)
	if from != nil {
		from.follow(r)
	}
	return r
}

// next waits for bytes, and returns up to where they are there. io.EOF is the end.
func (b *body) next(wait func()) (to int64, err error) {
	pos := b.pos.Load()
	if b.end >= 0 && pos >= b.end {
		return pos, io.EOF
	}
	if b.fill == nil {
		return b.end, nil
	}
	to, err = b.fill.await(b.ctx, pos, wait)
	if b.end >= 0 {
		to = min(to, b.end)
	}
	return to, err
}

func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	to, err := b.next(nil)
	if err != nil {
		return 0, err
	}
	pos := b.pos.Load()
	n, err := b.blob.ReadAt(p[:min(int64(len(p)), to-pos)], pos)
	b.pos.Add(int64(n))
	return n, short(err)
}

// WriteTo sends the body piece by piece as it comes: from memory as it lies there, from a file as w can read it best. While it has to wait, what w has
// kept back is sent on (io.WriterTo).
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	flush := func() {}
	if f, ok := w.(http.Flusher); ok {
		flush = f.Flush
	}
	for {
		to, err := b.next(flush)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		for pos := b.pos.Load(); pos < to; pos = b.pos.Load() {
			sent, err := b.piece(w, pos, min(to, pos+maxPiece))
			n += sent
			b.pos.Add(sent)
			if err != nil {
				return n, err
			}
		}
	}
}

func (b *body) piece(w io.Writer, from, to int64) (int64, error) {
	if p := b.blob.Bytes(from, to); p != nil {
		n, err := w.Write(p)
		return int64(n), err
	}
	n, err := io.Copy(w, &blob.Piece{Blob: b.blob, From: from, To: to})
	if err == nil && n < to-from {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close lets go of the body.
func (b *body) Close() error {
	b.closed.Do(func() {
		if b.fill != nil {
			b.fill.unfollow(b)
		}
		closeBody(b.blob, b.fill)
	})
	return nil
}

func closeBody(b *blob.Blob, from *fill) {
	if b != nil {
		b.Release()
	}
	if from != nil {
		from.leave()
	}
}

// short tells the end of a blob from the end of a body.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// noBody is the body of an answer that has none.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }
