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
	q, p := parseQuery(r, "stream", "kind", "user", "ip", "limit", "after")
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
		IP: s.Who.IP, UserAgent: s.Who.UserAgent, Started: s.Started.UTC(), Last: s.Last.UTC(), Bytes: s.Bytes,
		Seconds: s.Media.Seconds(), Listening: s.Listening(now)}
}

// filter is what sessions are asked for; an empty field takes all.
type filter struct {
	stream string // what they are filed under, or the stream heard last
	kind   session.Kind
	user   string
	ip     string
}

func newFilter(q url.Values) (*filter, *problem) {
	f := &filter{q.Get("stream"), session.Kind(q.Get("kind")), q.Get("user"), q.Get("ip")}
	if f.kind != "" && f.kind != session.HLS && f.kind != session.ICY {
		return nil, badQuery("kind is %s: write %s or %s", quote(string(f.kind)), session.HLS, session.ICY)
	}
	if f.ip != "" {
		ip, err := netip.ParseAddr(f.ip)
		if err != nil {
			return nil, badQuery("ip is %s: write one address, such as 192.0.2.7 or 2001:db8::7", quote(f.ip))
		}
		f.ip = ip.Unmap().String()
	}
	return f, nil
}

func (f *filter) takes(a *listen.Account, who *listen.Who) bool {
	switch {
	case f.kind != "" && f.kind != who.Kind, f.user != "" && f.user != who.UserID, f.ip != "" && f.ip != who.IP:
		return false
	}
	return f.stream == "" || f.stream == who.Key.Group || f.stream == a.Snapshot().Stream
}
