// Package blackout decides who may not hear what, from where and when. Its decisions are pure: given the rules, a listener's place and the time they are
// always the same. What looks places up is [Geo].
package blackout

import (
	"net/netip"
	"time"
)

// Action is what a rule does to whom it concerns.
type Action string

// The actions there are. Slate and upgrade come later and have their place here.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// Rule hides streams from an audience for a time, or shows them. Of several the first that matches decides; where none does, the listener may listen.
type Rule struct {
	ID       string    `json:"id"`
	Streams  []string  `json:"streams,omitempty"` // patterns of group and stream keys, * for any run of bytes; none: all
	Where    Audience  `json:"where,omitzero"`    // empty: everybody
	Except   Audience  `json:"except,omitzero"`   // empty: nobody
	From     time.Time `json:"from,omitzero"`     // zero: no bound
	To       time.Time `json:"to,omitzero"`
	Schedule string    `json:"schedule,omitempty"` // see [ParseSchedule]; empty: always
	Action   Action    `json:"action"`
	Unknown  Action    `json:"unknown"` // what is done where it depends on a place that is not known
	Message  string    `json:"message,omitempty"`
}

// Audience is a set of listeners: those who match every field that is not empty, by any of its values.
type Audience struct {
	Country     []string       `json:"country,omitempty"`     // ISO 3166-1 alpha-2
	Subdivision []string       `json:"subdivision,omitempty"` // ISO 3166-2, with the country (US-CA) or without (CA)
	Metro       []string       `json:"metro,omitempty"`       // DMA code
	Postal      []string       `json:"postal,omitempty"`      // may end in *
	Network     []netip.Prefix `json:"network,omitempty"`
	Device      []string       `json:"device,omitempty"` // device types
}

// Place is where an address is. Empty fields are not known.
type Place struct {
	Country     string // ISO 3166-1 alpha-2
	Subdivision string // ISO 3166-2 without the country: CA
	Metro       string
	Postal      string
}

// Listener is whom rules are applied to.
type Listener struct {
	Address    netip.Addr
	Place      Place
	DeviceType string
}

// Verdict is what the rules say. Rule is nil if none matched.
type Verdict struct {
	Action Action
	Rule   *Rule
}

// Evidence is one refusal, or one cut, as it is stored.
type Evidence struct {
	ID         int64 // of the row; 0 before it has one
	At         time.Time
	Rule       string
	Action     string // refused, or cut: of a session that was playing
	SessionID  string // empty: it had none yet
	Group      string
	UserID     string
	DeviceID   string
	DeviceType string
	IP         string // after privacy.ip has been applied
	Place      Place
	Edge       string
	Times      int // that it happened within the minute, where it happened so often that it was summed up
}

// EvidenceQuery picks evidence; empty fields take all.
type EvidenceQuery struct {
	Rule, Group, User, SessionID string
	From, To                     time.Time
	After                        int64 // id that the page begins after; 0: the first
	Limit                        int
}
