// Package auth answers who a listener is: by a JSON Web Token, a signed URL, or by asking a backend.
//
// It is asked once, when a session begins. The identity then rides in the session's grant, so that no token is needed for what follows, and no
// backend is asked for a segment.
package auth

import (
	"context"
	"net/netip"
	"time"
)

// Request is a listener who asks to begin a session.
type Request struct {
	Path          string // escaped, as the client asked for it, without a token segment ([Auth.CutPath])
	RawQuery      string
	Authorization string // header
	PathToken     string // from a token segment; empty: none
	Address       netip.Addr
	Agent         string
	Referer       string
	Host          string // the edge's, as the client named it, with its port if it did
	Group         string // group key of HLS, stream key of ICY
	Kind          string // hls or icy
	SessionID     string
	Number        int // of times this session was asked for before
	StreamClients int // sessions of the group now
	TotalClients  int // of the edge
}

// Identity is who a listener is, as far as he proved it. Empty and zero fields are unknown or without a bound.
type Identity struct {
	User        string
	Device      string
	DeviceType  string
	Shared      bool      // his device may have several players, which count once (multi-stream)
	Expires     time.Time // of the token: gates new sessions
	Ends        time.Time // when the session is over, whatever it does: a callback's time limit
	Again       time.Time // when the backend is to be asked again; zero: never
	MaxSessions int       // that the backend lets this user have; 0: it said nothing
	Ticket      string    // what Removed and Again need of the credentials: the backend's own user name or token, at most MaxTicket bytes. Empty: no backend was asked
}

// MaxTicket bounds Identity.Ticket.
const MaxTicket = 4 << 10

// Codes of a Refusal.
const (
	TokenRequired = "token-required" // 401
	TokenInvalid  = "token-invalid"  // 401
	NotAllowed    = "not-allowed"    // 403
)

// Refusal is why a listener may not listen. Detail may be shown to him.
type Refusal struct {
	Code   string
	Detail string
	Cause  error // for the log
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }
func (r *Refusal) Unwrap() error { return r.Cause }

// Removal is a session of which the backend is to be told that it is over. It is kept from when the session began until the backend was told.
type Removal struct {
	ID        int64  // of the row; 0 before it has one
	Open      bool   // the session goes on
	SessionID string // by which the edge knows it; the ticket holds the one that the backend knows
	Group     string
	Kind      string
	Path      string
	Host      string
	User      string
	Ticket    string
	Address   string
	Agent     string
	Duration  time.Duration
	Bytes     int64
	Began     time.Time // when the backend had said yes
	At        time.Time // when it was over
	Tries     int
	Next      time.Time // when it is tried again
}

// Removals keeps them: the store.
type Removals interface {
	// AddRemovals keeps all, or none. A row of the same ID is replaced while it is open, and left alone when it is not.
	AddRemovals(ctx context.Context, all []Removal) error

	// DueRemovals lists those that are not open and whose time has come, the longest due first.
	DueRemovals(ctx context.Context, now time.Time, limit int) ([]Removal, error)
	RetryRemoval(ctx context.Context, id int64, tries int, next time.Time) error
	DropRemoval(ctx context.Context, id int64) error

	// OpenRemovals lists the open ones in order of ID, from after on (exclusive).
	OpenRemovals(ctx context.Context, after int64, limit int) ([]Removal, error)

	// Heard is what the books have of a session from one time to another: bytes, and when it was last heard (zero: never).
	Heard(ctx context.Context, session, group string, from, to time.Time) (bytes int64, last time.Time, err error)
}
