package relay

import (
	"time"

	"earshot/listen"
)

// wait lets patience run from now on, if somebody listens and it does not run yet. The caller holds mu.
func (h *Hub) wait() {
	if len(h.listeners) > 0 && h.waits.IsZero() && !h.closed {
		h.waits = time.Now()
		h.patience.Reset(h.mount.Patience)
	}
}

// waitNoMore is called with mu held.
func (h *Hub) waitNoMore() {
	h.patience.Stop()
	h.waits = time.Time{}
}

// impatient ends those who have waited for audio too long. It goes by audio, not by connections: an origin that
// accepts and says nothing, or nothing that is audio, does not keep them waiting.
func (h *Hub) impatient() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits.IsZero() {
		return
	}
	since := h.waits
	if heard := time.Unix(0, h.heard.Load()); heard.After(since) {
		since = heard
	}
	if left := h.mount.Patience - time.Since(since); left > 0 {
		h.patience.Reset(left)
		return
	}
	h.relay.opt.Log.Warn("listeners ended: no audio", "stream", h.mount.Key, "listeners", len(h.listeners), "waited", h.mount.Patience)
	h.waitNoMore()
	h.endAll(listen.SourceGone)
}
