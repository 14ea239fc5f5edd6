//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// reply takes in one HTTP/1.1 answer, in pieces as they come. It reads no more than it must: it stands on the load's hot path.
type reply struct {
	keep bool   // the body, into body
	body []byte // reused from one answer to the next
	part []byte // of the head or of a line, of which the rest has not come yet

	status int
	size   int64 // of the body so far
	gzip   bool
	stage  stage
	left   int64 // of the body, or of its chunk
}

// stage is what comes next.
type stage uint8

const (
	inHead stage = iota
	inBody
	inSize // the line with a chunk's size
	inChunk
	inGap     // the empty line after it
	inTrailer // lines, the last of them empty
	isDone
)

// begin makes ready for the next answer.
func (r *reply) begin(keep bool) {
	*r = reply{keep: keep, body: r.body[:0], part: r.part[:0]}
}

func (r *reply) done() bool { return r.stage == isDone }

// skippable is how many of the bytes to come nobody looks at.
func (r *reply) skippable() int64 {
	if r.stage == inBody && !r.keep {
		return r.left
	}
	return 0
}

// skipped notes that n skippable bytes have come.
func (r *reply) skipped(n int64) {
	r.size += n
	r.left -= n
	if r.left == 0 {
		r.stage = isDone
	}
}

var errMore = errors.New("more came than one answer")

// feed takes the next piece.
func (r *reply) feed(p []byte) error {
	for len(p) > 0 {
		var err error
		switch r.stage {
		case isDone:
			return errMore
		case inHead:
			p, err = r.head(p)
		case inBody, inChunk:
			p = r.take(p)
		default:
			p, err = r.line(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reply) take(p []byte) (rest []byte) {
	n := min(int64(len(p)), r.left)
	if r.keep {
		r.body = append(r.body, p[:n]...)
	}
	r.size += n
	r.left -= n
	switch {
	case r.left > 0:
	case r.stage == inChunk:
		r.stage = inGap
	default:
		r.stage = isDone
	}
	return p[n:]
}

// until cuts the input after the next end, taking what came of it before into account. ok is false where it has not come yet.
func (r *reply) until(p []byte, end string) (text, rest []byte, ok bool) {
	if len(r.part) == 0 {
		if i := bytes.Index(p, []byte(end)); i >= 0 {
			return p[:i+len(end)], p[i+len(end):], true
		}
	}
	before := len(r.part)
	r.part = append(r.part, p...)
	i := bytes.Index(r.part, []byte(end))
	if i < 0 {
		return nil, nil, false
	}
	text = r.part[:i+len(end)]
	r.part = r.part[:0]
	return text, p[i+len(end)-before:], true
}

func (r *reply) head(p []byte) (rest []byte, err error) {
	text, rest, ok := r.until(p, "\r\n\r\n")
	if !ok {
		return nil, nil
	}
	if len(text) < 12 || string(text[:9]) != "HTTP/1.1 " {
		return nil, fmt.Errorf("no answer: %.80q", text)
	}
	if r.status, err = strconv.Atoi(string(text[9:12])); err != nil {
		return nil, err
	}
	if bytes.Contains(text, []byte("\r\nConnection: close")) {
		return nil, fmt.Errorf("the server closes the connection, with status %d", r.status)
	}
	r.gzip = bytes.Contains(text, []byte("\r\nContent-Encoding: gzip\r\n"))
	if bytes.Contains(text, []byte("\r\nTransfer-Encoding: chunked\r\n")) {
		r.stage = inSize
		return rest, nil
	}
	const length = "\r\nContent-Length: "
	i := bytes.Index(text, []byte(length))
	if i < 0 {
		return nil, fmt.Errorf("an answer without a length, with status %d", r.status)
	}
	value, _, _ := bytes.Cut(text[i+len(length):], []byte("\r"))
	if r.left, err = strconv.ParseInt(string(value), 10, 64); err != nil {
		return nil, err
	}
	if r.stage = inBody; r.left == 0 {
		r.stage = isDone
	}
	return rest, nil
}

// line takes a line of the chunked coding (RFC 9112, 7.1).
func (r *reply) line(p []byte) (rest []byte, err error) {
	text, rest, ok := r.until(p, "\r\n")
	if !ok {
		return nil, nil
	}
	text = text[:len(text)-2]
	switch {
	case r.stage == inGap && len(text) == 0:
		r.stage = inSize
	case r.stage == inSize:
		if r.left, err = strconv.ParseInt(string(text), 16, 64); err != nil {
			return nil, err
		}
		if r.stage = inChunk; r.left == 0 {
			r.stage = inTrailer
		}
	case r.stage == inTrailer && len(text) == 0:
		r.stage = isDone
	case r.stage != inTrailer:
		return nil, fmt.Errorf("a chunk without an end: %.80q", text)
	}
	return rest, nil
}
