package admin

import (
	"net/http"
	"time"

	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// listenersRow sums the open accounts of one stream. A mount that has been asked for has a row whether it has any or
// not, so that one whose source fails is seen.
type listenersRow struct {
	Stream    string       `json:"stream"` // what sessions are filed under: the group for HLS, the mount for ICY
	Kind      session.Kind `json:"kind"`
	Listeners int          `json:"listeners"` // now
	Bytes     int64        `json:"bytes"`
	Seconds   float64      `json:"seconds"` // distinct media time
	Upstream  *upstream    `json:"upstream,omitempty"`

	media time.Duration
}

// upstream is the source of a mount.
type upstream struct {
	State    relay.State `json:"state"`
	Since    time.Time   `json:"since"`
	Title    string      `json:"title"`
	Received int64       `json:"received_bytes"` // since the process began
}

// listenersTotal is the whole edge, whatever the page shows.
type listenersTotal struct {
	Listeners    int `json:"listeners"`
	OpenSessions int `json:"open_sessions"` // heard, and not idle yet
	LiveSessions int `json:"live_sessions"` // admitted, whether heard yet or not
}

// serveListeners lists what is heard now, in order of stream and kind.
func (h *Handler) serveListeners(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "limit", "after")
	if p != nil {
		return p
	}
	page, p := newPage[listenersRow]("l", q)
	if p != nil {
		return p
	}
	total := listenersTotal{LiveSessions: h.table.Len()}
	now := time.Now()
	h.book.Each(func(a *listen.Account) bool {
		s := a.Snapshot()
		listening := 0
		if s.Listening(now) {
			listening = 1
		}
		total.OpenSessions++
		total.Listeners += listening
		if row := page.at(place{s.Who.Key.Group, string(s.Who.Kind)}); row != nil {
			row.Stream, row.Kind = s.Who.Key.Group, s.Who.Kind
			row.Listeners += listening
			row.Bytes += s.Bytes
			row.media += s.Media
		}
		return true
	})
	h.addMounts(page)
	rows, next := page.close()
	for _, row := range rows {
		row.Seconds = row.media.Seconds()
	}
	writeJSON(w, http.StatusOK, struct {
		Listeners []*listenersRow `json:"listeners"`
		Total     listenersTotal  `json:"total"`
		Next      string          `json:"next"`
	}{rows, total, next})
	return nil
}

func (h *Handler) addMounts(page *page[listenersRow]) {
	if h.relay == nil {
		return
	}
	h.relay.Each(func(hub *relay.Hub) bool {
		s := hub.Status()
		if row := page.at(place{s.Key, string(session.ICY)}); row != nil {
			row.Stream, row.Kind = s.Key, session.ICY
			row.Upstream = &upstream{s.State, s.Since.UTC(), s.Title, s.Received}
		}
		return true
	})
}
