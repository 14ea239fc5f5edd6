package admin

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"earshot/blackout"
)

// evidenceRow is a refusal, or a cut, by a blackout.
type evidenceRow struct {
	ID          int64     `json:"id"`
	At          time.Time `json:"at"`
	Rule        string    `json:"rule"`
	Action      string    `json:"action"` // refused, or cut
	SessionID   string    `json:"session_id"`
	Stream      string    `json:"stream"`
	UserID      string    `json:"user_id"`
	DeviceID    string    `json:"device_id"`
	DeviceType  string    `json:"device_type"`
	IP          string    `json:"ip"` // as privacy.ip lets it be known
	Country     string    `json:"country"`
	Subdivision string    `json:"subdivision"`
	Metro       string    `json:"metro"`
	Postal      string    `json:"postal"`
	Edge        string    `json:"edge"`
	Times       int       `json:"times"` // that it happened within the minute
}

// serveEvidence lists refusals and cuts, the oldest first.
func (h *Handler) serveEvidence(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "rule", "stream", "user", "session", "from", "to", "limit", "after")
	if p != nil {
		return p
	}
	page, p := newPage[blackout.Evidence]("e", q)
	if p != nil {
		return p
	}
	want := blackout.EvidenceQuery{Rule: q.Get("rule"), Group: q.Get("stream"), User: q.Get("user"), SessionID: q.Get("session"), Limit: page.limit + 1}
	if page.after.first != "" {
		var err error
		if want.After, err = strconv.ParseInt(page.after.first, 10, 64); err != nil {
			return badQuery("after is %s: write the \"next\" of the page before as it stands", quote(q.Get("after")))
		}
	}
	if want.From, p = parseMoment(q, "from"); p != nil {
		return p
	}
	if want.To, p = parseMoment(q, "to"); p != nil {
		return p
	}
	all, err := h.gate.Evidence(r.Context(), want)
	if err != nil {
		return h.problemOf(r, err)
	}
	next := ""
	if len(all) > page.limit {
		all = all[:page.limit]
		next = page.cursor(place{strconv.FormatInt(all[page.limit-1].ID, 10), ""})
	}
	rows := make([]evidenceRow, len(all))
	for i := range all {
		e := &all[i]
		rows[i] = evidenceRow{e.ID, e.At.UTC(), e.Rule, e.Action, e.SessionID, e.Group, e.UserID, e.DeviceID, e.DeviceType, e.IP,
			e.Place.Country, e.Place.Subdivision, e.Place.Metro, e.Place.Postal, e.Edge, max(e.Times, 1)}
	}
	writeJSON(w, http.StatusOK, struct {
		Evidence []evidenceRow `json:"evidence"`
		Next     string        `json:"next"`
	}{rows, next})
	return nil
}

func parseMoment(q url.Values, name string) (time.Time, *problem) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, badQuery("%s is %s: write a time such as 2026-11-22T18:00:00Z", name, quote(text))
	}
	return t, nil
}
