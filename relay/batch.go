package relay

import (
	"io"
	"net"
	"sync"
)

const (
	batchBytes  = 64 << 10 // written at once, about
	batchPieces = 32
)

// batch is one write: pieces of chunks with the metadata between. The bytes are the ring's own.
type batch struct {
	pieces net.Buffers
	head   int // bytes that are no body
	bytes  int // of the body
	marks  []mark
	joined []byte // for connections that cannot gather: all of it in one
}

// mark is where the media stands after so many bytes of the body.
type mark struct {
	bytes int
	pos   int64
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// release puts a batch back. It must not keep the ring's chunks alive.
func (b *batch) release() {
	whole := b.pieces[:cap(b.pieces)]
	clear(whole)
	*b = batch{pieces: whole[:0], marks: b.marks[:0], joined: b.joined[:0]}
	batches.Put(b)
}

func (b *batch) add(p []byte) {
	b.pieces = append(b.pieces, p)
	b.bytes += len(p)
}

func (b *batch) full() bool { return b.bytes >= batchBytes || len(b.pieces) >= batchPieces }

// write sends it and returns how many bytes went, the head among them.
func (b *batch) write(c net.Conn) (int64, error) {
	if len(b.pieces) == 1 {
		n, err := c.Write(b.pieces[0])
		return int64(n), err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return b.gather(tcp)
	}
	for _, p := range b.pieces {
		b.joined = append(b.joined, p...)
	}
	n, err := c.Write(b.joined)
	if err != nil {
		b.joined = nil // an HTTP/2 server may still read it
	}
	return int64(n), err
}

// gather writes all pieces in one call of the kernel. WriteTo eats the slice, which is to be used again.
func (b *batch) gather(w io.Writer) (int64, error) {
	whole := b.pieces
	n, err := b.pieces.WriteTo(w)
	b.pieces = whole
	return n, err
}

// at is where the media stands after n bytes of the body, which began at media position from.
func (b *batch) at(n int64, from int64) int64 {
	last := mark{0, from}
	for _, m := range b.marks {
		if n >= int64(m.bytes) {
			last = m
			continue
		}
		share := float64(n-int64(last.bytes)) / float64(m.bytes-last.bytes)
		return last.pos + int64(float64(m.pos-last.pos)*share)
	}
	return last.pos
}
