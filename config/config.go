// Package config reads Earshot's configuration: one YAML file, every key of it optional but streams.
//
// It promises three things. What it accepts, Earshot does: an unknown key, a value of the wrong shape, paths that
// overlap and a key that guards something this version cannot guard are all errors, never silently dropped. Every
// mistake of a file is reported at once, each with its line, its key and what to write instead. And no message
// holds a secret: values are quoted as they stand in the file, before the environment fills them in, and those
// that are secrets by nature are not quoted at all.
//
// Defaults are values, in [Default]. The package imports nothing of Earshot; cmd turns a [Config] into each
// package's own options.
package config

import (
	"net/netip"
	"time"

	"github.com/grafana/regexp"
)

// Config is a whole configuration, checked and with its defaults filled in.
type Config struct {
	Listen                []Listener
	Admin                 Admin
	Data                  string         // directory of the database, journal, spill and segment cache
	Edge                  string         // this edge's name in events; empty means the host name
	Secrets               []Secret       // the first signs, all verify; empty means: mint one and keep it in Data
	TrustedProxies        []netip.Prefix // whose ClientIPHeader is believed; masked
	ClientIPHeader        string         // canonical only if written so: use http.Header.Get
	MaxSessions           int
	NewSessionsPerAddress int    // per second
	AccessLog             string // path of a file that takes a line per ICY request; empty: none

	Streams []Stream // in the order of the file, which is the order in which patterns are tried

	Origins []Origin // of hosts that need settings; each host once

	Listening Listening
	Cache     Cache
	Privacy   Privacy
	Retention Retention

	Store       string // empty, or a postgres:// URL, which holds a password
	Live        string // empty, or a redis:// or rediss:// URL, perhaps with several hosts between commas, which may hold a password
	OnLiveError string // allow, deny or last

	Auth          *Auth // nil: everybody may listen
	Limits        []Limit
	OnLimit       string // reject, end-oldest or choose
	SeatTTL       time.Duration
	APISessionTTL time.Duration
	Geo           string // a MaxMind file that can be read, or empty
	Blackouts     []Blackout

	notices []string
	file    string
	lines   map[string]int // of each key that the file sets, and each entry of a list
}

// Listener is one address where players are served.
type Listener struct {
	Addr          string // host:port, as net.Listen takes it
	TLS           *TLS   // nil: plain HTTP
	ProxyProtocol bool
}

// TLS names the PEM files of a listener. They were a pair when the configuration was read.
type TLS struct{ Cert, Key string }

// Admin is where operators are served. Token is empty only if Addr is a loopback address.
type Admin struct{ Addr, Token string }

// Secret is a key that signs grants. ID has 1 to 32 letters, digits, - or _; Key at least 16 bytes.
type Secret struct{ ID, Key string }

// Stream is one entry of streams: an HLS group or an ICY mount, or with Match a family of them. Exactly one of
// Path and Match is set; so is exactly one of HLS (then Group) and ICY (then Stream).
type Stream struct {
	Line int // where the entry begins in its file

	// Group, Stream, HLS and ICY may hold ${name} if Match is set, where name is one of its captures. Captures
	// never stand in a URL's scheme, host or port. See [ExpandNames].
	Group  string
	Stream string
	Path   string         // escaped, as in url.URL.EscapedPath; with HLS a prefix that ends in /, with ICY the whole path
	Match  *regexp.Regexp // of the escaped path, from its start; with HLS it ends in / and matches a prefix, with ICY it ends in $
	HLS    []string       // http(s) URL prefixes that end in /, without query; failover order
	ICY    []string       // http(s) URLs, perhaps with a query; failover order. The path of a file may stand last: see [IsFile]

	Mount // of an ICY stream

	Auth   string   // inherit or none
	Follow []string // hosts (host or host:port) that the origin may redirect to, besides the configured ones
	Query  []string // of an HLS stream: players' parameters that go upstream; nil means all, empty means none
}

// Mount is how an ICY stream is relayed.
type Mount struct {
	Burst        Size          // what a listener gets at once when he joins; 0 if BurstTime says it
	BurstTime    time.Duration // the same in time; 0 if Burst says it
	Rewind       time.Duration // how far back ?offset= reaches
	MaxListeners int           // 0 means no limit
	Overflow     string        // http(s) URL where listeners beyond MaxListeners are sent; may name captures as ICY does. Empty: nowhere
	Intro        string        // path of a file that each listener hears first; empty: none
	Charset      string        // of titles that are not UTF-8; empty: windows-1252
	AlwaysOn     bool          // the source stays connected though nobody listens
	Linger       time.Duration // that a source is kept after the last listener
	Patience     time.Duration // that listeners wait for a source that is gone
	Stall        time.Duration // without a byte, after which a source is given up
}

// Listening is how listening is sliced into events and sessions: Slice is positive and at most Idle.
type Listening struct{ Slice, Idle, Minimum time.Duration }

// Cache bounds what is kept of origins' bytes.
type Cache struct{ Memory, Disk Size }

// Privacy is what is stored of a listener: IP is full, truncate or none.
type Privacy struct{ IP string }

// Retention is how long rows are kept; 0 means for ever.
type Retention struct{ Events, Sessions, Evidence time.Duration }

// Default is the configuration of a file that sets nothing. It has no streams, so it is not yet a valid one.
func Default() Config {
	return Config{
		Listen: []Listener{{Addr: ":8080"}},
		Admin:  Admin{Addr: "127.0.0.1:8081"},
		Data:   "./earshot-data",
		TrustedProxies: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"),
			netip.MustParsePrefix("::1/128"),
		},
		ClientIPHeader:        "X-Forwarded-For",
		MaxSessions:           200_000,
		NewSessionsPerAddress: 100,
		Listening:             Listening{Slice: 30 * time.Second, Idle: 5 * time.Minute, Minimum: time.Minute},
		Cache:                 Cache{Memory: 256 * mib, Disk: 2 * gib},
		Privacy:               Privacy{IP: "full"},
		Retention:             Retention{Events: 90 * day, Evidence: 365 * day},
		OnLiveError:           "allow",
		OnLimit:               "reject",
		SeatTTL:               time.Minute,
		APISessionTTL:         2 * time.Hour,
	}
}

// DefaultStream is a stream entry that sets nothing.
func DefaultStream() Stream {
	return Stream{Auth: "inherit", Mount: Mount{Burst: 64 * kib, Rewind: time.Minute,
		Linger: 15 * time.Second, Patience: 5 * time.Minute, Stall: 10 * time.Second}}
}

// Notices are what an operator should know of, though it is harmless, one line each, in the form of a [Problem].
func (c *Config) Notices() []string { return c.notices }
