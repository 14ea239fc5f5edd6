// Package relay carries ICY streams: one connection to the source of each mount however many listen, a ring of
// its audio in memory, and listeners who are nothing but cursors into that ring.
//
// The road of a byte: a [Hub] reads its source, takes the metadata out of the audio, cuts the audio into chunks of
// whole frames, each with its place on the media timeline and the title that was on when it arrived, and appends
// them to the ring. That costs the same for one listener or ten thousand: nobody is told. Listeners are woken by the
// clock, in turns, and send what has come since in one large write. A listener who cannot follow is cut, with a
// typed reason; neither the source nor any other listener ever waits for him.
//
// [Hub.Join] takes a connection over for good: the relay writes, meters and closes it. How it does so is its own
// affair.
package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Relay. Zero values take the defaults in brackets.
type Options struct {
	Log       *slog.Logger
	Metrics   *Metrics
	UserAgent string // [earshot/1]. Shoutcast serves a page instead of audio to one that begins with Mozilla

	Linger         time.Duration // [15s] that a source is kept after the last listener
	ConnectTimeout time.Duration // [10s] to connect to a source, with TLS
	HeaderTimeout  time.Duration // [15s] for the head of its answer and the first of its audio
	Patience       time.Duration // [5m] that listeners wait for a source that is gone
	StallTimeout   time.Duration // [10s] without a byte, after which a source is given up
	MaxAhead       time.Duration // [1m] that a source's audio may be ahead of the clock before it is read no faster than it plays; more than any burst
	ReturnFirst    time.Duration // [5s] after which an origin that is preferred to the present one is asked again
	ReturnLast     time.Duration // [1m] between such attempts, in the end
	WriteStall     time.Duration // [30s] that a listener may take for one write. He is cut after half as much again at the latest

	Access func(u *url.URL) Access // what the source at a URL needs; nil: nothing

	// Dial connects to sources; nil is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.Linger, 15 * time.Second},
		{&o.ConnectTimeout, 10 * time.Second},
		{&o.HeaderTimeout, 15 * time.Second},
		{&o.Patience, 5 * time.Minute},
		{&o.StallTimeout, 10 * time.Second},
		{&o.MaxAhead, time.Minute},
		{&o.ReturnFirst, 5 * time.Second},
		{&o.ReturnLast, time.Minute},
		{&o.WriteStall, 30 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.UserAgent == "" {
		o.UserAgent = "earshot/1"
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return o
}

// Relay is the hubs of an edge.
type Relay struct {
	// Set at construction.
	opt    Options
	tls    *tls.Config     // for https sources; nil: the roots of the system
	ctx    context.Context // ends every source
	cancel context.CancelFunc

	running sync.WaitGroup // every goroutine of the relay
	writers []*writer
	joined  atomic.Uint64 // listeners ever; spreads them over the writers

	mu     sync.Mutex
	hubs   map[string]*Hub
	closed bool
}

// New makes a Relay with no hubs. Shutdown ends it.
func New(opt Options) *Relay {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Relay{opt: opt.withDefaults(), ctx: ctx, cancel: cancel, hubs: make(map[string]*Hub)}
	for range runtime.GOMAXPROCS(0) {
		r.writers = append(r.writers, newWriter(r))
	}
	return r
}

// writer is the one that gets the next listener.
func (r *Relay) writer() *writer { return r.writers[r.joined.Add(1)%uint64(len(r.writers))] }

// hurry has every listener visited soon.
func (r *Relay) hurry() {
	for _, w := range r.writers {
		w.hurry()
	}
}

// Mount is one stream: where it comes from and how it is relayed.
type Mount struct {
	Key          string        // stream key
	Path         string        // as players ask for it; told in Status
	Origins      []string      // URLs, http or https, in failover order; user:password@ is sent as Basic auth. Path of a file may stand last
	Follow       []string      // hosts (host or host:port) that a redirect or a playlist of an origin may lead to, beside the origins' own
	Burst        int64         // [64 KiB] of recent audio with which a listener begins
	BurstTime    time.Duration // if not 0, the burst in time, instead of in bytes
	Rewind       time.Duration // [1m] of audio kept
	MaxListeners int           // 0: no limit
	Intro        string        // path of a file of the stream's format, which each listener hears first; "": none
	Charset      string        // IANA name of what titles are in that are not UTF-8; "": windows-1252

	AlwaysOn bool          // the source stays connected though nobody listens
	Linger   time.Duration // [the relay's] that a source is kept after the last listener
	Patience time.Duration // [the relay's] that listeners wait for a source that is gone; then they are ended (listen.SourceGone)
	Stall    time.Duration // [the relay's StallTimeout] without a byte, after which a source is given up

	Transient bool // one of a pattern's: its hub is forgotten when it is idle and room is needed
}

func (m Mount) withDefaults(o *Options) Mount {
	if m.Burst <= 0 {
		m.Burst = 64 << 10
	}
	if m.Rewind <= 0 {
		m.Rewind = time.Minute
	}
	m.Linger = cmp.Or(m.Linger, o.Linger)
	m.Patience = cmp.Or(m.Patience, o.Patience)
	m.Stall = cmp.Or(m.Stall, o.StallTimeout)
	return m
}

// maxTransient bounds the hubs kept while idle, where a pattern lets clients name mounts.
const maxTransient = 1000

// Start makes the hubs of those mounts that are always on, so that they connect before anybody asks for them.
func (r *Relay) Start(mounts []Mount) {
	for _, m := range mounts {
		if m.AlwaysOn {
			r.Hub(m)
		}
	}
}

// Hub is the hub of a mount, made when it is first asked for; one that is always on connects then. A hub keeps the
// mount it was made with.
func (r *Relay) Hub(m Mount) *Hub {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.hubs[m.Key]; ok {
		return h
	}
	if m.Transient && len(r.hubs) >= maxTransient {
		r.forgetIdle()
	}
	h := newHub(r, m.withDefaults(&r.opt), r.closed)
	r.hubs[m.Key] = h
	if m.AlwaysOn {
		h.mu.Lock()
		h.start()
		h.mu.Unlock()
	}
	return h
}

// Open is the hub of a mount, open: Hub and [Hub.Open] in one, also where the hub is forgotten between the two.
func (r *Relay) Open(ctx context.Context, m Mount) (*Hub, Info, error) {
	for {
		h := r.Hub(m)
		info, err := h.Open(ctx)
		if known, ok := r.Find(m.Key); err != ErrClosed || ok && known == h {
			return h, info, err
		}
	}
}

// Find is the hub of a mount that was asked for before.
func (r *Relay) Find(key string) (*Hub, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.hubs[key]
	return h, ok
}

// Forget lets go of a transient hub that nobody needs: its origin does not have it.
func (r *Relay) Forget(h *Hub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hubs[h.mount.Key] == h {
		r.forget(h)
	}
}

// forgetIdle lets go of every transient hub that nobody needs. The caller holds mu.
func (r *Relay) forgetIdle() {
	for _, h := range r.hubs {
		r.forget(h)
	}
}

func (r *Relay) forget(h *Hub) {
	if h.mount.Transient && h.retire() {
		delete(r.hubs, h.mount.Key)
		h.metrics.forget()
	}
}

// Each calls f for every hub until it returns false, in no order.
func (r *Relay) Each(f func(*Hub) bool) {
	for _, h := range r.all() {
		if !f(h) {
			return
		}
	}
}

func (r *Relay) all() []*Hub {
	r.mu.Lock()
	defer r.mu.Unlock()
	hubs := make([]*Hub, 0, len(r.hubs))
	for _, h := range r.hubs {
		hubs = append(hubs, h)
	}
	return hubs
}

// Shutdown ends every listener (listen.Drain), closes the sources and waits until all that ran has ended, or ctx has.
// Hubs refuse with [ErrClosed] from then on.
func (r *Relay) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, h := range r.all() {
		h.close()
	}
	r.cancel()
	done := make(chan struct{})
	go func() {
		r.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
