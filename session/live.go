package session

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"
)

// Live is the table of seats that edges share: [Memory] for one edge, session/redislive on Redis for many. sessiontest holds the suite that both pass.
//
// A seat is a lease. It counts under the limits it uses from the moment a claim is granted until it is released, ended, taken over, or not
// renewed for its time to live. Each edge that claims or renews it holds it by itself, until its own time to live is over or it releases it: the seat is there as long
// as one of them does. Each method is atomic, and honours ctx; an error means that nothing is known of what was done.
// The clock is the table's own: edges need not agree on the time.
type Live interface {
	// Claim asks for a seat; see [Claim] for what is decided, and in which order.
	Claim(ctx context.Context, c *Claim) (Answer, error)

	// Renew keeps seats. It never gives one back that is gone. The answers stand in the order of the renewals.
	Renew(ctx context.Context, edge string, all []Renewal) ([]Standing, error)

	// Release gives seats back that an edge holds: those that no other edge holds are free. Of an edge without a name it frees them, whoever holds them. Nothing is
	// denied to their sessions. Keys without a seat are passed over.
	Release(ctx context.Context, edge string, keys ...Key) error

	// End frees a seat, if there is one, and denies it to its session for as long as the ending stands. Other edges are told.
	End(ctx context.Context, e Ending) error

	// Seats lists seats, those first that began first, at most limit. At most one of user and id is not empty; if both are, all seats are meant.
	Seats(ctx context.Context, user string, id ID, limit int) ([]Seat, error)

	// Usage lists the limits that anybody counts under, in order of their names, from after on (exclusive), at most limit.
	Usage(ctx context.Context, after string, limit int) ([]Usage, error)

	// Post puts a note on the board that all edges read, or replaces it; Withdraw takes it down, and reports whether it was there.
	// Other edges are told. Board lists the notes that are not over, in order of kind and id.
	Post(ctx context.Context, n Note) error
	Withdraw(ctx context.Context, kind, id string) (bool, error)
	Board(ctx context.Context) ([]Note, error)

	// Watch calls told for what other edges do, until ctx is done, when it returns nil. What is missed while the table cannot be reached is
	// not told later: told gets a zero Notice when the table can be reached (again), and whoever watches looks for himself then.
	Watch(ctx context.Context, told func(Notice)) error

	Close() error
}

// ErrLive wraps every error of a table that cannot be reached.
var ErrLive = errors.New("the live table cannot be reached")

// Seat is a session's place under the limits.
type Seat struct {
	Key        Key    // Group is empty while an app's session has not been played
	Kind       Kind   // empty as long
	API        bool   // an app made it
	Edge       string // that saw it last
	UserID     string
	DeviceID   string
	DeviceType string
	Address    netip.Addr
	Agent      string
	Service    string // what an app calls what it plays
	Owner      string // seats of one owner succeed each other: his user and device, else his address and agent. Empty: none
	Slot       string // seats with the same slot count once under a limit. Empty: the seat counts by itself
	Uses       []Use  // the limits that it counts under

	Started time.Time // whole milliseconds
	Seen    time.Time // when it was last claimed or, as far as is known, active; whole milliseconds
	Expires time.Time // when no edge holds it any longer; whole milliseconds
}

// Use is one limit as it applies to a seat. Name says what is counted ("user=ann", "user=ann device_type=stb"); it is what seats have in common
// that count under it.
type Use struct {
	Name string
	Max  int
}

// Policy is what happens when there is no room.
type Policy string

// The policies.
const (
	Reject    Policy = "reject"
	EndOldest Policy = "end-oldest"
	Choose    Policy = "choose" // as Reject; the caller makes something of the conflicts
)

