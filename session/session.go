// Package session names a listener's continuous playing of one group or mount, proves it with signed
// grants, and keeps the live table of this edge.
//
// An [ID] names a session and proves nothing: players send their own, and may send anybody's. What proves
// is a [Grant], which only an edge that holds the secret can sign; it lets any such edge serve the session
// cold, with no shared table and no sticky routing (DESIGN, decisions 2 and 3).
package session

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Kind is how a session is delivered; it is stored in the database as it stands.
type Kind string

// The two kinds there are.
const (
	HLS Kind = "hls"
	ICY Kind = "icy"
)

// Key identifies a session: the same client id on two groups is two sessions.
// Group is the group key for HLS and the stream key for ICY: what the session is filed under.
type Key struct {
	ID    ID
	Group string
}

// Listener is who a session is charged to. Empty fields are unknown.
type Listener struct {
	UserID     string
	DeviceID   string
	DeviceType string
	Address    netip.Addr
	Agent      string
	Country    string // ISO 3166-1 alpha-2
}

// Session is one entry of the live table.
type Session struct {
	Key      Key
	Kind     Kind
	Listener Listener
	Issued   time.Time // when it began; grants carry it, so that URIs are stable for the session's life

	seen    atomic.Int64 // Unix ms of the last request
	started atomic.Bool  // its start has been recorded
}

// Seen is when the session last asked for anything.
func (s *Session) Seen() time.Time { return time.UnixMilli(s.seen.Load()) }

// Touch notes that the session is asking for something now.
func (s *Session) Touch(now time.Time) { s.seen.Store(now.UnixMilli()) }

// Start reports true once in the session's life: to the caller who is to record its start.
func (s *Session) Start() bool { return s.started.CompareAndSwap(false, true) }
