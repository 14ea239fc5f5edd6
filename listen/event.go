// Package listen knows what was heard: it meters what leaves the edge for each session, turns the running
// meters into listen events, sees that every event is stored exactly once, and closes idle sessions.
//
// Bytes flow one way. The data plane opens a [Transfer] on a session's [Account] for each body it sends and
// tells it of every write, without a lock. The [Book] settles transfers into accounts twice a second and at
// their end: it subtracts what the kernel still holds unsent, and asks where on the media timeline the bytes
// lie, so that the same moment heard twice counts once. Every slice (30 s) the Rewinder turns an account's
// open slices into [Event]s and hands them to the [Recorder], which commits them in groups to a [Store];
// the [Finaliser] sums idle sessions into rows. The [Journal] keeps a second copy of whatever is not in the
// store yet, so that a killed process loses a second of listening at the most.
//
// Nothing here is ever waited for by the road that carries audio, but an account's own mutex.
package listen

import (
	"strings"

	"earshot/session"
)

// Event is what one session received of one stream in one slice of time.
type Event struct {
	ID      string // unique over all edges for ever: edge, boot and sequence number
	FromMS  int64  // Unix ms: when the first of it was sent
	TimeMS  int64  // Unix ms: end of the slice, when the last of it was sent
	Who     Who
	Stream  string // stream key; the group key for the zero event of a master
	Bytes   int64
	MediaMS int64 // distinct media time in the slice, ms
	Offset  int64 // behind live, ms (time shift)
}

// Who is the session an event is charged to, as it is stored.
type Who struct {
	Key        session.Key
	Kind       session.Kind
	UserID     string
	DeviceID   string
	DeviceType string
	IP         string // after privacy.ip has been applied
	UserAgent  string // at most 256 bytes
	Country    string
	Edge       string
}

// maxText bounds each text of an event, in bytes; session ids and keys are bounded where they are made.
const maxText = 256

// clip bounds the texts that come from outside.
func (w Who) clip(edge string) Who {
	w.Edge = edge
	for _, s := range w.texts() {
		if len(*s) > maxText {
			*s = strings.ToValidUTF8((*s)[:maxText], "")
		}
	}
	return w
}

// texts are those that come from outside, and the edge.
func (w *Who) texts() [7]*string {
	return [...]*string{&w.UserID, &w.DeviceID, &w.DeviceType, &w.IP, &w.UserAgent, &w.Country, &w.Edge}
}

// Span is a delivered piece [From, To) of a media timeline. The units are the axis's own; Worth is the media
// time of the whole piece, so that positions need not be times.
type Span struct {
	Axis     uint64
	From, To int64
	Worth    int64 // ns
}