// Claim is a session that wants a seat.
//
// It is decided in this order, all at once:
//
//  1. The session was ended, and the ending stands: [Ended].
//  2. It has a seat. If OfUser is set and that is not UserID's, nothing is done: [Another]. Else the seat is renewed, its Edge, Address and Agent replaced, and its Service if the claim names one. If the claim has
//     the seat's UserID, DeviceID and DeviceType, its listener is where the claim says: see [Place]. Not so if Stay is set. All else is kept. [Held].
//  3. An app's seat with the same id and no group is there and Adopt is set: the new seat replaces it, and has its API, UserID, DeviceID,
//     DeviceType, Service and Started where those are not empty.
//  4. Unless Goes is set, the seat of a predecessor of the same Owner passes to it (Answer.Taken), even where there is room: of those that are not guarded the one
//     that was seen least recently; of those seen at the same time the one that started first. Seats with a Slot, and those that an app made and that have not been played, neither pass nor take.
//     Where the claim is not granted in the end, it does not pass.
//  5. There is room under all of its Uses, or Restore is set: [Held]. (A use is full when Max slots count under it, and this seat would be one more: its own slot does not count yet, and no seat
//     that goes by 3 or 4 gives its place under it up. So who changes channels is not refused where others have moved to and more than Max count.) Or there is when the seat of Back has gone, which was taken from this session and has no Slot: it passes back (Taken), and neither remembers it. [Held].
//  6. Goes is set, and a seat of the same Owner that is not guarded and counts under each full use has not been seen for Silence: it passes (Taken). The least recently seen one, as above. [Held].
//  7. Goes is set, and the seat of its Owner that counts under each full use was itself taken from this session (a zapping listener
//     looks like two while he goes back and forth; two who listen go on doing so): while such a seat has gone from the one to the other fewer than two times within TTL, it
//     passes back (Taken), unless it is guarded: then this session is [Refused]. After that both are known to listen. If this session started first it keeps the seat (Taken), guarded for TTL; if not it is [Refused], and the other seat
//     is guarded for TTL.
//  8. The seats of Terminate that count under a full use and are of the same UserID (not empty) are ended (Answer.Ended); if that makes room, [Held]. If it does not, none is ended.
//  9. Policy is EndOldest: if the Owner had a seat ended so less than Cooldown ago, [Cooling], and that for a quarter of Cooldown more at least, so that who asks again and
//     again gets nobody's seat. Else the seats that started first are ended (Answer.Ended)
//     until there is room, and their owners cool down. [Held].
//  10. [Refused], with Full and Conflicts. A seat of the same Owner that counts under each full use, is guarded, and was seen since its guard began,
//     is guarded for TTL from now on: who plays on is not disturbed by who tries again.
//
// Ending a seat as in 8 and 9 is [Live.End] with reason [Evicted] for Claim.Sentence. Under a slot that several seats share, ending or taking one means all of them.
type Claim struct {
	Seat      Seat // Started, Seen and Expires: see below
	TTL       time.Duration
	Policy    Policy
	Adopt     bool
	OfUser    bool          // who asks has shown that he is UserID, and proved nothing of the session
	Goes      bool          // the session has begun already: it goes on
	Stay      bool          // who asks does not know where the listener is: Uses and Owner are those that the seat was known to have
	Age       time.Duration // since it began; Seat.Started is set from it and the table's clock
	Restore   bool          // it had a seat that was lost through no doing of its own: no limit is asked
	Silence   time.Duration
	Cooldown  time.Duration
	Sentence  time.Duration // how long an ending stands that this claim brings about
	Terminate []Key
	Back      Key // a session that has this one's seat and is to have another; the zero Key: none
}

// Outcome is how a claim ended.
type Outcome uint8

// The outcomes.
const (
	Refused Outcome = iota // there is no room
	Cooling                // as Refused: the owner was evicted himself a moment ago
	Ended                  // the session is over
	Held
	Another // the session is another user's
)

// Answer is what came of a claim.
type Answer struct {
	Outcome   Outcome
	Seat      Seat   // as it stands, if Held
	Reason    string // of the ending, if Ended
	Taken     []Key  // sessions whose seat has passed to this one
	Ended     []Key  // sessions that were ended for it
	Full      []Use  // what was full, if Refused or Cooling
	Conflicts []Seat // seats that count under what is full, those first that began first; at most MaxConflicts
}

// MaxConflicts bounds Answer.Conflicts.
const MaxConflicts = 20

// Evicted is the reason of an ending that another session's claim brought about.
const Evicted = "evicted"

// Renewal keeps a seat.
type Renewal struct {
	Key      Key
	Ago      time.Duration // since it was last active; 0: it is now
	TTL      time.Duration // from then on
	Sighting Sighting
	Place    *Place // where its listener is, if he has moved; passed over if another edge has seen him since. Nil: he has not
}

// Place is where a session's listener is. When he has moved his seat counts under other Uses from then on, and no longer under those that it had. It is not asked for room, since
// who roams is not punished: more than Max may count under a use then, until some of them leave, and newcomers wait. A seat that has an Owner has another one; one without stays so.
type Place struct {
	Address netip.Addr
	Agent   string
	Owner   string
	Uses    []Use
}

// Sighting is what an edge has seen of a session since the last renewal: from where it was asked for, and the last pieces of media that were.
type Sighting struct {
	Face   uint64        // of address and agent; 0: it was not seen
	Since  time.Duration // how long that face has been seen
	Pieces []uint64      // at most MaxPieces
}

// MaxPieces bounds Sighting.Pieces.
const MaxPieces = 8

// Standing is what a renewal found.
type Standing struct {
	State  State
	Reason string     // of the ending, if it was ended
	Others []Sighting // of the same seat at other edges, within the last TTL
	Stray  bool       // another edge saw it last until now, and no Place was named: it may be counted as if it were there
}

// State is how a seat stands.
type State uint8

// The states.
const (
	Gone State = iota // it has no seat: it expired, was released, or another took it over
	Over              // it was ended
	Kept
)

// Ending denies a session its seat.
type Ending struct {
	Key    Key
	Reason string
	For    time.Duration // how long it stands
}

// Usage is how far a limit is used.
type Usage struct {
	Name  string
	Max   int // as the seat that came to count under it last had it
	Taken int // slots
}

// Note is something that all edges must know: a ban, a rule.
type Note struct {
	Kind  string          `json:"kind"`
	ID    string          `json:"id"`
	Until time.Time       `json:"until"` // zero: for ever
	Body  json.RawMessage `json:"body"`
}

// Notice tells of what another edge did. The zero Notice tells to look for oneself.
type Notice struct {
	Ended  *Ending // a session was ended
	Taken  *Key    // a session's seat passed to another
	Posted bool    // the board has changed
}
