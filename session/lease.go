package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// Lease is what a session holds of the gate on this edge. The fast road reads two numbers; whoever finds one of them wanting
// takes the lock and asks.
type Lease struct {
	Until  atomic.Int64  // Unix ms: until then nobody need be asked whether it has a seat, and its time is not over; 0: somebody must be
	Judged atomic.Uint64 // the state of rules and clock under which it was last judged

	// The rest is guarded by Mu, which is held while the table of seats is asked.
	Mu           sync.Mutex
	Seated       bool      // it has a seat, as far as is known
	Owed         bool      // it was let in without one, or its seat was lost, while the table could not be reached
	Lost         time.Time // when another took its seat over
	Back         time.Time // since when it has come back so often
	Backs        int       // to take a seat from its own successors
	Kept         time.Time // when its seat was last known to be kept
	Counted      uint64    // the face as which its seat is counted; 0: that is not known
	Hidden       bool      // it was refused by a rule when it was last judged
	Refused      string    // why, when it was last told that there is no room
	RefusedUntil time.Time // while it is not asked again
	Over         string    // why it was ended; empty: it was not

	Number int       // of times that the one who answers for its user was asked
	Again  time.Time // when he is to be asked again; zero: never
	Ticket string    // what he needs to know of the credentials
	Opened int64     // of the ticket, as it is kept
	Asked  ID        // of the session, as he was asked; empty: its own
	Path   string    // that was asked for
	Host   string    // where
}

// Lapse has somebody be asked at the session's next request.
func (l *Lease) Lapse() { l.Until.Store(0) }
