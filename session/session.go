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

// Session is one entry of this edge's table.
type Session struct {
	// What each request reads stands together, in one line of the processor's cache.
	face  atomic.Uint64 // of the listener
	crowd atomic.Pointer[Crowd]
	seen  atomic.Int64 // Unix ms of the last request
	Lease Lease

	// Set at construction.
	Key     Key
	Kind    Kind
	Issued  time.Time // when it began; grants carry it, so that URIs are stable for the session's life
	Expires time.Time // of the token that admitted it; zero: there was none
	Ends    time.Time // when it is over, whatever it does; zero: never
	Proved  bool      // its user has shown that he may listen
	Proof   uint64    // of what he showed; 0: nothing, or it is not known here
	Showed  bool      // it began here with what he showed, if that was nothing
	Ceiling int       // sessions that whoever answers for its user lets him have; 0: he did not say
	Shared  bool      // its device's players count once
	Apart   bool      // it was parted from one whose id it used: it has no predecessor
	App     bool      // an app made it
	Revived bool      // it was found in the store on start, which does not know all of it

	listener atomic.Pointer[Listener]
	since    atomic.Int64 // Unix ms: when it was charged to him, here
	started  atomic.Bool  // its start has been recorded
}

// New makes a session of that listener.
func New(k Key, kind Kind, l Listener) *Session {
	s := &Session{Key: k, Kind: kind}
	s.HandOver(&l)
	return s
}

// Listener is who it is charged to now. Nobody changes what it points to.
func (s *Session) Listener() *Listener {
	if l := s.listener.Load(); l != nil {
		return l
	}
	return &Listener{}
}

// HandOver charges it to another address, agent or user from now on.
func (s *Session) HandOver(l *Listener) {
	s.listener.Store(l)
	s.face.Store(FaceOf(l.Address, l.Agent))
	s.since.Store(time.Now().UnixMilli())
}

// Since is when this edge began to charge it to its listener.
func (s *Session) Since() time.Time { return time.UnixMilli(s.since.Load()) }

// Face is that of the listener.
func (s *Session) Face() uint64 { return s.face.Load() }

// Crowd is what is known of who uses the session's id; nil while nobody but one does.
func (s *Session) Crowd() *Crowd { return s.crowd.Load() }

// Gather has what comes next be noted, and returns where.
func (s *Session) Gather() *Crowd {
	if c := s.crowd.Load(); c != nil {
		return c
	}
	s.crowd.CompareAndSwap(nil, new(Crowd))
	return s.crowd.Load()
}

// Disperse forgets who uses the session's id when nobody but its listener has for that long.
func (s *Session) Disperse(now time.Time, within time.Duration) {
	if c := s.crowd.Load(); c != nil && c.alone(s.Face(), now, within) {
		s.crowd.CompareAndSwap(c, nil)
	}
}

// Seen is when the session last asked for anything.
func (s *Session) Seen() time.Time { return time.UnixMilli(s.seen.Load()) }

// Touch notes that the session is asking for something now.
func (s *Session) Touch(now time.Time) { s.seen.Store(now.UnixMilli()) }

// Start reports true once in the session's life: to the caller who is to record its start.
func (s *Session) Start() bool { return s.started.CompareAndSwap(false, true) }
