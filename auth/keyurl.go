package auth

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How often a key set is fetched: again as its server says, within bounds; for a token with an unknown key id at once, but not
// more often than soonest, as anybody can make such tokens.
const (
	keysUsual    = 10 * time.Minute
	keysShortest = time.Minute
	keysLongest  = time.Hour
	keysSoonest  = 10 * time.Second
	keysTimeout  = 5 * time.Second
	keysPatience = 3 * time.Second // that listeners wait for it
	backoffFirst = time.Second
	backoffLast  = time.Minute
)

// keyURL is a key set that is fetched. A failure leaves the keys that are there.
type keyURL struct {
	url     *url.URL
	agent   string // by which it knows the edge; empty: by the client's own
	client  *http.Client
	log     *slog.Logger
	metrics *Metrics
	now     atomic.Pointer[[]key]
	soonest time.Duration
	ask     chan struct{} // a fetch is wanted

	mu      sync.Mutex
	running bool
	busy    bool
	began   time.Time     // the last fetch
	done    chan struct{} // closed when the fetch that is under way, or the next one, ends

	failing bool // owned by run
}

func newKeyURL(u *url.URL, log *slog.Logger, metrics *Metrics) *keyURL {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	return &keyURL{url: u, log: log, metrics: metrics, soonest: keysSoonest,
		client: &http.Client{Transport: t, Timeout: keysTimeout, CheckRedirect: noRedirect},
		ask:    make(chan struct{}, 1), done: make(chan struct{})}
}

// shown is the URL as a log may have it: a query may be a password, too.
func (k *keyURL) shown() string {
	return (&url.URL{Scheme: k.url.Scheme, Host: k.url.Host, Path: k.url.Path}).String()
}

// noRedirect leaves it to the operator to name where a redirect leads: keys and verdicts come from where he said, and from nowhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// fresh has the keys fetched, unless that was done a moment ago, and waits for it. It reports whether a fetch has ended.
func (k *keyURL) fresh(ctx context.Context) bool {
	k.mu.Lock()
	if !k.running || !k.busy && time.Since(k.began) < k.soonest {
		k.mu.Unlock()
		return false
	}
	done, wait := k.done, keysPatience
	if k.busy { // for whoever asks in turn it is one patience
		wait -= time.Since(k.began)
	}
	k.mu.Unlock()
	select {
	case k.ask <- struct{}{}:
	default:
	}
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case <-done:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

func (k *keyURL) run(ctx context.Context) {
	k.setRunning(true)
	defer k.setRunning(false)
	var failures int
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-k.ask:
			if k.tooSoon() { // asked while the last fetch was ending
				continue
			}
		}
		wait, err := k.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait = backoff(failures, backoffFirst, backoffLast)
			failures++
		} else {
			failures = 0
		}
		k.tell(err)
		next.Reset(wait)
	}
}

func (k *keyURL) setRunning(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = on
}

func (k *keyURL) tooSoon() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Since(k.began) < k.soonest
}

// once fetches, and lets those go who wait.
func (k *keyURL) once(ctx context.Context) (time.Duration, error) {
	k.mu.Lock()
	k.busy, k.began = true, time.Now()
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.busy = false
		close(k.done)
		k.done = make(chan struct{})
	}()
	all, wait, err := k.fetch(ctx)
	if err != nil {
		k.metrics.readKeys("failed")
		return 0, err
	}
	if before := k.now.Swap(&all); before != nil && sameKeys(*before, all) {
		k.metrics.readKeys("same")
	} else {
		k.metrics.readKeys("changed")
		k.log.Info("the keys of tokens were fetched", "url", k.shown(), "keys", len(all))
	}
	return wait, nil
}

func (k *keyURL) fetch(ctx context.Context) ([]key, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if k.agent != "" {
		req.Header.Set("User-Agent", k.agent)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("it answered %d; it must be 200, and redirects are not followed", resp.StatusCode)
	}
	data, err := bounded(resp.Body, maxKeyFile)
	if err != nil {
		return nil, 0, err
	}
	all, err := parseJWKS(data)
	if err != nil {
		return nil, 0, err
	}
	wait, ok := maxAge(resp.Header)
	if !ok {
		wait = keysUsual
	}
	return all, min(max(wait, keysShortest), keysLongest), nil
}

// tell logs what has changed about the URL, and not each failure.
func (k *keyURL) tell(err error) {
	switch failing := err != nil; {
	case failing && !k.failing:
		k.log.Warn("the keys of tokens cannot be fetched; those that are there stay", "setting", "auth.jwt.jwks", "url", k.shown(), "err", err)
	case !failing && k.failing:
		k.log.Info("the keys of tokens can be fetched again", "url", k.shown())
	}
	k.failing = err != nil
}

func sameKeys(a, b []key) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		equal, ok := a[i].key.(interface{ Equal(x crypto.PublicKey) bool })
		if a[i].id != b[i].id || !ok || !equal.Equal(b[i].key) {
			return false
		}
	}
	return true
}

// maxAge is what Cache-Control allows; ok is false where it says nothing.
func maxAge(h http.Header) (age time.Duration, ok bool) {
	for _, line := range h.Values("Cache-Control") {
		for part := range strings.SplitSeq(line, ",") {
			name, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0, true
			case "max-age":
				if n, err := strconv.ParseUint(strings.Trim(v, `"`), 10, 31); err == nil {
					age, ok = time.Duration(n)*time.Second, true
				}
			}
		}
	}
	return age, ok
}

// backoff grows from first to last, and is never the same for two who began together.
func backoff(failures int, first, last time.Duration) time.Duration {
	d := last
	if failures < 20 {
		d = min(first<<failures, last)
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}
