package admin

import (
	"net/http"

	"earshot/session"
)

// serveLimits lists the limits that anybody counts under, in order of their names.
func (h *Handler) serveLimits(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "limit", "after")
	if p != nil {
		return p
	}
	page, p := newPage[session.Usage]("u", q)
	if p != nil {
		return p
	}
	all, err := h.gate.Usage(r.Context(), page.after.first, page.limit+1)
	if err != nil {
		return h.problemOf(r, err)
	}
	for _, u := range all {
		if row := page.at(place{u.Name, ""}); row != nil {
			*row = u
		}
	}
	found, next := page.close()
	rows := make([]limitRow, len(found))
	for i, u := range found {
		rows[i] = limitRow{u.Name, u.Max, u.Taken}
	}
	writeJSON(w, http.StatusOK, struct {
		Limits []limitRow `json:"limits"`
		Next   string     `json:"next"`
	}{rows, next})
	return nil
}

// limitRow is how far a limit is used.
type limitRow struct {
	Name  string `json:"name"` // what is counted: user=ann device_type=stb
	Max   int    `json:"max"`
	Taken int    `json:"taken"`
}
