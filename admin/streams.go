package admin

import (
	"net/http"
	"time"

	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// Mount is a configured ICY stream with a path.
type Mount struct{ Key, Path string }

// streamRow is a mount as operators see it.
type streamRow struct {
	Stream    string      `json:"stream"`
	Path      string      `json:"path"` // at the edge; empty: a pattern's, and not known
	State     relay.State `json:"state"`
	Since     *time.Time  `json:"since"` // of the state; null: nobody has asked for it yet
	Listeners int         `json:"listeners"`
	Peak      int         `json:"listener_peak"` // since the process began
	Title     string      `json:"title"`
	Origin    int         `json:"origin"` // which of the configured ones serves it, from 1; 0: none at present
	Connected *time.Time  `json:"connected"`
	Type      string      `json:"content_type"`
	Codec     string      `json:"codec"` // as the frames say; empty: none were seen
	Received  int64       `json:"received_bytes"`
}

func newStreamRow(path string, s *relay.Status) streamRow {
	row := streamRow{Stream: s.Key, Path: path, State: s.State, Since: moment(s.Since), Listeners: s.Listeners, Peak: max(s.Peak, s.Listeners),
		Title: s.Title, Connected: moment(s.Connected), Type: s.ContentType, Codec: s.Codec, Received: s.Received}
	if s.State == relay.Up {
		row.Origin = s.Origin + 1
	}
	return row
}

// moment is a time that may not have come.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// serveStreams lists the mounts, in order of their keys: those that are configured with a path, and those that a pattern named and
// somebody asked for.
func (h *Handler) serveStreams(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "limit", "after")
	if p != nil {
		return p
	}
	page, p := newPage[streamRow]("m", q)
	if p != nil {
		return p
	}
	for key, path := range h.mounts {
		if row := page.at(place{key, ""}); row != nil {
			*row = newStreamRow(path, &relay.Status{Key: key, State: relay.Idle})
		}
	}
	h.eachHub(func(s *relay.Status) {
		if row := page.at(place{s.Key, ""}); row != nil {
			*row = newStreamRow(h.pathOf(s), s)
		}
	})
	rows, next := page.close()
	writeJSON(w, http.StatusOK, struct {
		Streams []*streamRow `json:"streams"`
		Next    string       `json:"next"`
	}{rows, next})
	return nil
}

func (h *Handler) eachHub(f func(*relay.Status)) {
	if h.relay == nil {
		return
	}
	h.relay.Each(func(hub *relay.Hub) bool {
		s := hub.Status()
		f(&s)
		return true
	})
}

func (h *Handler) pathOf(s *relay.Status) string {
	if path, ok := h.mounts[s.Key]; ok {
		return path
	}
	return s.Path
}

// streamDetail is a mount with all that is known of it.
type streamDetail struct {
	streamRow
	Titles    []titled          `json:"titles"` // the latest first
	Source    map[string]string `json:"source"` // what the source said of itself, by header
	Held      float64           `json:"held_seconds"`
	HeldBytes int64             `json:"held_bytes"`
}

type titled struct {
	Title string    `json:"title"`
	At    time.Time `json:"at"`
}

func (h *Handler) serveStream(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	s := relay.Status{Key: names[0], State: relay.Idle}
	if hub, p := h.hub(names[0]); p != nil {
		return p
	} else if hub != nil {
		s = hub.Status()
	}
	d := streamDetail{streamRow: newStreamRow(h.pathOf(&s), &s), Titles: make([]titled, len(s.Titles)), Source: make(map[string]string),
		Held: s.Held.Seconds(), HeldBytes: s.HeldBytes}
	for i, t := range s.Titles {
		d.Titles[i] = titled{t.Title, t.At.UTC()}
	}
	for _, f := range s.Info.Header {
		d.Source[f.Name] = f.Value
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}

// hub is the hub of a mount; nil where the mount is configured and nobody has asked for it yet.
func (h *Handler) hub(key string) (*relay.Hub, *problem) {
	if h.relay != nil {
		if hub, ok := h.relay.Find(key); ok {
			return hub, nil
		}
	}
	if _, ok := h.mounts[key]; !ok {
		return nil, &problem{Status: http.StatusNotFound, Code: "not-found", Detail: "there is no ICY stream " + quote(key) + "; /admin/v1/streams lists those there are"}
	}
	return nil, nil
}

// listenerRow is a session that hears a mount, by however many connections.
type listenerRow struct {
	ID          session.ID `json:"session_id"`
	UserID      string     `json:"user_id"`
	IP          string     `json:"ip"` // as privacy.ip lets it be known
	UserAgent   string     `json:"user_agent"`
	Since       *time.Time `json:"since"` // of the connection that has been there longest
	Connections int        `json:"connections"`
	Bytes       int64      `json:"bytes"`          // of the body, over these connections
	Behind      float64    `json:"behind_seconds"` // live; of the connection that is least so
	Leaving     bool       `json:"leaving"`        // all are to leave, and have not yet
}

// serveStreamListeners lists who hears a mount, in order of session ids.
func (h *Handler) serveStreamListeners(w http.ResponseWriter, r *http.Request, names []string) *problem {
	q, p := parseQuery(r, "limit", "after")
	if p != nil {
		return p
	}
	page, p := newPage[listenerRow]("h", q)
	if p != nil {
		return p
	}
	hub, p := h.hub(names[0])
	if p != nil {
		return p
	}
	if hub != nil {
		hub.Listening(func(l relay.Listening) bool {
			if row := page.at(place{l.ID, ""}); row != nil {
				row.add(&l)
			}
			return true
		})
	}
	rows, next := page.close()
	writeJSON(w, http.StatusOK, struct {
		Listeners []*listenerRow `json:"listeners"`
		Next      string         `json:"next"`
	}{rows, next})
	return nil
}

// add takes in one connection of the session.
func (row *listenerRow) add(l *relay.Listening) {
	behind := l.Behind.Seconds()
	if row.Connections == 0 {
		row.ID, row.UserID, row.IP, row.UserAgent = session.ID(l.ID), l.Who.UserID, l.Who.IP, l.Who.UserAgent
		row.Since, row.Behind, row.Leaving = moment(l.Since), behind, true
	}
	if t := moment(l.Since); t != nil && (row.Since == nil || t.Before(*row.Since)) {
		row.Since = t
	}
	row.Connections++
	row.Bytes += l.Bytes
	row.Behind = min(row.Behind, behind)
	row.Leaving = row.Leaving && l.Ordered
}

// kick ends the connections of a session to a mount. Nothing is denied to it: it may come back.
func (h *Handler) kick(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	hub, p := h.hub(names[0])
	if p != nil {
		return p
	}
	if hub == nil || hub.End(names[1], listen.Kicked) == 0 {
		return &problem{Status: http.StatusNotFound, Code: "not-found", Detail: "nobody hears " + quote(names[0]) + " in the session " + quote(names[1])}
	}
	h.log.Info("listener kicked", "stream", names[0], "session", names[1])
	w.WriteHeader(http.StatusNoContent)
	return nil
}
