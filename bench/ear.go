//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ear is one listener of a mount. Times are since its audience began.
type ear struct {
	fd    int // −1 once it is closed
	asked bool
	head  []byte // of the answer, until it is whole
	body  bool   // the head has come whole

	framing *framing // of one whose every byte is looked at

	tried  time.Duration // when it began to connect
	dialed time.Duration // the same, of its present connection
	first  time.Duration // when the first byte of the body had come; 0: none has
	last   time.Duration // when something came last
	bytes  int64         // of the body

	span span
}

// span is what a listener got in the window. Servers send in batches, so its rate is taken from the beginning of a batch to the beginning of
// another, the bytes of the last not counted: where the window cuts does not matter then.
type span struct {
	batches            int
	from, to           time.Duration
	fromBytes, toBytes int64 // before the batch that begins there
	gap                time.Duration
}

// pause is what parts two batches.
const pause = 20 * time.Millisecond

// came notes that something comes at now.
func (e *ear) came(now time.Duration) {
	gap := now - e.last
	e.span.gap = max(e.span.gap, gap)
	if gap < pause {
		return
	}
	if e.span.batches++; e.span.batches == 1 {
		e.span.from, e.span.fromBytes = now, e.bytes
	}
	e.span.to, e.span.toBytes = now, e.bytes
}

// rate is in bytes per second; 0 if fewer than two batches came.
func (s *span) rate() float64 {
	if s.batches < 2 {
		return 0
	}
	return float64(s.toBytes-s.fromBytes) / (s.to - s.from).Seconds()
}

// behind is by how many bytes less came than the station sent.
func (s *span) behind() float64 {
	if s.batches < 2 {
		return math.Inf(1)
	}
	return audioRate*(s.to-s.from).Seconds() - float64(s.toBytes-s.fromBytes)
}

var errHungUp = errors.New("the server has closed the connection")

const wholeRead = 1 << 20

// read takes in what has come. Of who is not looked at, the kernel throws the body away.
func (e *ear) read(now time.Duration, buf []byte) error {
	var n int
	var err error
	skip := e.body && e.framing == nil
	if skip {
		n, err = discard(e.fd, wholeRead)
	} else {
		n, err = unix.Read(e.fd, buf)
	}
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errHungUp
	}
	e.came(now)
	e.last = now
	if skip {
		e.got(n, now)
		return nil
	}
	return e.feed(buf[:n], now)
}

// got counts n bytes of the body.
func (e *ear) got(n int, now time.Duration) {
	if n > 0 && e.first == 0 {
		e.first = now
	}
	e.bytes += int64(n)
}

func (e *ear) feed(p []byte, now time.Duration) error {
	if !e.body {
		e.head = append(e.head, p...)
		end := bytes.Index(e.head, []byte("\r\n\r\n"))
		if end < 0 {
			return nil
		}
		p = e.head[end+4:]
		if err := e.answered(e.head[:end+2]); err != nil {
			return err
		}
		e.body, e.head = true, nil
	}
	e.got(len(p), now)
	if e.framing == nil {
		return nil
	}
	return e.framing.feed(p)
}

// answered judges the head of an answer.
func (e *ear) answered(head []byte) error {
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.")) || !bytes.Contains(status, []byte(" 200 ")) {
		return fmt.Errorf("the answer is %q", status)
	}
	_, rest, ok := bytes.Cut(bytes.ToLower(head), []byte("\r\nicy-metaint:"))
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	metaInt, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if !ok || err != nil || metaInt <= 0 {
		return fmt.Errorf("no icy-metaint in %q", head)
	}
	if e.framing != nil {
		e.framing = newFraming(metaInt)
	}
	return nil
}

// close leaves no port behind in TIME_WAIT.
func (e *ear) close() {
	if e.fd >= 0 {
		_ = unix.SetsockoptLinger(e.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(e.fd)
		e.fd = -1
	}
}
