package listen

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Writer tells a Transfer of every byte that goes through it, by whichever way: Write, ReadFrom a stream, or ReadFrom a body that sends itself (io.WriterTo)
// in pieces, which the kernel sends (sendfile) where the writer beneath lets it. Bytes are counted when they have been written.
type Writer struct {
	w    io.Writer
	t    *Transfer
	step int // bytes written at once
}

// NewWriter meters what is written to w. For http responses w is the server's own ResponseWriter, whose ReadFrom reaches the socket.
// A w with a method Step is given no more than that at once; it is at most copyBuffer.
func NewWriter(w io.Writer, t *Transfer) *Writer {
	m := &Writer{w: w, t: t, step: copyBuffer}
	if s, ok := w.(interface{ Step() int }); ok {
		m.step = s.Step()
	}
	return m
}

// ErrWrite marks an error of the writing side, where ReadFrom may fail on either.
var ErrWrite = errors.New("the listener does not take it")

// copyBuffer is one read and one write: large enough that a segment takes few of each.
const copyBuffer = 64 << 10

var (
	copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

	// stepBuffers are for a writer with a Step: many of them may wait on one connection, each with a buffer in hand.
	stepBuffers = sync.Pool{New: func() any { return new([stepBuffer]byte) }}
)

const stepBuffer = 16 << 10

// buffer is what to copy through, in whole steps, and how to give it back.
func (m *Writer) buffer() (b []byte, release func()) {
	if m.step <= stepBuffer {
		buf := stepBuffers.Get().(*[stepBuffer]byte)
		return buf[:stepBuffer-stepBuffer%m.step], func() { stepBuffers.Put(buf) }
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	return buf[:copyBuffer-copyBuffer%m.step], func() { copyBuffers.Put(buf) }
}

func (m *Writer) Write(p []byte) (n int, err error) {
	for {
		wrote, err := m.w.Write(p[n:min(len(p), n+m.step)])
		m.t.Wrote(int64(wrote))
		if n += wrote; err != nil || n == len(p) {
			return n, err
		}
	}
}

// ReadFrom sends src to its end. An error wraps ErrWrite if it was not src's.
func (m *Writer) ReadFrom(src io.Reader) (n int64, err error) {
	if body, ok := src.(io.WriterTo); ok {
		return body.WriteTo(sink{m})
	}
	return m.copy(src)
}

func (m *Writer) copy(src io.Reader) (n int64, err error) {
	in, release := m.buffer()
	for {
		read, rerr := src.Read(in)
		if read > 0 {
			wrote, werr := m.Write(in[:read])
			if n += int64(wrote); werr != nil {
				return n, fmt.Errorf("%w: %w", ErrWrite, werr) // HTTP/2 may still read the buffer: it is not used again
			}
		}
		if rerr != nil {
			release()
			if rerr == io.EOF {
				rerr = nil
			}
			return n, rerr
		}
		// What comes as it is made must leave so: a server keeps back the last few KB of what it is given.
		if read < len(in) {
			m.flush()
		}
	}
}

func (m *Writer) flush() {
	if f, ok := m.w.(interface{ Flush() }); ok {
		f.Flush()
	}
}

// sink is what a body that sends itself writes to: it may give it memory, or a piece that the server's own ReadFrom can hand on to the kernel.
// A piece is counted when it has been sent, so a body gives long ones in several.
type sink struct{ *Writer }

func (s sink) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return n, err
}

func (s sink) ReadFrom(piece io.Reader) (int64, error) {
	rf, ok := s.w.(io.ReaderFrom)
	if !ok {
		return s.copy(piece)
	}
	var told int64 // by a piece that tells how far it has come: a slow listener's takes a while
	if p, ok := piece.(interface{ Tell(func(n int64)) }); ok {
		p.Tell(func(n int64) {
			told += n
			s.t.Wrote(n)
		})
	}
	n, err := rf.ReadFrom(piece)
	s.t.Wrote(n - told)
	if err != nil { // what a body gives in pieces is there to be read
		err = fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return n, err
}

func (s sink) Flush() { s.flush() }
