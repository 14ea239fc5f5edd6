package relay

import (
	"context"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/encoding"

	"earshot/listen"
)

// State is what the upstream of a hub is at.
type State string

// The states there are.
const (
	Idle         State = "idle"         // nobody listens
	Connecting   State = "connecting"   // the first attempt
	Up           State = "up"           // audio arrives
	Reconnecting State = "reconnecting" // it is not up, and somebody listens or it is always on
	Failed       State = "failed"       // no origin served it, and nobody listens
)

// holdOff is how long the failure of all origins is answered from memory.
const holdOff = 250 * time.Millisecond

// Hub is one mount: its source, its ring and its listeners.
type Hub struct {
	// Set at construction.
	relay   *Relay
	mount   Mount
	metrics *mountMetrics
	axis    uint64
	ring    *ring
	intro   *intro

	received atomic.Int64 // bytes from the source, ever
	codec    atomic.Pointer[string]
	title    atomic.Pointer[title] // what arrives now
	opening  atomic.Pointer[title] // the first that was said: a source says with its first block what is on already
	heard    atomic.Int64          // unix ns: when audio last came
	charset  encoding.Encoding     // of titles that are not UTF-8; set at construction

	mu        sync.Mutex
	closed    bool
	listeners map[*listener]struct{}
	looking   int // of listeners, those who may only be looking
	peak      int // most listeners at once
	waiting   int // in Open
	state     State
	since     time.Time
	changed   chan struct{} // closed at the next change of state
	up        *upstream     // nil while nobody listens
	last      *upstream     // that there was: the next one waits for it to be done
	linger    *time.Timer
	patience  *time.Timer // runs while somebody listens
	waits     time.Time   // since when it runs; zero: it does not
	connected time.Time   // when the present source was; zero: there is none
	origin    int         // of Mount.Origins, the present source's or the last one's
	held      string      // codec of what the ring holds; "": not known
	titles    []Titled    // the latest first
	info      Info
	known     bool           // info holds something
	rounds    int            // in which all origins failed
	err       *UpstreamError // of the last such round; nil once one is up
	failed    time.Time      // when that was
	end       int64          // ns: where the media of the last run ended
}

func newHub(r *Relay, m Mount, closed bool) *Hub {
	h := &Hub{relay: r, mount: m, metrics: r.opt.Metrics.mount(m.Key), axis: axisOf(m.Key),
		listeners: make(map[*listener]struct{}), state: Idle, since: time.Now(), changed: make(chan struct{}), closed: closed,
		charset: charsetOf(m.Charset)}
	h.ring = newRing(m, r.hurry)
	h.intro = &intro{hub: h, path: m.Intro}
	h.linger = time.AfterFunc(time.Hour, h.lingered)
	h.linger.Stop()
	h.patience = time.AfterFunc(time.Hour, h.impatient)
	h.patience.Stop()
	return h
}

// axisOf is the media axis of a stream, the same on every edge and after every restart.
func axisOf(key string) uint64 {
	f := fnv.New64a()
	f.Write([]byte("icy\x00"))
	f.Write([]byte(key))
	return f.Sum64()
}

// Open sees to it that the source is connected and its format known, and tells it. It waits no longer than ctx; many
// who wait share one attempt. It fails with [ErrFull], [ErrClosed], [ErrTimeout] when ctx or the origins' time is
// over, or an [*UpstreamError] when no origin serves the stream.
func (h *Hub) Open(ctx context.Context) (Info, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rounds := h.rounds
	h.waiting++
	defer h.stopWaiting()
	for {
		if err := h.refusal(); err != nil {
			return Info{}, err
		}
		switch {
		case h.state == Up, h.state == Reconnecting && h.err == nil:
			return h.info, nil
		case h.err != nil && (h.state == Reconnecting || h.rounds != rounds || time.Since(h.failed) < holdOff):
			return Info{}, h.err
		}
		h.start()
		if err := h.await(ctx); err != nil {
			return Info{}, err
		}
	}
}

