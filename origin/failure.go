package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Errors that callers tell apart. What wraps them holds addresses, for the log and not for listeners.
var (
	ErrNotFound    = errors.New("the origin does not have it")
	ErrUnreachable = errors.New("the origin cannot be reached")
	ErrTimeout     = errors.New("the origin does not answer in time")
	ErrAnswer      = errors.New("the origin's answer is of no use")
	ErrTooLarge    = errors.New("the playlist is too large")
	ErrRedirect    = errors.New("the origin redirects to where the edge does not go")
)

// classify gives a transport error the sentinel it belongs to. An origin that cannot be talked to is told from one that talks
// nonsense: a head that is none, or is too long. connected is whether there was a connection to talk on.
func classify(ctx context.Context, err error, connected bool) error {
	if at := (*url.Error)(nil); errors.As(err, &at) {
		at.URL = withoutQuery(at.URL)
	}
	var timeout net.Error
	var socket *net.OpError
	switch {
	case errors.Is(err, ErrRedirect), errors.Is(err, ErrTimeout):
		return err
	case errors.Is(context.Cause(ctx), ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, context.Canceled):
		return err
	case !connected, errors.As(err, &socket), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrAnswer, err)
}

// named is a URL as it may stand in a log.
func named(u *url.URL) string { return withoutQuery(u.Redacted()) }

// withoutQuery tells that there is one, and not what: it may hold a listener's token.
func withoutQuery(u string) string {
	if name, _, ok := strings.Cut(u, "?"); ok {
		return name + "?…"
	}
	return u
}

// status turns the head of an answer into an error, unless it is one that has what was asked for.
func status(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %s says %s", ErrNotFound, named(resp.Request.URL), resp.Status)
	}
	return refused(resp)
}

// StatusError is an answer that has not what was asked for, and does not say that there is none. It is an ErrAnswer.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0: no telling

	from string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%v: %s says %d", ErrAnswer, e.from, e.Status)
}
func (e *StatusError) Unwrap() error { return ErrAnswer }

func refused(resp *http.Response) *StatusError {
	e := &StatusError{Status: resp.StatusCode, from: named(resp.Request.URL)}
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
