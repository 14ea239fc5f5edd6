package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options of an Auth. What is nil is not asked for; with nothing set everybody may listen.
type Options struct {
	JWT       *JWT
	SignedURL *SignedURL
	Callback  *Callback
	Removals  Removals      // where removals are kept; nil: in memory, and gone with the process
	Idle      time.Duration // how long what a killed process left of them waits for its sessions
	UserAgent string        // by which backends and key servers know the edge
	Log       *slog.Logger
	Metrics   *Metrics
}

// JWT is where keys come from, the names of the claims, and where tokens stand. Claim names may be paths: "realm.user".
type JWT struct {
	Secret string // for HS256
	Keys   string // PEM file of public keys and certificates
	JWKS   string // file, or URL

	User, Device, DeviceType, Streams string        // empty: sub, device, device_type, streams
	Param                             string        // query parameter; empty: token
	Leeway                            time.Duration // between clocks; 0: 30 s
	NeedsUser                         bool          // a token that names no user is refused
}

// SignedURL verifies URLs that [Sign] signed with Key.
type SignedURL struct{ Key, Param string } // Param empty: sig

// Callback asks a backend.
type Callback struct {
	URL     string
	Style   string        // json or icecast; empty: json
	Timeout time.Duration // 0: 3 s
	OnError string        // allow, deny or last, for new listeners; empty: last
}

const (
	defaultLeeway  = 30 * time.Second
	defaultTimeout = 3 * time.Second
	defaultParam   = "token"
)

// Auth answers who listeners are. It is safe for concurrent use.
type Auth struct {
	tokens   *tokens  // nil: none are asked for
	urls     *signed  // nil: none
	backend  *backend // nil: none
	removals *removals

	param   string   // that holds a token
	params  []string // ours
	metrics *Metrics
	close   sync.Once
}

// New makes an Auth. It reads files and asks nobody; [Auth.Run] does the rest.
func New(opt Options) (*Auth, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	a := &Auth{param: defaultParam, metrics: opt.Metrics}
	if j := opt.JWT; j != nil {
		if j.Param != "" {
			a.param = j.Param
		}
		t, err := newTokens(*j, opt.Log, opt.Metrics)
		if err != nil {
			return nil, err
		}
		if t.keys.remote != nil {
			t.keys.remote.agent = opt.UserAgent
		}
		a.tokens = t
	}
	if opt.JWT != nil || opt.Callback != nil {
		a.params = append(a.params, a.param)
	}
	if s := opt.SignedURL; s != nil {
		u, err := newSigned(*s)
		if err != nil {
			return nil, err
		}
		a.urls = u
		a.params = append(a.params, u.param, expiresParam, userParam)
	}
	if err := distinct(a.params); err != nil {
		return nil, err
	}
	if c := opt.Callback; c != nil {
		b, err := newBackend(*c, opt.Log, opt.Metrics)
		if err != nil {
			return nil, err
		}
		a.removals = newRemovals(opt.Removals, b.tell, opt.Log, opt.Metrics)
		a.removals.idle = opt.Idle
		b.abandoned, b.agent = a.removals.add, opt.UserAgent
		a.backend = b
	}
	return a, nil
}

// reserved are the parameters that mean something else at an edge.
var reserved = []string{"x-playback-session-id", "earshot", "cmcd", "offset", "_hls_msn", "_hls_part", "_hls_skip", "_hls_push", "_hls_report"}

// distinct sees to it that no query parameter has two meanings.
func distinct(params []string) error {
	for i, p := range params {
		if slices.Contains(reserved, strings.ToLower(p)) {
			return fmt.Errorf("auth: the query parameter %q has another meaning at the edge; choose another param", p)
		}
		if slices.Contains(params[:i], p) {
			return fmt.Errorf("auth: the query parameter %q is to hold two things; choose another auth.jwt.param or auth.signed_url.param (%s and %s belong to signed URLs)",
				p, expiresParam, userParam)
		}
	}
	return nil
}

// webURL is an absolute http(s) URL.
func webURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The URL's own text may hold a password, which *url.Error would show.
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("it must begin with http:// or https:// and name a host")
	}
	return u, nil
}

// Required reports whether listeners must show anything.
func (a *Auth) Required() bool { return a.tokens != nil || a.urls != nil || a.backend != nil }

// Asked reports whether there is a callback, which wants to be told of sessions that are over.
func (a *Auth) Asked() bool { return a.backend != nil }

// Challenge is what a listener who shows nothing is asked for (WWW-Authenticate). Where only a backend of Icecast's dialect is asked, it knows users and passwords, and
// most players send those to nobody who has not asked.
func (a *Auth) Challenge() string {
	if a.tokens == nil && a.urls == nil && a.backend != nil && a.backend.dialect.counts() {
		return `Basic realm="earshot", charset="UTF-8"`
	}
	return `Bearer realm="earshot"`
}

// Params are the query parameters that are ours, and go neither upstream nor into cache keys.
func (a *Auth) Params() []string { return slices.Clone(a.params) }

// Run looks after keys, and delivers removals, until ctx is done.
func (a *Auth) Run(ctx context.Context) error {
	var all sync.WaitGroup
	if a.tokens != nil {
		all.Go(func() { a.tokens.keys.run(ctx) })
	}
	if a.removals != nil {
		all.Go(func() { a.removals.run(ctx) })
	}
	<-ctx.Done()
	all.Wait()
	return nil
}

// Close ends what is under way, and keeps the removals that came since Run ended. Call it when nobody asks any more.
func (a *Auth) Close() {
	a.close.Do(func() {
		if a.backend != nil {
			a.backend.close()
			a.removals.close()
		}
		if a.tokens != nil {
			a.tokens.keys.close()
		}
	})
}
