package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// What Open and Join fail with. Their texts may be shown to a listener: none holds an address of an origin.
var (
	ErrUpstream = errors.New("the stream's source does not serve it")
	ErrTimeout  = errors.New("the stream's source did not answer in time")
	ErrFull     = errors.New("the stream has as many listeners as it may have")
	ErrClosed   = errors.New("the relay is shut down")
	ErrChanged  = errors.New("the stream has another format than a moment ago") // open it again
)

// Outcome is how an attempt to connect to a source ended; a metric label.
type Outcome string

// The outcomes there are.
const (
	Connected Outcome = "connected"
	Refused   Outcome = "refused"    // no connection, or it broke before any audio
	Timeout   Outcome = "timeout"    // neither a head nor audio in time
	BadStatus Outcome = "status"     // answered other than 200
	NotAudio  Outcome = "not-audio"  // a page, a text, a picture
	IsHLS     Outcome = "hls"        // an HLS playlist: no stream of audio
	BadList   Outcome = "playlist"   // a playlist that names nothing, is too long or leads in a circle
	BadHead   Outcome = "malformed"  // an answer that is none, or a metadata interval that cannot be
	BadMove   Outcome = "redirect"   // redirected, or led by a playlist, elsewhere than it may, or too often
	BadOrigin Outcome = "bad-origin" // the configured URL cannot be used
	BadFile   Outcome = "file"       // the configured file cannot be used
)

// UpstreamError says why no origin of a mount could be used: the last one's reason. It is an [ErrTimeout] if
// that did not answer in time, else an [ErrUpstream].
type UpstreamError struct {
	Outcome Outcome
	Status  int // of the origin's answer; 0 if there was none

	cause error // for the log only: may hold addresses
}

// Error is fit for a listener: no address is in it.
func (e *UpstreamError) Error() string {
	if e.Status != 0 && e.Outcome == BadStatus {
		return fmt.Sprintf("%v: it answers %d", e.Unwrap(), e.Status)
	}
	return fmt.Sprintf("%v (%s)", e.Unwrap(), e.Outcome)
}

// Cause is what happened, for the operator: it may hold addresses of the origin.
func (e *UpstreamError) Cause() error { return e.cause }

// Unwrap is ErrTimeout or ErrUpstream.
func (e *UpstreamError) Unwrap() error {
	if e.Outcome == Timeout {
		return ErrTimeout
	}
	return ErrUpstream
}

func failed(o Outcome, cause error) *UpstreamError { return &UpstreamError{Outcome: o, cause: cause} }

// broke tells a connection that was too slow from one that failed.
func broke(cause error) *UpstreamError {
	var timeout net.Error
	if errors.Is(cause, os.ErrDeadlineExceeded) || errors.Is(cause, context.DeadlineExceeded) ||
		errors.As(cause, &timeout) && timeout.Timeout() {
		return failed(Timeout, cause)
	}
	return failed(Refused, cause)
}
