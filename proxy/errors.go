package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"earshot/gate"
	"earshot/origin"
	"earshot/relay"
	"earshot/session"
)

// Problem is a refusal as players and apps see it: problem+json (RFC 9457) with a stable code. It never holds an origin's
// address.
type Problem struct {
	Status     int
	Code       string
	Detail     string
	RetryAfter time.Duration // 0: no telling
	Allow      string        // of a 405
	Location   string        // of a 302
	Rule       string        // id of the blackout that refuses
	Message    string        // of that, for the listener
	Conflicts  []conflict    // of a 409

	challenge string // of a 401
	cause     error  // for the log
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }
func (p *Problem) Unwrap() error { return p.cause }

const allowed = "GET, HEAD, OPTIONS"

func notFound(detail string) *Problem {
	return &Problem{Status: http.StatusNotFound, Code: "not-found", Detail: detail}
}

func methodNotAllowed() *Problem {
	return &Problem{Status: http.StatusMethodNotAllowed, Code: "method-not-allowed", Allow: allowed,
		Detail: "a stream answers GET, HEAD and OPTIONS only"}
}

// refusals are the gate's, with the words for those that say nothing themselves.
var refusals = map[gate.Code]struct {
	status int
	detail string
}{
	gate.RateLimited:     {http.StatusTooManyRequests, "too many new sessions from this address; try again shortly"},
	gate.EdgeFull:        {http.StatusServiceUnavailable, "this edge serves as many sessions as it may; try again, or another edge"},
	gate.TokenRequired:   {http.StatusUnauthorized, "this stream needs a token"},
	gate.TokenInvalid:    {http.StatusUnauthorized, "the token is not valid"},
	gate.NotAllowed:      {http.StatusForbidden, "not allowed"},
	gate.GrantInvalid:    {http.StatusForbidden, "this address was not given to you; begin with the stream's own"},
	gate.TooManySessions: {http.StatusForbidden, "as many sessions play as may"},
	gate.ChooseSession:   {http.StatusConflict, "as many sessions play as may; choose one to end"},
	gate.Blackout:        {http.StatusForbidden, "this is not available here at this time"},
	gate.Banned:          {http.StatusForbidden, "banned"},
	gate.Ended:           {http.StatusGone, "this session was ended"},
}

// refusal is the gate's refusal as a problem.
func refusal(v gate.Verdict) *Problem {
	as, ok := refusals[v.Code]
	if !ok {
		as.status, as.detail = http.StatusForbidden, "not allowed"
	}
	p := &Problem{Status: as.status, Code: string(v.Code), Detail: cmp.Or(v.Detail, as.detail), RetryAfter: v.RetryAfter, Rule: v.Rule}
	if v.Code == gate.Blackout {
		p.Message = v.Detail
	}
	for _, c := range v.Conflicts {
		p.Conflicts = append(p.Conflicts, conflict{c.Code, c.SessionID, c.Group, c.Service, c.DeviceType, c.Agent, c.Started.UTC(), c.Seen.UTC()})
	}
	return p
}

// conflict is a session that stands in the way, as players see it.
type conflict struct {
	Code       string     `json:"code"` // of termination: name it as X-Terminate, or terminate=, to end the session
	SessionID  session.ID `json:"session_id"`
	Stream     string     `json:"stream"`
	Service    string     `json:"service,omitempty"`
	DeviceType string     `json:"device_type,omitempty"`
	Agent      string     `json:"user_agent,omitempty"`
	Started    time.Time  `json:"started"`
	Seen       time.Time  `json:"last_seen"`
}

