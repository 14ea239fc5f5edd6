package relay

import (
	"slices"
	"time"

	"earshot/listen"
)

// Status is what an operator wants to know of a hub.
type Status struct {
	Key         string
	Path        string // of a mount without a pattern, as players ask for it; "" where it is not known
	State       State
	Since       time.Time // of the state
	Connected   time.Time // when the present source was connected; zero while there is none
	Origin      int       // of Mount.Origins, that serves it at present; meaningful while State is Up
	Listeners   int
	Peak        int      // most listeners at once since the process began
	Title       string   // UTF-8; of what arrives from the source now
	Titles      []Titled // the latest first, the present one among them; no more than recentTitles
	Received    int64    // bytes from the source since the process began
	Info        Info     // what the source said of itself; zero before it was first connected
	ContentType string
	Codec       string        // mp3, mpeg (its elder layers), aac, vorbis, opus or flac, as the frames say; empty where none were seen
	Held        time.Duration // of audio in the ring
	HeldBytes   int64
}

// Titled is what was on since a moment.
type Titled struct {
	Title string // UTF-8
	At    time.Time
}

// Listening is one connection that a hub sends to.
type Listening struct {
	ID      string // of the session
	Who     listen.Who
	Since   time.Time
	Bytes   int64         // of the body, written so far
	Behind  time.Duration // live
	Ordered bool          // he is to leave
}

// recentTitles bounds how many titles a hub remembers.
const recentTitles = 20

// Status tells how the hub is.
func (h *Hub) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{Key: h.mount.Key, Path: h.mount.Path, State: h.state, Since: h.since, Listeners: h.audience(),
		Connected: h.connected, Origin: h.origin, Peak: h.peak, Title: h.title.Load().text(h.charset), Titles: slices.Clone(h.titles),
		Received: h.received.Load(), Info: h.info, ContentType: h.info.ContentType}
	h.ring.mu.Lock()
	s.Held, s.HeldBytes = h.ring.held()
	h.ring.mu.Unlock()
	if codec := h.codec.Load(); codec != nil {
		s.Codec = *codec
	}
	return s
}

// Listening calls f for every listener of the hub until it returns false, in no order.
func (h *Hub) Listening(f func(Listening) bool) {
	h.mu.Lock()
	all := make([]*listener, 0, len(h.listeners))
	for l := range h.listeners {
		all = append(all, l)
	}
	h.mu.Unlock()
	for _, l := range all {
		a := l.whose()
		if a == nil {
			continue
		}
		who := a.Who()
		if !f(Listening{ID: string(who.Key.ID), Who: who, Since: l.joined, Bytes: l.meter.written.Load(), Behind: h.behind(l),
			Ordered: l.reason.Load() != nil}) {
			return
		}
	}
}

// behind is how far a listener is behind live; 0 in the intro.
func (h *Hub) behind(l *listener) time.Duration {
	pos := l.meter.pos.Load()
	if pos < beforeAllTime {
		return 0
	}
	return max(0, time.Duration(h.ring.liveAt(time.Now())-pos))
}

// End has the listeners of a session leave, and reports how many connections that were.
func (h *Hub) End(session string, reason listen.Reason) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if a := l.whose(); a != nil && string(a.Who().Key.ID) == session {
			l.end(reason)
			n++
		}
	}
	return n
}
