package admin

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"earshot/listen"
	"earshot/session"
)

// sessionRow is one session as operators see it.
type sessionRow struct {
	ID        session.ID   `json:"session_id"`
	Kind      session.Kind `json:"kind"`
	Group     string       `json:"group"`  // what it is filed under
	Stream    string       `json:"stream"` // the stream heard last; empty: none yet
	UserID    string       `json:"user_id"`
	DeviceID  string       `json:"device_id"`
	Device    string       `json:"device_type"`
	IP        string       `json:"ip"` // as privacy.ip lets it be known
	UserAgent string       `json:"user_agent"`
	Started   time.Time    `json:"started"`
	Last      time.Time    `json:"last"` // when the last byte was seen to leave
	Bytes     int64        `json:"bytes"`
	Seconds   float64      `json:"duration_seconds"` // distinct media time
	Listening bool         `json:"listening"`
}

// serveSessions lists the sessions with an open account, in order of group and id.
func (h *Handler) serveSessions(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "id", "stream", "kind", "user", "ip", "address", "limit", "after")
	if p != nil {
		return p
	}
	only, p := newFilter(q)
	if p != nil {
		return p
	}
	page, p := newPage[*listen.Account]("s", q)
	if p != nil {
		return p
	}
	h.book.Each(func(a *listen.Account) bool {
		if who := a.Who(); only.takes(a, &who) {
			if row := page.at(place{who.Key.Group, string(who.Key.ID)}); row != nil {
				*row = a
			}
		}
		return true
	})
	accounts, next := page.close()
	now := time.Now()
	rows := make([]sessionRow, len(accounts))
	for i, a := range accounts {
		rows[i] = newSessionRow((*a).Snapshot(), now)
	}
	writeJSON(w, http.StatusOK, struct {
		Sessions []sessionRow `json:"sessions"`
		Next     string       `json:"next"`
	}{rows, next})
	return nil
}

func newSessionRow(s listen.Snapshot, now time.Time) sessionRow {
	return sessionRow{ID: s.Who.Key.ID, Kind: s.Who.Kind, Group: s.Who.Key.Group, Stream: s.Stream, UserID: s.Who.UserID,
		DeviceID: s.Who.DeviceID, Device: s.Who.DeviceType,
		IP: s.Who.IP, UserAgent: s.Who.UserAgent, Started: s.Started.UTC(), Last: s.Last.UTC(), Bytes: s.Bytes,
		Seconds: s.Media.Seconds(), Listening: s.Listening(now)}
}

// filter is what sessions are asked for; an empty field takes all.
type filter struct {
	id     string
	stream string // what they are filed under, or the stream heard last
	kind   session.Kind
	user   string
	ip     string
}

func newFilter(q url.Values) (*filter, *problem) {
	f := &filter{q.Get("id"), q.Get("stream"), session.Kind(q.Get("kind")), q.Get("user"), ""}
	if f.kind != "" && f.kind != session.HLS && f.kind != session.ICY {
		return nil, badQuery("kind is %s: write %s or %s", quote(string(f.kind)), session.HLS, session.ICY)
	}
	for _, name := range []string{"ip", "address"} { // two names of one thing
		text := q.Get(name)
		if text == "" {
			continue
		}
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, badQuery("%s is %s: write one address, such as 192.0.2.7 or 2001:db8::7", name, quote(text))
		}
		if f.ip != "" {
			return nil, badQuery("ip and address are two names of one thing: write one of them")
		}
		f.ip = ip.Unmap().String()
	}
	return f, nil
}

func (f *filter) takes(a *listen.Account, who *listen.Who) bool {
	switch {
	case f.id != "" && f.id != string(who.Key.ID), f.kind != "" && f.kind != who.Kind, f.user != "" && f.user != who.UserID,
		f.ip != "" && f.ip != who.IP:
		return false
	}
	return f.stream == "" || f.stream == who.Key.Group || f.stream == a.Snapshot().Stream
}

// endSession ends the sessions of an id on every edge, whatever they play. They do not come back for a day.
func (h *Handler) endSession(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	id, err := session.ParseID(names[0])
	if err != nil {
		return noSuch("session", names[0])
	}
	n, err := h.gate.End(r.Context(), id)
	if err != nil {
		return h.problemOf(r, err)
	}
	if n == 0 {
		return noSuch("session", names[0])
	}
	h.log.Info("session ended by an operator", "session", string(id))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
