package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxRedirects = 4
	maxTarget    = time.Minute // of what a playlist claims for its target duration, where it says how long to wait
)

// fetcher turns a Source into an answer: it owns the connections to the origins, and knows which of them are well.
type fetcher struct {
	opt        *Options
	hosts      *Hosts
	dialer     *dialer
	transports []*transport
	origins    origins

	ctx    context.Context // of the trials
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	trials sync.WaitGroup
}

func newFetcher(opt *Options) *fetcher {
	f := &fetcher{opt: opt, hosts: NewHosts(opt.Hosts)}
	f.dialer = newDialer(opt, f.hosts)
	f.transports = transports(opt, f.hosts, f.dialer)
	f.origins.made = f.made
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// close ends the trials and drops the idle connections.
func (f *fetcher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.trials.Wait()
	for _, t := range f.transports {
		t.CloseIdleConnections()
	}
}

// ask sends a request to one origin and waits for the head of its answer. connected is whether there was a connection to send it on.
func (f *fetcher) ask(ctx context.Context, method, u string, src Source, header http.Header) (resp *http.Response, cancel context.CancelFunc, connected bool, err error) {
	var got atomic.Bool
	ctx, end := context.WithCancelCause(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}))
	stop := func() { end(nil) }
	req, err := http.NewRequestWithContext(ctx, method, u, nil)
	if err != nil {
		stop()
		return nil, nil, true, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	late := time.AfterFunc(f.patience(req.URL, src.Target), func() { end(ErrTimeout) })
	client := http.Client{Transport: f, CheckRedirect: redirects(src.Follow)}
	resp, err = client.Do(req)
	if !late.Stop() && err == nil {
		resp.Body.Close()
		err = ErrTimeout
	}
	if err != nil {
		err = classify(ctx, err, got.Load())
		stop()
		return nil, nil, got.Load(), err
	}
	return resp, stop, true, nil
}

// redirects decides on each hop: not too many, none to where the Source does not go, and none out of TLS.
func redirects(follow func(*url.URL) bool) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		secure := slices.ContainsFunc(via, func(r *http.Request) bool { return r.URL.Scheme == "https" })
		switch {
		case len(via) > maxRedirects, follow == nil, !follow(next.URL):
			return fmt.Errorf("%w: %s", ErrRedirect, named(next.URL))
		case secure && next.URL.Scheme != "https":
			return fmt.Errorf("%w: %s, out of TLS", ErrRedirect, named(next.URL))
		}
		return nil
	}
}

// RoundTrip is one hop: it adds what its host alone is to get. What is added does not reach the next hop.
func (f *fetcher) RoundTrip(req *http.Request) (*http.Response, error) {
	host := f.hosts.For(req.URL)
	hop := req.WithContext(req.Context())
	hop.Header = req.Header.Clone()
	hop.Header.Del("Referer") // net/http names the last hop, with its query
	hop.Header.Set("User-Agent", f.opt.UserAgent)
	host.sign(hop)
	via := f.opt.Transport
	switch {
	case via != nil:
	case host.via != nil:
		via = host.via
	default:
		via = f.transports[0]
	}
	resp, err := via.RoundTrip(hop)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// blocks tells a blocking playlist reload (rfc8216bis, 6.2.5.2).
func blocks(u string) bool {
	_, query, _ := strings.Cut(u, "?")
	return strings.Contains(query, "_HLS_msn=")
}

// patience is how long to wait for the head of an answer (rfc8216bis, 6.2.5.2: a blocking reload may take 3 target durations).
func (f *fetcher) patience(u *url.URL, target time.Duration) time.Duration {
	head := f.opt.HeaderTimeout
	if own := f.hosts.For(u).HeaderTimeout; own > 0 {
		head = own
	}
	if strings.Contains(u.RawQuery, "_HLS_msn=") {
		return max(f.opt.HoldTimeout, 3*min(target, maxTarget)+head)
	}
	return head
}

// attempt asks one origin, and notes what that says of it. A 5xx is an error.
func (f *fetcher) attempt(ctx context.Context, method string, t turn, src Source, header http.Header) (*http.Response, context.CancelFunc, error) {
	began := time.Now()
	resp, cancel, connected, err := f.ask(ctx, method, t.url, src, header)
	if err == nil && resp.StatusCode >= 500 {
		err = refused(resp)
		resp.Body.Close()
		cancel()
	}
	f.settle(ctx, t, began, connected, err)
	if err != nil {
		return nil, nil, err
	}
	return resp, cancel, nil
}

// settle notes the outcome of an attempt.
func (f *fetcher) settle(ctx context.Context, t turn, began time.Time, connected bool, err error) {
	f.opt.Metrics.attempted(err)
	var said *StatusError
	refuses := errors.As(err, &said)
	about, _, _ := strings.Cut(t.url, "?")
	switch {
	case err == nil, errors.Is(err, ErrRedirect):
		t.at.answered(t.trial)
	case ctx.Err() != nil:
		t.at.dropped(t.trial)
	case refuses && said.Status == http.StatusServiceUnavailable && blocks(t.url) && !t.trial:
		t.at.dropped(false) // it speaks of the request (rfc8216bis, 6.2.5.2)
	case refuses:
		t.at.failed(failure{refusing, about, err, began}, t.trial)
	case connected:
		t.at.failed(failure{mute, about, err, began}, t.trial)
	default:
		t.at.failed(failure{unreached, about, err, began}, t.trial)
	}
}
