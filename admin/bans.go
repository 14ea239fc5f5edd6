package admin

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"earshot/gate"
	"earshot/session"
)

// serveBans lists the bans that are not over, in order of their ids.
func (h *Handler) serveBans(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "limit", "after")
	if p != nil {
		return p
	}
	page, p := newPage[gate.Ban]("b", q)
	if p != nil {
		return p
	}
	for _, b := range h.gate.Bans() {
		if row := page.at(place{b.ID, ""}); row != nil {
			*row = inUTC(b)
		}
	}
	rows, next := page.close()
	writeJSON(w, http.StatusOK, struct {
		Bans []*gate.Ban `json:"bans"`
		Next string      `json:"next"`
	}{rows, next})
	return nil
}

func (h *Handler) showBan(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	ban, err := h.gate.FindBan(names[0])
	if err != nil {
		return h.problemOf(r, err)
	}
	writeJSON(w, http.StatusOK, inUTC(ban))
	return nil
}

func inUTC(b gate.Ban) gate.Ban {
	b.Made, b.Until = b.Made.UTC(), b.Until.UTC()
	return b
}

// banBody says whom to ban, and for how long: a user; whoever has a session; or an address with an agent.
type banBody struct {
	User    string     `json:"user"`
	Session string     `json:"session"`
	Address netip.Addr `json:"address"`
	Agent   string     `json:"agent"`
	For     string     `json:"for"`
	Reason  string     `json:"reason"`
}

func (b *banBody) check() (time.Duration, *problem) {
	whom := 0
	for _, said := range []bool{b.User != "", b.Session != "", b.Address.IsValid()} {
		if said {
			whom++
		}
	}
	d, ok := parseFor(b.For)
	switch {
	case whom != 1:
		return 0, invalid("say whom to ban by one of user, session, or address with agent")
	case b.Address.Zone() != "":
		return 0, invalid("address has a zone, which no listener's has")
	case b.Agent != "" && !b.Address.IsValid():
		return 0, invalid("agent goes with address")
	case b.For == "":
		return 0, invalid(`for is missing: write how long the ban stands, such as "1h" or "30d"`)
	case !ok || d < time.Second:
		return 0, invalid(`for is %s: write a duration of a second or more, such as "1h" or "30d"`, quote(b.For))
	}
	for _, text := range []struct{ name, text string }{{"user", b.User}, {"session", b.Session}, {"agent", b.Agent}, {"reason", b.Reason}} {
		if says := textFault(text.text, maxText); says != "" {
			return 0, invalid("%s %s", text.name, says)
		}
	}
	return d, nil
}

// addBan has a ban begin now, on every edge.
func (h *Handler) addBan(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	var body banBody
	if p := readBody(w, r, &body); p != nil {
		return p
	}
	d, p := body.check()
	if p != nil {
		return p
	}
	ban, err := h.gate.Ban(r.Context(), gate.Ban{User: body.User, Address: body.Address.Unmap(), Agent: body.Agent, Reason: body.Reason,
		Until: time.Now().Add(d).Truncate(time.Millisecond)}, session.ID(body.Session))
	if err != nil {
		return h.problemOf(r, err)
	}
	h.log.Info("ban begins", "ban", ban.ID, "user", ban.User, "address", ban.Address, "agent", ban.Agent, "until", ban.Until, "reason", ban.Reason)
	w.Header().Set("Location", "/admin/v1/bans/"+url.PathEscape(ban.ID))
	writeJSON(w, http.StatusCreated, inUTC(ban))
	return nil
}

func (h *Handler) endBan(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	if err := h.gate.Unban(r.Context(), names[0]); err != nil {
		return h.problemOf(r, err)
	}
	h.log.Info("ban ended", "ban", names[0])
	w.WriteHeader(http.StatusNoContent)
	return nil
}
