package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
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

// ruleBody is a blackout as it is written, with the names and defaults of the configuration.
type ruleBody struct {
	ID       string          `json:"id"`
	Streams  []string        `json:"streams"`
	Where    audienceBody    `json:"where"`
	Except   audienceBody    `json:"except"`
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Schedule string          `json:"schedule"`
	Action   blackout.Action `json:"action"`
	Unknown  blackout.Action `json:"unknown"`
	Message  string          `json:"message"`
}

func (b *ruleBody) rule() blackout.Rule {
	return blackout.Rule{ID: b.ID, Streams: b.Streams, Where: b.Where.audience(), Except: b.Except.audience(), From: b.From, To: b.To,
		Schedule: b.Schedule, Action: cmp.Or(b.Action, blackout.Deny), Unknown: cmp.Or(b.Unknown, blackout.Deny), Message: b.Message}
}

type audienceBody struct {
	Country     oneOrMore[string]  `json:"country"`
	Subdivision oneOrMore[string]  `json:"subdivision"`
	Metro       oneOrMore[string]  `json:"metro"`
	Postal      oneOrMore[string]  `json:"postal"`
	Network     oneOrMore[network] `json:"network"`
	Device      oneOrMore[string]  `json:"device"`
}

func (b *audienceBody) audience() blackout.Audience {
	a := blackout.Audience{Country: b.Country, Subdivision: b.Subdivision, Metro: b.Metro, Postal: b.Postal, Device: b.Device}
	for _, n := range b.Network {
		a.Network = append(a.Network, n.Prefix)
	}
	return a
}

// network is an address range, or one address, which is a range of one.
type network struct{ netip.Prefix }

// UnmarshalText reads 10.0.0.0/8, or 10.0.0.1.
func (n *network) UnmarshalText(b []byte) error {
	if a, err := netip.ParseAddr(string(b)); err == nil && a.Zone() == "" {
		a = a.Unmap()
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	r, err := netip.ParsePrefix(string(b))
	if err != nil || r.Addr().Is4In6() || r != r.Masked() {
		return fmt.Errorf("%s is not an address range such as 10.0.0.0/8 or 2001:db8::/32", quote(string(b)))
	}
	n.Prefix = r
	return nil
}

// oneOrMore is a list, of which a single value may be written by itself.
type oneOrMore[T any] []T

// UnmarshalJSON reads a list, or a text.
func (o *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		b = slices.Concat([]byte("["), b, []byte("]"))
	}
	err := json.Unmarshal(b, (*[]T)(o))
	if err == nil && *o != nil && len(*o) == 0 {
		return errors.New("a list of an audience is empty: write somebody, or leave it out")
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return errors.New("an audience's fields are texts, or lists of texts")
	}
	return err
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
	if p := readBody(w, r, &body); p != nil {
		return p
	}
	if body.Streams != nil && len(body.Streams) == 0 { // of what names nothing nobody can tell whether it means all
		return invalid("streams is empty: name some, or leave it out for all")
	}
	rule, err := h.gate.AddRule(r.Context(), body.rule(), first)
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
