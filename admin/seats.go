package admin

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"earshot/gate"
	"earshot/session"
)

// seatRow is a place under the limits, as the edges share it.
type seatRow struct {
	ID         session.ID   `json:"session_id"`
	Kind       session.Kind `json:"kind"`  // empty: it has not been played yet
	Group      string       `json:"group"` // empty: likewise
	API        bool         `json:"api"`   // an app made it
	Edge       string       `json:"edge"`  // that saw it last
	UserID     string       `json:"user_id"`
	DeviceID   string       `json:"device_id"`
	DeviceType string       `json:"device_type"`
	Address    string       `json:"address"`
	UserAgent  string       `json:"user_agent"`
	Service    string       `json:"service"`
	Started    time.Time    `json:"started"`
	Seen       time.Time    `json:"seen"`
	Expires    time.Time    `json:"expires"`
	Limits     []string     `json:"limits"` // it counts under
}

func newSeatRow(s *session.Seat) seatRow {
	row := seatRow{ID: s.Key.ID, Kind: s.Kind, Group: s.Key.Group, API: s.API, Edge: s.Edge, UserID: s.UserID, DeviceID: s.DeviceID,
		DeviceType: s.DeviceType, UserAgent: s.Agent, Service: s.Service, Started: s.Started.UTC(), Seen: s.Seen.UTC(), Expires: s.Expires.UTC(),
		Limits: make([]string, 0, len(s.Uses))}
	if s.Address.IsValid() {
		row.Address = s.Address.String()
	}
	for _, use := range s.Uses {
		row.Limits = append(row.Limits, use.Name)
	}
	return row
}

// serveSeats lists seats of all edges, those first that began first.
func (h *Handler) serveSeats(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "user", "id", "limit")
	if p != nil {
		return p
	}
	limit, p := parseLimit(q.Get("limit"))
	if p != nil {
		return p
	}
	seats, err := h.seats(r, q.Get("user"), q.Get("id"), limit)
	if err != nil {
		return h.problemOf(r, err)
	}
	rows := make([]seatRow, 0, len(seats))
	for i := range seats {
		rows = append(rows, newSeatRow(&seats[i]))
	}
	writeJSON(w, http.StatusOK, struct {
		Seats []seatRow `json:"seats"`
	}{rows})
	return nil
}

func (h *Handler) seats(r *http.Request, user, text string, limit int) ([]session.Seat, error) {
	if text == "" {
		return h.gate.Played(r.Context(), user, limit)
	}
	id, err := session.ParseID(text)
	if err != nil {
		return nil, nil
	}
	seat, err := h.gate.Find(r.Context(), user, id)
	switch {
	case errors.Is(err, gate.ErrNoSession), errors.Is(err, gate.ErrNotYours), errors.Is(err, gate.ErrOverSession):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []session.Seat{seat}, nil
}

// parseLimit reads ?limit=.
func parseLimit(text string) (int, *problem) {
	if text == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badQuery("limit is %s: write a whole number from 1 to %d", quote(text), maxLimit)
	}
	return limit, nil
}
