package proxy

import (
	"net/http"
	"os"
	"sync"
	"time"
)

// stream is an answer over HTTP/2, where many share a connection. It goes out in frames, each of which is counted when it has been given
// to the connection and marked with its place there; and it breaks when the listener takes nothing of it for too long, which the
// connection's own limits do not see while he takes something else.
type stream struct {
	http.ResponseWriter
	conn    *conn // nil if the listener is none of ours
	take    time.Duration
	held    *held // of the body, if it is a segment's
	metered bool
	marks   marks

	mu      sync.Mutex
	due     time.Time // when a write under way must be over
	own     bool      // due is set from without
	writing bool
	late    bool // a write was not over when due
	kept    bool // the server keeps back what was written last
	over    bool // the handler is done
	timer   *time.Timer
}

const (
	// frame is what goes out at once. Of what is given to the server in one piece it does not tell how much had left when the stream was
	// reset, so that a piece is one frame, which with its head of nine bytes fills one TLS record. No client takes less (RFC 9113, 4.2).
	frame = 16<<10 - 9
	// keptBack is the most that the server keeps for itself until more comes (its bufio.Writer).
	keptBack = 4 << 10
)

func newStream(w http.ResponseWriter, c *conn) *stream {
	s := &stream{ResponseWriter: w, conn: c, take: TakeWithin}
	if c == nil {
		return s
	}
	s.take = c.limits.take
	c.mu.Lock()
	first := !c.streamed
	c.streamed = true
	c.sweep()
	c.mu.Unlock()
	if first {
		c.lowerUnsent()
	}
	s.marks.begin(c.wrote.Load())
	return s
}

// done is called when the handler is: the server takes the ResponseWriter back.
func (s *stream) done() {
	s.mu.Lock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	kept := s.kept
	s.mu.Unlock()
	if kept { // the server sends it now, and has no end to its patience of its own
		_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(s.take))
	}
	if s.held != nil {
		s.held.end.Store(s.conn.wrote.Load())
	}
}

// Write returns how much was given to the connection for certain. After an error the server may still read p.
func (s *stream) Write(p []byte) (n int, err error) {
	for {
		part := p[n:min(len(p), n+frame)]
		if err := s.writePart(part); err != nil {
			return n, err
		}
		if s.conn != nil {
			s.marks.add(s.conn.wrote.Load(), int64(len(part)))
		}
		if n += len(part); n == len(p) {
			return n, nil
		}
	}
}

func (s *stream) writePart(part []byte) error {
	if !s.begin() {
		return os.ErrDeadlineExceeded
	}
	_, err := s.ResponseWriter.Write(part)
	kept := len(part) <= keptBack
	if err == nil && kept && s.metered {
		err = s.FlushError() // what is counted is on its way
		kept = false
	}
	if s.end(kept) && err != nil {
		return os.ErrDeadlineExceeded
	}
	return err
}

// begin notes that a write is under way. It is false if there is no time for one.
func (s *stream) begin() bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.own:
		s.due = now.Add(s.take)
	case !s.due.IsZero() && !now.Before(s.due):
		return false
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(s.take, s.look)
	}
	s.writing = true
	return true
}

func (s *stream) end(kept bool) (late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.kept = false, kept
	return s.late
}

// look breaks a write that is not over when due. There is a deadline of net/http's, but that breaks the stream even if nothing is being
// written, when it is the origin that is slow; so it is only used to break a write.
func (s *stream) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := time.Until(s.due)
	switch {
	case s.over || s.late:
	case s.writing && left <= 0 && !s.due.IsZero():
		s.late = true
		_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Unix(1, 0)) // HTTP/2 always can
	case left > 0:
		s.timer.Reset(left)
	default:
		s.timer.Reset(s.take)
	}
}

// SetWriteDeadline sets when writes must be over, from now on instead of each having its own time.
func (s *stream) SetWriteDeadline(due time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own, s.due = true, due
	switch {
	case s.over:
	case s.timer == nil:
		s.timer = time.AfterFunc(time.Until(due), s.look)
	default:
		s.timer.Reset(time.Until(due))
	}
	return nil
}

// Step is how much is best written at once, for [listen.Writer].
func (s *stream) Step() int { return frame }

// FlushError and Flush send what the server keeps back.
func (s *stream) FlushError() error { return http.NewResponseController(s.ResponseWriter).Flush() }
func (s *stream) Flush()            { _ = s.FlushError() } // the next write fails if this did

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }
