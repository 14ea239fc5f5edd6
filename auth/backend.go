package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxAsking  = 256      // questions at a time
	maxWaiting = 4096     // questions that are asked or wait for their turn
	maxBody    = 64 << 10 // of an answer
	askAgain   = 30 * time.Second
)

// Policies for a backend that does not answer.
const (
	onErrorAllow = "allow"
	onErrorDeny  = "deny"
	onErrorLast  = "last"
)

// dialect is how a backend is spoken to.
type dialect interface {
	// ticket is what is to be kept of the credentials, at most MaxTicket bytes.
	ticket(q *question) string
	ask(ctx context.Context, to string, q *question) (*http.Request, error)
	remove(ctx context.Context, to string, r *Removal) (*http.Request, error)
	// read makes an answer of a response below 500 that is neither a redirect nor 429. It reads the body if it wants to.
	read(resp *http.Response) (answer, error)
	// counts reports that the backend counts questions: each session is asked for, and no answer serves another.
	counts() bool
}

// question is one listener that the backend is asked about.
type question struct {
	*Request
	again    bool   // about a session that goes on
	user     string // that a token or signature proved
	token    string // what the listener showed: a token, or user:pass of Basic
	basic    bool
	basicAs  string // user of Basic
	password string
	ticket   string // of a session that goes on
}

// answer is what the backend said.
type answer struct {
	allow                    bool
	user, device, deviceType string
	shared                   bool
	message                  string
	maxSessions              int
	again                    time.Duration // until it is to be asked again; 0: never
	limit                    time.Duration // of the session; 0: none
	keep                     time.Duration // that the answer serves others of the same key; 0: not at all
	unproved                 bool          // it was a 401
	garbled                  string        // a header that made no sense and was passed over; empty: none
	at                       time.Time
}

// backend asks, and remembers.
type backend struct {
	dialect   dialect
	url       string
	agent     string // by which it knows the edge; empty: by the client's own
	client    *http.Client
	timeout   time.Duration
	onError   string
	log       *slog.Logger
	metrics   *Metrics
	abandoned func(Removal) // what is done about a listener who was let in and had left

	ctx     context.Context // ends with the backend
	cancel  context.CancelFunc
	asking  chan struct{}
	all     sync.WaitGroup
	failing atomic.Bool
	garbled sync.Once     // it was said of an answer
	asked   atomic.Uint64 // questions that are shared with nobody
	known   *answers

	mu    sync.Mutex
	shut  bool
	calls map[answerKey]*call
}

func newBackend(c Callback, log *slog.Logger, metrics *Metrics) (*backend, error) {
	u, err := webURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("auth.callback.url: not a URL that can be asked: %w", err)
	}
	b := &backend{url: u.String(), timeout: c.Timeout, onError: c.OnError, log: log, metrics: metrics, asking: make(chan struct{}, maxAsking),
		known: newAnswers(maxAnswers), calls: make(map[answerKey]*call)}
	switch c.Style {
	case "", "json":
		b.dialect = jsonStyle{}
	case "icecast":
		b.dialect = icecastStyle{}
	default:
		return nil, fmt.Errorf("auth.callback.style: %q is none; json and icecast are", c.Style)
	}
	switch c.OnError {
	case "":
		b.onError = onErrorLast
	case onErrorAllow, onErrorDeny, onErrorLast:
	default:
		return nil, fmt.Errorf("auth.callback.on_error: %q is none; allow, deny and last are", c.OnError)
	}
	if b.timeout <= 0 {
		b.timeout = defaultTimeout
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = maxAsking, maxAsking
	t.MaxResponseHeaderBytes, t.DisableCompression = maxBody, true
	b.client = &http.Client{Transport: t, CheckRedirect: noRedirect}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// close ends what is under way.
func (b *backend) close() {
	b.mu.Lock()
	b.shut = true
	b.mu.Unlock()
	b.cancel()
	b.all.Wait()
	b.client.CloseIdleConnections()
}

// admit asks about a new session. Its error is a *Refusal.
func (b *backend) admit(ctx context.Context, r *Request, id Identity, c *credentials) (Identity, error) {
	q := &question{Request: r, user: id.User, token: c.any(), basic: c.basic}
	if q.basic {
		q.basicAs, q.password = c.user, c.pass
		if !plain(q.basicAs) {
			return Identity{}, invalid("the user is too long or not printable", nil)
		}
	}
	key := keyOf(q)
	known, there := b.known.get(key)
	if there && time.Since(known.at) < known.keep {
		return b.apply(q, id, &known)
	}
	about := key
	if b.dialect.counts() { // two connections of one session are two
		about = key.of(strconv.FormatUint(b.asked.Add(1), 10))
	}
	a, err := b.join(ctx, about, key, q)
	if err == nil {
		return b.apply(q, id, &a)
	}
	if ctx.Err() != nil {
		return Identity{}, refuse(NotAllowed, "nobody waits for the answer", ctx.Err())
	}
	return b.blind(q, id, known, there, err)
}

// blind decides about a new session without the backend.
func (b *backend) blind(q *question, id Identity, known answer, there bool, cause error) (Identity, error) {
	b.metrics.degrade(b.onError)
	switch {
	case b.onError == onErrorAllow:
		if !known.allow {
			known = answer{allow: true}
		}
	case b.onError == onErrorDeny, !there:
		return Identity{}, refuse(NotAllowed, "it cannot be checked at the moment who you are", cause)
	}
	id, err := b.apply(q, id, &known)
	if err == nil && !b.dialect.counts() {
		id.Again = b.soon()
	}
	return id, err
}

// again asks about a session that goes on. Its error is a *Refusal.
func (b *backend) again(ctx context.Context, r *Request, id Identity) (Identity, error) {
	as, token := ticketParts(id.Ticket)
	if b.dialect.counts() || token == longToken { // it has no such question; or would be asked about a listener who shows nothing
		id.Again = time.Time{}
		return id, nil
	}
	own := *r
	own.SessionID = cmp.Or(as, r.SessionID)
	q := &question{Request: &own, again: true, user: id.User, token: token, ticket: id.Ticket}
	key := keyOf(q)
	a, err := b.join(ctx, key.of(own.SessionID), key, q)
	if err != nil {
		if ctx.Err() == nil {
			b.metrics.degrade("kept")
		}
		id.Again = b.soon()
		return id, nil
	}
	return b.apply(q, id, &a)
}

// soon is when a backend that does not answer is asked again, not for all sessions at once.
func (b *backend) soon() time.Time { return time.Now().Add(backoff(0, askAgain, askAgain)) }

// apply makes an identity of an answer.
func (b *backend) apply(q *question, id Identity, a *answer) (Identity, error) {
	if !a.allow {
		detail := a.message
		if detail == "" {
			detail = "you may not listen to this"
		}
		if a.unproved && q.token == "" && !q.again {
			return Identity{}, refuse(TokenRequired, detail, nil)
		}
		return Identity{}, refuse(NotAllowed, detail, nil)
	}
	if id.User == "" && q.basic && b.dialect.counts() {
		id.User = strings.Clone(q.basicAs)
	}
	for to, v := range map[*string]string{&id.User: a.user, &id.Device: a.device, &id.DeviceType: a.deviceType} {
		if v != "" {
			*to = v
		}
	}
	id.Shared = id.Shared || a.shared
	if a.maxSessions > 0 {
		id.MaxSessions = a.maxSessions
	}
	id.Again = time.Time{}
	if a.again > 0 {
		id.Again = a.at.Add(a.again)
	}
	if a.limit > 0 {
		id.Ends = time.Now().Add(a.limit)
	}
	if !q.again {
		id.Ticket = b.dialect.ticket(q)
	}
	return id, nil
}

// answerKey is what answers are remembered by: a digest, as tokens are long and not to be kept.
type answerKey [sha256.Size]byte

func keyOf(q *question) answerKey {
	return digest(q.token, q.basicAs, q.password, q.user, q.Group, q.Address.String(), q.Agent)
}

// of is the key of one session's own question.
func (k answerKey) of(session string) answerKey { return digest(string(k[:]), session) }

func digest(parts ...string) (k answerKey) {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	h.Sum(k[:0])
	return k
}

// failure is a question that was not answered.
type failure struct {
	reason string // a label value
	err    error
}

func (f *failure) Error() string { return "auth callback: " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(reason string, err error) error { return &failure{reason, err} }

// ask asks, and waits for the answer.
func (b *backend) ask(ctx context.Context, q *question) (answer, error) {
	select {
	case b.asking <- struct{}{}:
		defer func() { <-b.asking }()
	case <-ctx.Done():
		return answer{}, fail("busy", fmt.Errorf("%d questions are under way: %w", maxAsking, ctx.Err()))
	}
	began := time.Now()
	defer func() { b.metrics.took(time.Since(began).Seconds()) }()
	req, err := b.dialect.ask(ctx, b.url, q)
	if err != nil {
		return answer{}, fail("network", err)
	}
	a, err := b.do(req, b.dialect.read)
	a.at = time.Now()
	if a.garbled != "" {
		b.garbled.Do(func() {
			b.log.Warn("the auth callback answers with a header that makes no sense; it is passed over, here and wherever else it comes", "header", a.garbled)
		})
	}
	return a, err
}

// do sends a request, and reads what comes back if it is an answer.
func (b *backend) do(req *http.Request, read func(*http.Response) (answer, error)) (answer, error) {
	if b.agent != "" {
		req.Header.Set("User-Agent", b.agent)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return answer{}, fail(reasonOf(err), withoutURL(err))
	}
	defer resp.Body.Close()
	switch s := resp.StatusCode; {
	case s >= 500, s == http.StatusTooManyRequests: // it is not well, and has said nothing of the listener
		return answer{}, fail("status", fmt.Errorf("it answered %d", s))
	case s >= 300 && s < 400:
		return answer{}, fail("status", fmt.Errorf("it answered %d; redirects are not followed: set auth.callback.url to where it leads", s))
	}
	a, err := read(resp)
	if err != nil {
		if reasonOf(err) == "timeout" {
			return answer{}, fail("timeout", err)
		}
		return answer{}, fail("answer", err)
	}
	// What little may be left is read, so that the connection can be used again.
	_, _ = bounded(resp.Body, 4<<10)
	return a, nil
}

func reasonOf(err error) string {
	var t interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout() {
		return "timeout"
	}
	return "network"
}

// withoutURL is an error of the client without the URL, which may hold a password.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// tell tells the backend of a session that is over. Any answer that read would take means that it was told.
func (b *backend) tell(ctx context.Context, r *Removal) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	req, err := b.dialect.remove(ctx, b.url, r)
	if err != nil {
		return err
	}
	_, err = b.do(req, func(*http.Response) (answer, error) { return answer{}, nil })
	return err
}
