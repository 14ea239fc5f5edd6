package listen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Writer tells a Transfer of every byte that goes through it, by whichever way: Write, ReadFrom a stream, or ReadFrom a
// file, which the kernel sends (sendfile) where the writer beneath lets it. Bytes are counted when they have been written.
type Writer struct {
	w io.Writer
	t *Transfer
}

// NewWriter meters what is written to w. For http responses w is the server's own ResponseWriter, whose ReadFrom reaches the socket.
func NewWriter(w io.Writer, t *Transfer) *Writer { return &Writer{w, t} }

// ErrWrite marks an error of the writing side, where ReadFrom may fail on either.
var ErrWrite = errors.New("the listener does not take it")

const (
	// copyBuffer is one read and one write: large enough that a segment takes few of each.
	copyBuffer = 64 << 10
	// sendStep is how much of a file is sent before it is counted, so that a long one is counted as it goes.
	sendStep = 1 << 20
)

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func (m *Writer) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.t.Wrote(int64(n))
	return n, err
}

// ReadFrom sends src to its end. An error wraps ErrWrite if it was not src's.
func (m *Writer) ReadFrom(src io.Reader) (n int64, err error) {
	if rf, ok := m.w.(io.ReaderFrom); ok && isFile(src) {
		return m.send(rf, src)
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for {
		read, rerr := src.Read(buf[:])
		if read > 0 {
			wrote, werr := m.Write(buf[:read])
			if n += int64(wrote); werr != nil {
				return n, fmt.Errorf("%w: %w", ErrWrite, werr)
			}
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
		// What comes as it is made must leave so: a server keeps back the last few KB of what it is given.
		if f, ok := m.w.(interface{ Flush() }); ok && read < len(buf) {
			f.Flush()
		}
	}
}

// send lets the kernel send a file, step by step. What fails is taken to be the socket: files are local and were open.
func (m *Writer) send(rf io.ReaderFrom, src io.Reader) (n int64, err error) {
	for {
		step := io.LimitedReader{R: src, N: sendStep}
		sent, err := rf.ReadFrom(&step)
		m.t.Wrote(sent)
		if n += sent; err != nil {
			return n, fmt.Errorf("%w: %w", ErrWrite, err)
		}
		if step.N > 0 {
			return n, nil
		}
	}
}

// isFile reports whether the kernel can send src by itself. A LimitedReader inside the step would hide the file from it, so only a
// file itself is one; a range of it is a file that was seeked, and a Content-Length.
func isFile(src io.Reader) bool {
	_, ok := src.(*os.File)
	return ok
}
