package admin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"earshot/blackout"
	"earshot/gate"
)

// serveBlackouts lists the blackouts in the order in which they are tried: the first that matches decides.
func (h *Handler) serveBlackouts(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	rules := h.gate.Rules(time.Now())
	if rules == nil {
		rules = []gate.RuleState{}
	}
	writeJSON(w, http.StatusOK, struct {
		Blackouts []gate.RuleState `json:"blackouts"`
	}{rules})
	return nil
}

func (h *Handler) showBlackout(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	rule, err := h.gate.FindRule(names[0], time.Now())
	if err != nil {
		return h.problemOf(r, err)
	}
	writeJSON(w, http.StatusOK, rule)
	return nil
}

// ruleBody is a blackout as it is written, with the names and defaults of the configuration.
type ruleBody struct {
	ID       string          `json:"id"`
	Streams  []string        `json:"streams"`
	Where    audienceBody    `json:"where"`
	Except   audienceBody    `json:"except"`
	From     string          `json:"from"`
	To       string          `json:"to"`
	Schedule string          `json:"schedule"`
	Action   blackout.Action `json:"action"`
	Unknown  blackout.Action `json:"unknown"`
	Message  string          `json:"message"`
}

// rule is the rule that a body holds. What its texts may be [blackout.Rule.Check] knows, for the configuration as for this.
func (b *ruleBody) rule() (r blackout.Rule, p *problem) {
	r = blackout.Rule{ID: b.ID, Streams: b.Streams, Schedule: b.Schedule, Action: cmp.Or(b.Action, blackout.Deny), Unknown: cmp.Or(b.Unknown, blackout.Deny),
		Message: b.Message}
	if b.Streams != nil && len(b.Streams) == 0 {
		return r, emptyList("streams")
	}
	if r.From, p = timeOf("from", b.From); p != nil {
		return r, p
	}
	if r.To, p = timeOf("to", b.To); p != nil {
		return r, p
	}
	if r.Where, p = b.Where.audience("where."); p != nil {
		return r, p
	}
	r.Except, p = b.Except.audience("except.")
	return r, p
}

func emptyList(field string) *problem {
	return invalid("%s is an empty list: write at least one entry", field)
}

func timeOf(field, text string) (t time.Time, p *problem) {
	if text == "" {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, invalid("%s: %s is not a time: write one such as 2026-05-02T18:00:00Z", field, quote(text))
	}
	return t, nil
}

// audienceBody has one value in a field, or a list.
type audienceBody struct {
	Country     json.RawMessage `json:"country"`
	Subdivision json.RawMessage `json:"subdivision"`
	Metro       json.RawMessage `json:"metro"`
	Postal      json.RawMessage `json:"postal"`
	Network     json.RawMessage `json:"network"`
	Device      json.RawMessage `json:"device"`
}

func (b *audienceBody) audience(in string) (a blackout.Audience, p *problem) {
	var networks []string
	for _, f := range []struct {
		name string
		from json.RawMessage
		to   *[]string
	}{{"country", b.Country, &a.Country}, {"subdivision", b.Subdivision, &a.Subdivision}, {"metro", b.Metro, &a.Metro}, {"postal", b.Postal, &a.Postal},
		{"network", b.Network, &networks}, {"device", b.Device, &a.Device}} {
		if *f.to, p = oneOrMore(in+f.name, f.from); p != nil {
			return a, p
		}
	}
	for _, text := range networks {
		n, ok := network(text)
		if !ok {
			return a, invalid("%snetwork: %s is not an address range: write one such as 10.0.0.0/8 or 2001:db8::/32, with no bits set beyond its length", in, quote(text))
		}
		a.Network = append(a.Network, n)
	}
	return a, nil
}

// oneOrMore reads a list of texts, of which a single one may be written by itself.
func oneOrMore(field string, from json.RawMessage) (all []string, p *problem) {
	switch {
	case len(from) == 0:
		return nil, nil
	case from[0] == '"':
		from = slices.Concat([]byte("["), from, []byte("]"))
	}
	if err := json.Unmarshal(from, &all); err != nil {
		return nil, invalid("%s: write a text, or a list of texts", field)
	}
	if len(all) == 0 {
		return nil, emptyList(field)
	}
	return all, nil
}

// network reads an address range, or one address, which is a range of one.
func network(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	n, err := netip.ParsePrefix(text)
	return n, err == nil && !n.Addr().Is4In6() && n == n.Masked()
}

// addBlackout adds a rule on every edge: behind those there are, or before them all.
func (h *Handler) addBlackout(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseQuery(r, "first")
	if p != nil {
		return p
	}
	first, err := strconv.ParseBool(q.Get("first"))
	if err != nil && q.Get("first") != "" {
		return badQuery("first is %s: write true or false", quote(q.Get("first")))
	}
	var body ruleBody
	text, p := readObject(w, r, &body)
	if p == nil {
		p = unclear(text)
	}
	if p != nil {
		return p
	}
	rule, p := body.rule()
	if p != nil {
		return p
	}
	rule, err = h.gate.AddRule(r.Context(), rule, first)
	if err != nil {
		return h.problemOf(r, err)
	}
	h.log.Info("blackout added", "blackout", rule.ID, "first", first)
	w.Header().Set("Location", "/admin/v1/blackouts/"+url.PathEscape(rule.ID))
	writeJSON(w, http.StatusCreated, rule)
	return nil
}

func (h *Handler) endBlackout(w http.ResponseWriter, r *http.Request, names []string) *problem {
	if _, p := parseQuery(r); p != nil {
		return p
	}
	if err := h.gate.EndRule(r.Context(), names[0]); err != nil {
		return h.problemOf(r, err)
	}
	h.log.Info("blackout ended", "blackout", names[0])
	w.WriteHeader(http.StatusNoContent)
	return nil
}
