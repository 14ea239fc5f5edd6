package listen

import (
	"context"
	"time"

	"earshot/session"
)

// Store keeps events and sessions. Each method is one transaction, or reads from one snapshot, and honours ctx.
// listentest holds the suite that every implementation passes.
type Store interface {
	// Append inserts events. One whose ID is there already is left as it is, so that a replay never counts twice;
	// inserted is the number of those that were not. Each new event's session_duration_ms is the session's running
	// total, itself included, in order of insertion.
	Append(ctx context.Context, events []Event) (inserted int, err error)

	// Idle lists sessions that have open events, all of which end before before, in order of key, from after on
	// (exclusive; the zero key begins), at most limit.
	Idle(ctx context.Context, before time.Time, after session.Key, limit int) ([]session.Key, error)

	// Finalise closes each session in turn: sums the events that are in no row (open and ignored) into one row of
	// sessions and marks them finalised, if the session's distinct media time in all its rows and events reaches minimum and
	// the new row would not be empty; marks them ignored if not. A session that has no open event, or has one that
	// ends at or after before, is left alone: another worker was faster, or it is heard again.
	Finalise(ctx context.Context, closing []Closing, before time.Time, minimum time.Duration, now time.Time) (Outcome, error)

	// Recent lists sessions with an event (not yet finalised) that ends at or after since, and who they are.
	Recent(ctx context.Context, since time.Time) ([]Recent, error)

	// Prune deletes closed events that end before events, and sessions that ended before sessions (zero: none), at most limit rows
	// of each. It returns how many went; fewer than limit means there are no more.
	Prune(ctx context.Context, events, sessions time.Time, limit int) (int, error)
}

// Closing is a session to finalise and why it ended.
type Closing struct {
	Key    session.Key
	Reason Reason
}

// Recent is a session found open in the store on start.
type Recent struct {
	Who            Who
	FromMS, TimeMS int64 // of its first and last open event
}

// Outcome counts what one Finalise did.
type Outcome struct {
	Finalised, Ignored, Skipped int
}

// Reason is why a session ended; it is stored as it stands, and a metric label.
type Reason string

// The reasons there are.
const (
	Idle       Reason = "idle"        // nothing was asked for any more
	Left       Reason = "left"        // the listener closed the connection
	Slow       Reason = "slow"        // cut: fell behind what the ring holds
	Stalled    Reason = "stalled"     // cut: took no bytes for the time a write may take
	SourceGone Reason = "source-gone" // the mount's source ended or changed its format
	Refused    Reason = "refused"     // cut: it turned out after the connection that he may not listen
	Kicked     Reason = "kicked"      // an operator ended the connection
	Drain      Reason = "drain"       // the edge was shut down
	Ended      Reason = "ended"       // by the app, or by an operator who ended the session
	Banned     Reason = "banned"      // an operator banned the user, or the listener
	Blackout   Reason = "blackout"    // a rule says that it may not be heard here now
	Evicted    Reason = "evicted"     // another session of the same limit needed the place
	Expired    Reason = "expired"     // the time was over that a token or a callback gave
)
