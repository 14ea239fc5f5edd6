// Package origin is a shared cache before what broadcasters publish (RFC 9111), that knows HLS: how long playlists, segments and parts are
// good for (rfc8216bis, 6.2.5 and its appendix on CDNs), and that a playlist is best kept parsed. It knows nothing of sessions: what it hands out is
// the origin's own bytes.
//
// What many ask for is fetched once: from the first request on, whoever of them leaves (fill.go, playlists.go). What is kept lies where the kernel
// can send it from, within budgets of memory and disk (blob, tier.go). Origins fail over to one another, and what is there may be used
// while none answers.
//
// Everything an origin sends is hostile until checked, and bounded: sizes, redirects, silence.
package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"earshot/origin/blob"
)

// Options of a Client. Zero values take the defaults in brackets.
type Options struct {
	UserAgent      string
	ConnectTimeout time.Duration // [5s] to a connection
	HeaderTimeout  time.Duration // [15s] from the request to the head of the answer
	HoldTimeout    time.Duration // [45s] the same for a blocking playlist reload, which an origin holds for up to 3 target durations
	StallTimeout   time.Duration // [30s] without a byte of the body
	LargeTimeout   time.Duration // [10s] for the rest of a playlist that is not small
	MaxPlaylist    int64         // [8 MiB] of a playlist, decoded
	Memory         int64         // [256 MiB] of bodies kept, and on their way; at least 16 MiB
	Disk           int64         // of bodies kept; 0: none
	Room           *blob.Room    // where they are; nil: in memory only
	Log            *slog.Logger
	Metrics        *Metrics
}

// Client fetches from origins. It is safe for concurrent use.
type Client struct {
	opt       Options
	transport *http.Transport
	cache     cache
	playlists playlists
	turns     *places       // a place for each playlist being fetched
	held      *places       // and for each that an origin holds
	bodies    chan struct{} // a place for each playlist being read
	large     chan struct{} // a place for each large playlist being read
	versions  versions

	closed atomic.Bool
	stop   context.CancelFunc
	work   sync.WaitGroup // fetches, and the cache's own
}

// New makes a Client.
func New(opt Options) *Client {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&opt.ConnectTimeout, 5*time.Second)
	def(&opt.HeaderTimeout, 15*time.Second)
	def(&opt.HoldTimeout, 45*time.Second)
	def(&opt.StallTimeout, 30*time.Second)
	def(&opt.LargeTimeout, 10*time.Second)
	if opt.MaxPlaylist <= 0 {
		opt.MaxPlaylist = 8 << 20
	}
	if opt.Memory == 0 {
		opt.Memory = 256 << 20
	}
	if opt.Room == nil {
		opt.Room, opt.Disk = blob.InMemory(), 0
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	dialer := &net.Dialer{Timeout: opt.ConnectTimeout}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		opt: opt, stop: stop,
		transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    opt.ConnectTimeout,
			MaxIdleConns:           1024,
			MaxIdleConnsPerHost:    256,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
		turns: newPlaces(maxFetches), held: newPlaces(maxFetches), bodies: make(chan struct{}, maxBodies),
		large: make(chan struct{}, maxLarge), versions: versions{recent: newRecent[*Playlist](maxVersions)},
	}
	c.cache = cache{client: c, blobs: opt.Room, metrics: opt.Metrics, objects: make(map[string]*object),
		memory: tier{budget: max(opt.Memory, leastMemory)}, disk: tier{budget: opt.Disk}, crowded: make(chan struct{}, 1)}
	c.playlists = playlists{client: c, held: newRecent[*keptPlaylist](maxPlaylists), flights: make(map[string]*flight)}
	opt.Metrics.measure(&c.cache)
	c.work.Go(func() { c.cache.spool(ctx) })
	return c
}

// Close ends what is being fetched, gives back what is kept, and waits for that. Nobody may ask it for anything any more.
func (c *Client) Close() {
	c.closed.Store(true)
	c.stop()
	c.playlists.close()
	c.cache.close()
	c.work.Wait()
	c.transport.CloseIdleConnections()
}

// Source is one thing at its origins.
type Source struct {
	Scope  string              // who asks: fetches are shared within it
	URLs   []string            // the same thing at each origin, in failover order; at least one
	Follow func(*url.URL) bool // whether a redirect may lead there; nil: nowhere

	Target    time.Duration // target duration of the playlist it belongs to; 0: nobody knows
	NotBefore time.Time     // of a playlist: one that was asked for before then will not do
}

