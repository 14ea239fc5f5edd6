package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"earshot/session"
)

// Action is what a verdict lets the player do.
type Action uint8

// The actions.
const (
	Deny Action = iota
	Allow
	Slate // play what stands in for the stream
)

// Code names a refusal; it is stable, part of the API, and a metric label.
type Code string

// The refusals of this gate (DESIGN, decision 14).
const (
	RateLimited     Code = "rate-limited"
	EdgeFull        Code = "edge-full"
	TokenRequired   Code = "token-required"
	TokenInvalid    Code = "token-invalid"
	NotAllowed      Code = "not-allowed"
	GrantInvalid    Code = "grant-invalid"
	TooManySessions Code = "too-many-sessions"
	ChooseSession   Code = "choose"
	Blackout        Code = "blackout"
	Banned          Code = "banned"
	Ended           Code = "ended"
)

// anothers is no refusal, but that the session is another user's at another edge.
const anothers Code = "another's"

// Verdict is the gate's answer.
type Verdict struct {
	Action     Action
	Code       Code          // of a refusal
	Detail     string        // of a refusal, for the listener; empty: the code says it all
	Rule       string        // id of the blackout that refuses, or that has the slate played
	RetryAfter time.Duration // when to ask again; 0: no telling
	Conflicts  []Conflict    // of ChooseSession
	Session    *session.Session
	Fresh      bool // the session began with this request
}

// Conflict is a session of the same user that stands in the way. A retry that names its code ends it.
type Conflict struct {
	Code       string // of termination; holds for TerminateWithin
	SessionID  session.ID
	Group      string
	Service    string
	DeviceType string
	Agent      string
	Started    time.Time
	Seen       time.Time
}

// TerminateWithin is how long a termination code holds.
const TerminateWithin = 10 * time.Minute

// Refusal is a verdict that refuses, as an error.
type Refusal struct{ Verdict }

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Code)
	}
	return fmt.Sprintf("%s: %s", r.Code, r.Detail)
}

// Errors of the gate's control side.
var (
	ErrNoSession   = errors.New("no such session")
	ErrOverSession = errors.New("the session is over")
	ErrNotYours    = errors.New("the session is another user's")
	ErrDeviceType  = errors.New("the session has another device type")
	ErrNoBan       = errors.New("no such ban")
	ErrNoRule      = errors.New("no such blackout")
	ErrConfigured  = errors.New("the blackout stands in the configuration")
	ErrTaken       = errors.New("there is a blackout of that id")
	ErrInvalid     = errors.New("invalid") // wrapped by what says which field, and what to write instead
)

// Ban is a user, or a listener without one, who may not listen.
type Ban struct {
	ID      string     `json:"id"`
	User    string     `json:"user,omitempty"` // empty: Address and Agent say who
	Address netip.Addr `json:"address,omitzero"`
	Agent   string     `json:"agent,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Made    time.Time  `json:"made"`
	Until   time.Time  `json:"until"`
}
