package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"earshot/listen"
)

const (
	firstRetry = 250 * time.Millisecond
	soonRetry  = time.Second      // no less often while listeners still have something to hear, or have only just not
	lastRetry  = 15 * time.Second // and never less often than that
	goodRun    = 10 * time.Second // a run that lasts so long was no failed attempt
)

// upstream is what keeps a hub supplied, from the first listener until its linger is over. The hub forgets it when it
// cancels it; what it still does then changes nothing.
type upstream struct {
	hub    *Hub
	ctx    context.Context
	cancel context.CancelFunc
	dialer dialer
	id     uint64 // the ring takes its chunks only
	done   chan struct{}

	// Owned by run.
	last      *upstream
	failures  int       // in a row
	failing   time.Time // when the first of them was
	quiet     bool      // the failure has been logged
	serving   int       // the origin of the present or last source; −1 before the first
	codec     string    // of the last chunk
	fruitless bool      // the last run brought nothing but what had been relayed

	homeless int // attempts to return since an origin that is preferred has served well; run's, and homing's while that runs
}

func newUpstream(h *Hub, last *upstream) *upstream {
	ctx, cancel := context.WithCancel(h.relay.ctx)
	u := &upstream{hub: h, ctx: ctx, cancel: cancel, id: rand.Uint64() | 1, serving: -1,
		done: make(chan struct{}), last: last, dialer: dialer{&h.relay.opt, h.relay.tls, h.mount.Origins, h.mount.Follow}}
	h.ring.begin(u.id)
	return u
}

// run connects and reads until nobody needs the source.
func (u *upstream) run() {
	defer close(u.done)
	defer u.cancel()
	if u.last != nil {
		<-u.last.done // it notes where its media ended
		u.last = nil
	}
	first := 0
	for u.ctx.Err() == nil {
		c, err := u.connect(first)
		if err != nil {
			if first = 0; !u.roundFailed(err) || !u.pause() {
				return
			}
			continue
		}
		first = u.serve(c)
		if !u.lost() || !u.recover() {
			return
		}
	}
}

// serve streams from one source, and those that take over from it, until one is lost. It tells which origin is to be
// tried first then: after a run that was cut short or stalled the next in the list, so that one that accepts and says
// nothing does not keep the stream from the others.
func (u *upstream) serve(c candidate) (first int) {
	for {
		next, how := u.stream(c)
		if how.lasted {
			u.failures = 0
		}
		if next != nil {
			c = *next
			continue
		}
		if how.lasted && !how.stalled {
			return 0
		}
		return (c.at + 1) % len(u.hub.mount.Origins)
	}
}

// recover waits before the next attempt, but not after the first failure of a source that has others to stand in.
func (u *upstream) recover() bool {
	if u.failures == 0 && len(u.hub.mount.Origins) > 1 {
		u.failed()
		return u.ctx.Err() == nil
	}
	return u.pause()
}

// connect tries every origin once, from the first-th on.
func (u *upstream) connect(first int) (c candidate, err *UpstreamError) {
	origins := u.hub.mount.Origins
	if len(origins) == 0 {
		return c, failed(BadOrigin, errors.New("the mount has no origin"))
	}
	for i := range origins {
		c.at = (first + i) % len(origins)
		c.source, err = u.dialer.dial(u.ctx, origins[c.at])
		if u.ctx.Err() != nil {
			if c.source != nil {
				c.source.close()
			}
			return c, failed(Refused, u.ctx.Err())
		}
		if err == nil {
			u.hub.metrics.connected(Connected)
			return c, nil
		}
		u.hub.metrics.connected(err.Outcome)
		u.logFailure(origins[c.at], err)
	}
	return c, err
}

// logFailure warns once, until the source is up again.
func (u *upstream) logFailure(origin string, err *UpstreamError) {
	log := u.hub.relay.opt.Log.Warn
	if u.quiet {
		log = u.hub.relay.opt.Log.Debug
	}
	log("source not connected", "stream", u.hub.mount.Key, "origin", redacted(origin), "outcome", err.Outcome, "err", err.cause)
}

// redacted is an origin as it may stand in a log.
func redacted(origin string) string {
	if isFile(origin) {
		return origin
	}
	u, err := parseOrigin(origin)
	if err != nil {
		return "(invalid)"
	}
	return named(u)
}

// named is a URL as it may stand in a log: its query may hold a token.
func named(u *url.URL) string {
	name, _, _ := strings.Cut(u.Redacted(), "?")
	return name
}

// pause waits before the next attempt: longer each time, but no longer than a tenth of the time that it has lasted, so
// that a source that is back soon is found soon; by chance half as long or not. false: not to go on.
func (u *upstream) pause() bool {
	d := firstRetry << min(u.failures, 10)
	u.failed()
	d = min(d, max(soonRetry, time.Since(u.failing)/10), lastRetry)
	return sleep(u.ctx, d/2+rand.N(d/2))
}

func (u *upstream) failed() {
	if u.failures == 0 {
		u.failing = time.Now()
	}
	u.failures++
}

// roundFailed notes that no origin serves the stream. It reports whether to try again.
func (u *upstream) roundFailed(err *UpstreamError) bool {
	h := u.hub
	u.quiet = true
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u {
		return false
	}
	h.err, h.failed = err, time.Now()
	h.rounds++
	if len(h.listeners) == 0 && !h.mount.AlwaysOn {
		h.stop(Failed)
		return false
	}
	h.setState(Reconnecting)
	return true
}