// fetchFailed is an origin's failure as a problem. stream names what was asked for in the edge's own words.
func fetchFailed(stream string, err error) error {
	var p *Problem
	for _, row := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{context.Canceled, 499, "client-gone", "the client left before the origin answered"},
		{origin.ErrNotFound, http.StatusNotFound, "not-found", "the origin of %s does not have this"},
		{origin.ErrTimeout, http.StatusGatewayTimeout, "origin-timeout", "the origin of %s does not answer in time"},
		{origin.ErrUnreachable, http.StatusBadGateway, "origin-unreachable", "the origin of %s cannot be reached"},
		{origin.ErrTooLarge, http.StatusBadGateway, "playlist-too-large", "the origin of %s sends a playlist beyond all reason"},
		{origin.ErrRedirect, http.StatusBadGateway, "origin-redirect", "the origin of %s redirects in circles, or to where the edge does not go"},
		{origin.ErrAnswer, http.StatusBadGateway, "origin-answer", "the origin of %s does not answer with a stream"},
		{relay.ErrClosed, http.StatusServiceUnavailable, "draining", "this edge is being shut down; try again, or another edge"},
		{relay.ErrFull, http.StatusForbidden, "too-many-sessions", "%s has as many listeners as it may have"},
		{relay.ErrTimeout, http.StatusGatewayTimeout, "origin-timeout", "the origin of %s does not answer in time"},
		{relay.ErrUpstream, http.StatusBadGateway, "origin-answer", "the origin of %s does not answer with a stream"},
	} {
		if errors.Is(err, row.err) {
			p = &Problem{Status: row.status, Code: row.code, Detail: row.detail, cause: err}
			if strings.Contains(row.detail, "%s") {
				p.Detail = fmt.Sprintf(row.detail, stream)
			}
			return p
		}
	}
	return &Problem{Status: http.StatusBadGateway, Code: "origin-answer", cause: err,
		Detail: fmt.Sprintf("the origin of %s does not answer with a stream", stream)}
}

// noEntry is why a listener was not let in to a mount, as a problem: where the mount is full and has somewhere to send him, a redirect.
func noEntry(m *mount, err error) error {
	if errors.Is(err, relay.ErrFull) && m.overflow != "" {
		return &Problem{Status: http.StatusFound, Code: "too-many-sessions", Location: uriText(m.overflow, "?[]"), cause: err,
			Detail: m.group + " has as many listeners as it may have; there is room elsewhere"}
	}
	return fetchFailed(m.group, err)
}

// reloadFailed is fetchFailed for a blocking reload, where an origin's status speaks of the request, and players act on it: one that asks for
// too much gets 400, one that cannot be answered in time 503 (rfc8216bis, 6.2.5.2).
func reloadFailed(stream string, err error) error {
	var said *origin.StatusError
	if !errors.As(err, &said) || said.Status != http.StatusBadRequest && said.Status != http.StatusServiceUnavailable {
		return fetchFailed(stream, err)
	}
	if said.Status == http.StatusServiceUnavailable {
		return &Problem{Status: said.Status, Code: "origin-busy", RetryAfter: said.RetryAfter, cause: said,
			Detail: "the origin of " + stream + " cannot answer this now"}
	}
	return &Problem{Status: said.Status, Code: "origin-refused", cause: said, Detail: "the origin of " + stream + " refuses this request"}
}

// ourOwn are the headers of an answer that are the edge's own, whatever it answers with.
var ourOwn = []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Timing-Allow-Origin", "Server", "Date", "Connection", "Earshot-Notice"}

// write answers with the problem. Of what is there already only the edge's own headers stay: those of an origin that was asked speak of what is not sent.
func (p *Problem) write(w http.ResponseWriter, head bool) {
	h := w.Header()
	for name := range h {
		if !slices.Contains(ourOwn, name) {
			delete(h, name)
		}
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.Location != "" {
		h.Set("Location", p.Location)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", cmp.Or(p.challenge, `Bearer realm="earshot"`))
	}
	fields := map[string]any{"type": "about:blank", "title": http.StatusText(p.Status), "status": p.Status, "code": p.Code, "detail": p.Detail}
	if p.Rule != "" {
		fields["rule"] = p.Rule
	}
	if p.Message != "" {
		fields["message"] = p.Message
	}
	if len(p.Conflicts) > 0 {
		fields["conflicts"] = p.Conflicts
	}
	body, err := json.Marshal(fields)
	if err != nil {
		body = []byte(`{"code":"internal"}`)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if !head {
		w.Write(body)
	}
}
