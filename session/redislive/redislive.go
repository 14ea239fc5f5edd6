// Package redislive is the table of seats that many edges share: [session.Live] on Redis, on one server or on a cluster.
//
// Each method is one small script (lua/), or a few for what is listed or renewed in pages, and a script is atomic. lua/lib.lua says what lies
// in Redis and under which keys. All of them share one hash tag, since one decision touches a user, a device, an address and a stream at
// once: on a cluster they lie in one slot, and the scripts reach keys there that they do not declare. Redis's clock is the only one.
//
// Redis may forget: it is restarted, flushed, or fails over to a replica that had not heard of the last writes. Nothing here hides that. A seat
// that is lost is [session.Gone] at its next renewal, as one that was taken or released is; an edge that knows of no reason for it claims
// it again with Restore. A reconnection is told of by a zero [session.Notice], so that the edge need not wait for its next turn. Redis must not evict
// keys (maxmemory-policy noeviction): a limit whose count was thrown away is no limit.
//
// What is read back is not believed: it is bounded and checked, and a seat that does not read as one is dropped and counted.
package redislive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"earshot/session"
)

// Options of a Table.
type Options struct {
	// URL is redis://[user:password@]host[:port][/database], or rediss:// for TLS, where ?ca=file names the certificates that are believed instead of the system's, and
	// cert=file&key=file the edge's own. Hosts with commas between them are nodes of one cluster
	// (redis://a:7000,b:7000,c:7000); a cluster that is known by a single name says so: redis://name:6379/?cluster=true.
	URL        string
	Deployment string        // edges of one deployment share their seats; [A-Za-z0-9._-], "default" if empty
	Timeout    time.Duration // of every exchange with Redis; 250 ms if zero
	Log        *slog.Logger
	Metrics    *Metrics
}

// Table is a [session.Live]. It is safe for concurrent use.
type Table struct {
	tag     string
	me      string // the database, a dot, and which Table tells a notice: its own are not told to it
	told    string // where: channels are the same for all databases
	timeout time.Duration
	redis   redis.UniversalClient
	scripts *scripts
	breaker *breaker
	window  *window // of renewals
	log     *slog.Logger
	metrics *Metrics

	closing sync.Once
	open    context.Context // done once the table is closed
	hangUp  context.CancelFunc
}

var _ session.Live = (*Table)(nil)

const defaultTimeout = 250 * time.Millisecond

var deploymentName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Open makes a Table. It asks nothing of Redis yet: an edge starts without it. The error says what is wrong with opt.
func Open(opt Options) (*Table, error) {
	if opt.Timeout <= 0 {
		opt.Timeout = defaultTimeout
	}
	if opt.Deployment == "" {
		opt.Deployment = "default"
	}
	if !deploymentName.MatchString(opt.Deployment) {
		return nil, fmt.Errorf("deployment %q: 1 to 64 letters, digits, dots, hyphens and underscores are taken", opt.Deployment)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	to, err := parseURL(opt.URL)
	if err != nil {
		return nil, err
	}
	tag := "{earshot:" + opt.Deployment + "}"
	open, hangUp := context.WithCancel(context.Background())
	return &Table{
		tag:     tag,
		me:      strconv.Itoa(to.database) + "." + string(session.NewID()),
		told:    tag + ":told:" + strconv.Itoa(to.database),
		timeout: opt.Timeout,
		redis:   to.client(opt.Timeout),
		scripts: standard,
		breaker: &breaker{log: opt.Log, metrics: opt.Metrics},
		window:  newWindow(),
		log:     opt.Log,
		metrics: opt.Metrics,
		open:    open,
		hangUp:  hangUp,
	}, nil
}

// Close hangs up. Calls under way fail; Watch returns.
func (t *Table) Close() (err error) {
	t.closing.Do(func() {
		t.hangUp()
		err = t.redis.Close()
	})
	return err
}

// ask is one exchange with Redis: within the timeout, or not at all while it is known to be out of reach. Errors wrap [session.ErrLive].
func (t *Table) ask(ctx context.Context, verb string, exchange func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w: %w", verb, session.ErrLive, err)
	}
	if err := t.breaker.enter(); err != nil {
		t.metrics.call(verb, "unasked", 0)
		return fmt.Errorf("%s: %w: %w", verb, session.ErrLive, err)
	}
	within, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	begun := time.Now()
	err := exchange(within)
	took := time.Since(begun)
	switch {
	case err == nil || answered(err):
		t.breaker.leave(nil)
	case errors.Is(ctx.Err(), context.Canceled), ctx.Err() != nil && took < t.timeout/2:
		t.breaker.abandon() // the caller did not wait: that says nothing of Redis
	default:
		t.breaker.leave(err)
	}
	if err != nil {
		t.metrics.call(verb, "error", took)
		return fmt.Errorf("%s: %w: %w", verb, session.ErrLive, err)
	}
	t.metrics.call(verb, "ok", took)
	return nil
}

// init silences the client's own log, which goes to standard error: what it would say is in the errors it returns.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