// lost notes that the source is gone. It reports whether anybody needs it back.
func (u *upstream) lost() bool {
	h := u.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u {
		return false
	}
	if !h.wanted() {
		h.stop(Idle)
		return false
	}
	h.connected = time.Time{}
	h.setState(Reconnecting)
	return true
}

// ending is how a run was.
type ending struct {
	lasted  bool // long enough to have been worth connecting
	stalled bool
}

// stream reads a source to its end, or until a preferred one takes over.
func (u *upstream) stream(c candidate) (next *candidate, how ending) {
	defer c.source.close()
	base, ok := u.adopt(c)
	if !ok {
		return nil, how
	}
	began := time.Now()
	log := u.log(c.at)
	log.Info("source connected", "type", c.source.info.ContentType)
	u.quiet = false
	home := u.seekHome(c)
	r := newReader(u, c.source, home, base)
	err := r.run()
	u.finish(r.asm.clock.pos())
	u.fruitless = !r.published && r.asm.at > probeBytes
	next = home.stop()
	how = ending{time.Since(began) >= goodRun, errors.Is(err, os.ErrDeadlineExceeded)}
	if c.at == 0 && how.lasted {
		u.homeless = 0
	}
	if u.ctx.Err() != nil && next != nil {
		next.source.close()
		next = nil
	}
	if u.ctx.Err() == nil && err != errReturned {
		log.Warn("source lost", "err", err, "after", time.Since(began).Round(time.Millisecond))
	}
	return next, how
}

func (u *upstream) log(at int) *slog.Logger {
	return u.hub.relay.opt.Log.With("stream", u.hub.mount.Key, "origin", u.origin(at))
}

// origin names one of the mount's by its place and its address.
func (u *upstream) origin(at int) string {
	return fmt.Sprintf("%d %s", at+1, redacted(u.hub.mount.Origins[at]))
}

// adopt makes the source the hub's, and says where its media begins. Those who listen to another format cannot hear
// on.
func (u *upstream) adopt(c candidate) (base int64, ok bool) {
	h, info := u.hub, c.source.info
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u {
		return 0, false
	}
	if h.known && familyOf(h.info.ContentType) != familyOf(info.ContentType) {
		u.replace()
		h.title.Store(nil)
		h.opening.Store(nil)
	}
	u.turnTo(c.source.codec()) // where it can be told yet: who joins is not to begin with the old one
	if len(h.listeners) == 0 && h.end < time.Now().Add(-h.mount.Rewind).UnixNano() {
		u.replace() // nobody is to begin with audio of an hour ago
	}
	if h.title.Load() != nil && c.source.untitled() {
		h.title.Store(noTitle) // the last one's is not its
	}
	u.moved(c)
	u.codec = ""
	h.codec.Store(nil)
	h.info, h.known, h.err = info, true, nil
	h.origin, h.connected = c.at, time.Now()
	h.setState(Up)
	return h.begin(h.connected, c.goesOn), true
}

// replace ends those who listen, when they have had what there is for them, and begins with nothing. The caller holds
// the hub's mu.
func (u *upstream) replace() {
	u.hub.endAll(listen.SourceGone)
	u.hub.ring.reset()
	u.hub.ring.begin(u.id)
	u.hub.held = ""
}

// maxSeam is how far the media may lag behind the clock where one source takes over from another without a gap.
const maxSeam = 2 * time.Second

// begin is where the media of a run begins: now, or where the last one ended, if that is later or the run goes on from
// it, so that it is one piece for who hears both. The caller holds mu.
func (h *Hub) begin(now time.Time, goesOn bool) int64 {
	at := now.UnixNano()
	if h.end > at || goesOn && h.end > at-int64(maxSeam) {
		return h.end
	}
	return at
}

// moved tells of a change to another origin.
func (u *upstream) moved(c candidate) {
	from := u.serving
	if u.serving = c.at; from < 0 || from == c.at {
		return
	}
	to := "fallback"
	switch {
	case c.source.file != nil:
		to = "file"
	case c.at < from:
		to = "return"
	}
	u.hub.metrics.changed(to)
	u.hub.relay.opt.Log.Info("source changed", "stream", u.hub.mount.Key, "how", to, "from", u.origin(from), "to", u.origin(c.at))
}

// publish brings a chunk into the ring. Another codec than the ring holds is no stream to hear on.
func (u *upstream) publish(c *chunk, codec string) {
	h := u.hub
	if codec != u.codec {
		u.codec = codec
		u.recode(codec)
	}
	h.ring.publish(u.id, c)
	h.heard.Store(time.Now().UnixNano())
}

func (u *upstream) recode(codec string) {
	h := u.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != u || codec == "" {
		return
	}
	u.turnTo(codec)
	h.held = codec
	h.codec.Store(&codec)
}

// turnTo lets go of what is held of another codec, and of those who listen to it. The caller holds the hub's mu.
func (u *upstream) turnTo(codec string) {
	h := u.hub
	if codec != "" && h.held != "" && h.held != codec {
		h.relay.opt.Log.Warn("the codec changed: listeners ended", "stream", h.mount.Key, "from", h.held, "to", codec, "listeners", len(h.listeners))
		u.replace()
	}
}

// announce notes the title that is on from now on.
func (u *upstream) announce(t *title) {
	u.hub.mu.Lock()
	defer u.hub.mu.Unlock()
	if u.hub.up == u {
		u.hub.announce(t)
	}
}

// finish notes where the media of a run ended, so that the next one does not overlap it.
func (u *upstream) finish(pos int64) {
	u.hub.mu.Lock()
	u.hub.end = max(u.hub.end, pos)
	u.hub.mu.Unlock()
}