// await waits for a change of state, with mu given up meanwhile.
func (h *Hub) await(ctx context.Context) error {
	changed := h.changed
	h.mu.Unlock()
	defer h.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		if context.Cause(ctx) == context.DeadlineExceeded {
			return ErrTimeout
		}
		return context.Cause(ctx)
	}
}

func (h *Hub) stopWaiting() {
	h.waiting--
	h.rest()
}

// retire closes the hub if nobody listens, or is about to. Who has got it, but has not opened it yet, must ask for the
// one that takes its place: nobody would end this one's listeners.
func (h *Hub) retire() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) > 0 || h.waiting > 0 || h.up != nil {
		return false
	}
	h.closed = true
	return true
}

// audience is how many listen; who only looks is not among them. The caller holds mu.
func (h *Hub) audience() int { return len(h.listeners) - h.looking }

// full is called with mu held.
func (h *Hub) full() bool { return h.mount.MaxListeners > 0 && h.audience() >= h.mount.MaxListeners }

// seat gives a listener a place whose trial is over, if there is one.
func (h *Hub) seat(l *listener) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.looks {
		return true
	}
	if h.full() {
		return false
	}
	l.looks = false
	h.looking--
	h.counted()
	return true
}

// counted tells how many listen. The caller holds mu.
func (h *Hub) counted() {
	h.peak = max(h.peak, h.audience())
	h.metrics.setListeners(h.audience())
}

// refusal is why nobody may join. The caller holds mu.
func (h *Hub) refusal() error {
	if h.closed {
		return ErrClosed
	}
	if h.full() {
		return ErrFull
	}
	return nil
}

// Peek is what was last known of the stream, without asking the origin.
func (h *Hub) Peek() (Info, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.info, h.known
}

// wanted tells whether anybody needs the source. The caller holds mu.
func (h *Hub) wanted() bool { return h.mount.AlwaysOn || len(h.listeners)+h.waiting > 0 }

// start begins to connect, if that is not under way. The caller holds mu.
func (h *Hub) start() {
	h.linger.Stop()
	h.wait()
	if h.up == nil && !h.closed {
		up := newUpstream(h, h.last)
		h.up, h.last = up, up
		h.setState(Connecting)
		h.relay.running.Go(up.run)
	}
}

// rest lets the source linger when nobody needs it. The caller holds mu.
func (h *Hub) rest() {
	if len(h.listeners) == 0 {
		h.waitNoMore()
	}
	if h.up != nil && !h.wanted() {
		h.linger.Reset(h.mount.Linger)
	}
}

// lingered lets the source go.
func (h *Hub) lingered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != nil && !h.wanted() {
		h.stop(Idle)
	}
}

// stop lets the source go and forgets its audio: it would be old when the next listener comes. The caller holds mu.
func (h *Hub) stop(s State) {
	h.up.cancel()
	h.up, h.connected = nil, time.Time{}
	h.empty()
	h.setState(s)
}

// empty forgets the audio. The caller holds mu.
func (h *Hub) empty() {
	h.ring.reset()
	h.held = ""
	h.title.Store(nil)
	h.opening.Store(nil)
}

// setState is called with mu held.
func (h *Hub) setState(s State) {
	if s != h.state {
		h.state, h.since = s, time.Now()
	}
	h.metrics.setUp(s == Up)
	close(h.changed)
	h.changed = make(chan struct{})
}

// endAll ends every listener. The caller holds mu.
func (h *Hub) endAll(reason listen.Reason) {
	for l := range h.listeners {
		l.end(reason)
	}
}

// close ends the hub for good.
func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	h.linger.Stop()
	h.waitNoMore()
	h.endAll(listen.Drain)
	if h.up != nil {
		h.stop(Idle)
	}
	h.setState(Idle)
}
