package relay

import "time"

// Status is what an operator wants to know of a hub.
type Status struct {
	Key         string
	State       State
	Since       time.Time // of the state
	Listeners   int
	Title       string // UTF-8; of what arrives from the source now
	Received    int64  // bytes from the source since the process began
	ContentType string
	Codec       string // mp3, mpeg (its elder layers) or aac, as the frames say; empty where none were seen
}

// Status tells how the hub is.
func (h *Hub) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{Key: h.mount.Key, State: h.state, Since: h.since, Listeners: len(h.listeners),
		Title: h.title.Load().text(), Received: h.received.Load(), ContentType: h.info.ContentType}
	if codec := h.codec.Load(); codec != nil {
		s.Codec = *codec
	}
	return s
}