// Errors that callers tell apart. What wraps them holds addresses, for the log and not for listeners.
var (
	ErrNotFound    = errors.New("the origin does not have it")
	ErrUnreachable = errors.New("the origin cannot be reached")
	ErrTimeout     = errors.New("the origin does not answer in time")
	ErrAnswer      = errors.New("the origin's answer is of no use")
	ErrTooLarge    = errors.New("the playlist is too large")
	ErrRedirect    = errors.New("the origin redirects to where the edge does not go")
)

const maxRedirects = 4

// do asks the origins in turn until one answers with something that is not its own fault. cancel ends the fetch; the
// head came in time, the body is the caller's to watch.
func (c *Client) do(ctx context.Context, method string, src Source, header http.Header) (resp *http.Response, cancel context.CancelFunc, err error) {
	for _, u := range src.URLs {
		resp, cancel, err = c.ask(ctx, method, u, src, header)
		if err == nil && resp.StatusCode < 500 {
			return resp, cancel, nil
		}
		if err == nil {
			err = refused(resp)
			resp.Body.Close()
			cancel()
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, err
}

func (c *Client) ask(ctx context.Context, method, u string, src Source, header http.Header) (*http.Response, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	late := time.AfterFunc(c.patience(src), func() { cancel(ErrTimeout) })
	req, err := http.NewRequestWithContext(ctx, method, u, nil)
	if err != nil {
		late.Stop()
		stop()
		return nil, nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", c.opt.UserAgent)
	client := http.Client{Transport: c.transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || src.Follow == nil || !src.Follow(next.URL) {
			return fmt.Errorf("%w: %s", ErrRedirect, next.URL.Redacted())
		}
		return nil
	}}
	resp, err := client.Do(req)
	if !late.Stop() && err == nil {
		resp.Body.Close()
		err = ErrTimeout
	}
	if err != nil {
		err = classify(ctx, err)
		stop()
		return nil, nil, err
	}
	return resp, stop, nil
}

// classify gives a transport error the sentinel it belongs to. An origin that cannot be talked to is told from one that talks
// nonsense: a head that is none, or is too long.
func classify(ctx context.Context, err error) error {
	var timeout net.Error
	var socket *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrRedirect), errors.Is(err, ErrTimeout):
		return err
	case errors.Is(context.Cause(ctx), ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &socket), errors.As(err, &certificate), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrAnswer, err)
}

// status turns the head of an answer into an error, unless it is one that has what was asked for.
func status(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %s says %s", ErrNotFound, resp.Request.URL.Redacted(), resp.Status)
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
	e := &StatusError{Status: resp.StatusCode, from: resp.Request.URL.Redacted()}
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// blocks tells a blocking playlist reload (rfc8216bis, 6.2.5.2).
func blocks(u string) bool {
	_, query, _ := strings.Cut(u, "?")
	return strings.Contains(query, "_HLS_msn=")
}

// patience is how long to wait for the head of an answer (rfc8216bis, 6.2.5.2: a blocking reload may take 3 target durations).
func (c *Client) patience(src Source) time.Duration {
	if blocks(src.URLs[0]) {
		return max(c.opt.HoldTimeout, c.opt.HeaderTimeout+3*src.Target)
	}
	return c.opt.HeaderTimeout
}

// watched is a body that ends with ErrTimeout when a Read of it waits too long. How long its reader takes in between is not the
// origin's fault, and does not count.
type watched struct {
	io.ReadCloser
	timer *time.Timer
	stall time.Duration
	stop  context.CancelFunc
	late  atomic.Bool
}

func (c *Client) watch(body io.ReadCloser, stop context.CancelFunc) *watched {
	return watch(body, c.opt.StallTimeout, stop)
}

func watch(body io.ReadCloser, stall time.Duration, stop context.CancelFunc) *watched {
	w := &watched{ReadCloser: body, stall: stall, stop: stop}
	w.timer = time.AfterFunc(stall, func() {
		w.late.Store(true)
		stop()
	})
	w.timer.Stop()
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF && w.late.Load() {
		err = fmt.Errorf("%w: no byte for %v", ErrTimeout, w.stall)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.stop()
	return w.ReadCloser.Close()
}
