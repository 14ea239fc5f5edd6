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
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"earshot/origin/blob"
)

// Options of a Client. Zero values take the defaults in brackets.
type Options struct {
	UserAgent      string
	ConnectTimeout time.Duration     // [5s] to a connection
	HeaderTimeout  time.Duration     // [15s] from the request to the head of the answer
	HoldTimeout    time.Duration     // [45s] the same for a blocking playlist reload, which an origin holds for up to 3 target durations
	StallTimeout   time.Duration     // [30s] without a byte of the body
	LargeTimeout   time.Duration     // [10s] for the rest of a playlist that is not small
	MaxPlaylist    int64             // [8 MiB] of a playlist, decoded
	Memory         int64             // [256 MiB] of bodies kept, and on their way; at least 16 MiB
	Disk           int64             // of bodies kept; 0: none
	Room           *blob.Room        // where they are; nil: in memory only
	Hosts          []Host            // what single hosts need
	Origins        []Named           // the configured origins. Those that are asked are known by that
	Resolver       *net.Resolver     // nil: the system's
	Transport      http.RoundTripper // [of its own] by which origins are asked
	Log            *slog.Logger
	Metrics        *Metrics
}

// Client fetches from origins. It is safe for concurrent use.
type Client struct {
	opt       Options
	fetcher   *fetcher
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
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		opt: opt, fetcher: newFetcher(&opt), stop: stop,
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
	c.fetcher.close()
}

// Named is a configured origin.
type Named struct {
	URL   string // perhaps with captures after the host
	Label string // in metrics, which hold no address
}

// Source is one thing at its origins.
type Source struct {
	Scope  string              // who asks: fetches are shared within it
	URLs   []string            // the same thing at each origin, in failover order; at least one
	Follow func(*url.URL) bool // whether a redirect may lead there; nil: nowhere
	Target time.Duration       // target duration of the playlist it belongs to; 0: nobody knows
	Listed func() bool         // whether a playlist says that it is there: what was remembered before it did does not count; nil: nobody knows. It must not block
	Via    string              // what Follow goes by; what is fetched under another is not shared

	NotBefore time.Time // of a playlist: one that was asked for before then will not do
}

// key is what the thing is called in the cache: where it is first asked for, and what else may answer for that.
func (s *Source) key() string { return s.named(s.URLs[0]) }

func (s *Source) playlistKey() string { return s.named(playlistKey(s.URLs[0])) }

func (s *Source) named(key string) string {
	for _, u := range s.URLs[1:] {
		place, _, _ := strings.Cut(u, "?") // the query is the same
		key += " " + place
	}
	if s.Via != "" {
		key += " via " + s.Via
	}
	return key
}

func (s *Source) listed() bool { return s.Listed != nil && s.Listed() }
