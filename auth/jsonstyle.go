package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// jsonStyle asks in JSON, with Flussonic's questions, and hears Flussonic's headers or JSON.
type jsonStyle struct{}

func (jsonStyle) counts() bool { return false }

// ticket holds the session's id as the backend was told it (a listener may get another when it is known what he plays), and the token, or that it does not fit.
func (jsonStyle) ticket(q *question) string {
	if t := q.SessionID + "\n" + q.token; len(t) <= MaxTicket {
		return t
	}
	return clip(q.SessionID, maxText) + "\n" + longToken
}

// longToken stands for a token that a ticket has no room for; it is none.
const longToken = "\n"

// ticketParts are the id and the token that a ticket holds.
func ticketParts(ticket string) (id, token string) {
	id, token, _ = strings.Cut(ticket, "\n")
	return id, token
}

type jsonQuestion struct {
	Name          string   `json:"name"`
	Stream        string   `json:"stream"`
	Proto         string   `json:"proto"`
	IP            string   `json:"ip"`
	Agent         string   `json:"agent"`
	Token         string   `json:"token"`
	SessionID     string   `json:"session_id"`
	RequestType   string   `json:"request_type"`
	RequestNumber *int     `json:"request_number,omitempty"`
	StreamClients *int     `json:"stream_clients,omitempty"`
	TotalClients  *int     `json:"total_clients,omitempty"`
	User          string   `json:"user"`
	Host          string   `json:"host"`
	Path          string   `json:"path"`
	Referer       string   `json:"referer,omitempty"`
	Duration      *float64 `json:"duration,omitempty"`
	Bytes         *int64   `json:"bytes,omitempty"`
	Time          *int64   `json:"time,omitempty"`
}

func (jsonStyle) ask(ctx context.Context, to string, q *question) (*http.Request, error) {
	kind := "new_session"
	if q.again {
		kind = "update_session"
	}
	return postJSON(ctx, to, &jsonQuestion{Name: q.Group, Stream: q.Group, Proto: q.Kind, IP: q.Address.String(), Agent: clip(q.Agent, maxAgent),
		Token: q.token, SessionID: q.SessionID, RequestType: kind, RequestNumber: &q.Number, StreamClients: &q.StreamClients,
		TotalClients: &q.TotalClients, User: q.user, Host: clip(q.Host, maxText), Path: clip(q.Path, maxPath), Referer: clip(q.Referer, maxPath)})
}

func (jsonStyle) remove(ctx context.Context, to string, r *Removal) (*http.Request, error) {
	duration, at := r.Duration.Seconds(), r.At.Unix()
	id, token := ticketParts(r.Ticket)
	return postJSON(ctx, to, &jsonQuestion{Name: r.Group, Stream: r.Group, Proto: r.Kind, IP: r.Address, Agent: clip(r.Agent, maxAgent),
		Token: strings.Trim(token, longToken), SessionID: cmp.Or(id, r.SessionID), RequestType: "close_session", User: r.User, Host: clip(r.Host, maxText), Path: clip(r.Path, maxPath),
		Duration: &duration, Bytes: &r.Bytes, Time: &at})
}

func postJSON(ctx context.Context, to string, q *jsonQuestion) (*http.Request, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
	}
	return req, err
}

// jsonAnswer is a body. Numbers may be in quotes.
type jsonAnswer struct {
	User        any         `json:"user"`
	UserID      any         `json:"user_id"` // as Flussonic calls it, and the next but one
	Device      any         `json:"device"`
	DeviceType  any         `json:"device_type"`
	Duration    json.Number `json:"duration"`
	AuthTime    json.Number `json:"auth_duration"`
	MaxSessions json.Number `json:"max_sessions"`
	Unique      any         `json:"unique"`
	Message     string      `json:"message"`
	MultiStream bool        `json:"multi_stream"`
}

func (jsonStyle) read(resp *http.Response) (answer, error) {
	a := answer{allow: resp.StatusCode < 300, unproved: resp.StatusCode == http.StatusUnauthorized}
	body, err := bounded(resp.Body, maxBody)
	switch {
	case errors.Is(err, errTooLong) && !a.allow: // a page of somebody's server: no is no
		body = nil
	case err != nil:
		return a, err
	}
	if err := a.readBody(resp.Header, body); err != nil && a.allow {
		return a, err
	}
	if err := a.readHeader(resp.Header); err != nil && a.allow {
		return a, err
	}
	if a.allow {
		a.again = a.keep
	}
	if a.keep == 0 {
		a.keep = a.freshness(resp.Header)
	}
	return a, nil
}

func (a *answer) readBody(h http.Header, body []byte) error {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	if text := bytes.TrimSpace(body); !isJSON || len(text) == 0 {
		if !a.allow && (media == "text/plain" || media == "") {
			a.message = clean(string(text), maxMessage)
		}
		return nil
	}
	var j jsonAnswer
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("its answer is not the JSON it should be: %w", err)
	}
	a.message, a.shared = clean(j.Message, maxMessage), j.MultiStream
	a.keep, _ = seconds(cmp.Or(j.Duration, j.AuthTime).String())
	a.maxSessions = sessions(j.MaxSessions.String())
	if unique(fmt.Sprint(j.Unique)) {
		a.maxSessions = 1
	}
	for _, f := range []struct {
		to   *string
		from any
	}{{&a.user, j.UserID}, {&a.user, j.User}, {&a.device, j.Device}, {&a.deviceType, j.DeviceType}} {
		s, ok := name(f.from)
		if !ok {
			return fmt.Errorf("its answer holds a name that is no text of at most %d printable bytes", maxText)
		}
		if s != "" {
			*f.to = s
		}
	}
	return nil
}

// readHeader takes what the headers say, which goes before the body.
func (a *answer) readHeader(h http.Header) error {
	if text := h.Get("X-AuthDuration"); text != "" {
		if d, ok := seconds(text); ok {
			a.keep = d
		} else if strings.Trim(text, " 0.") != "" { // of no time at all nothing is kept
			a.garbled = garbledHeader("X-AuthDuration", text)
		}
	}
	if user := h.Get("X-UserId"); user != "" {
		if !plain(user) {
			return fmt.Errorf("its X-UserId is longer than %d bytes or not printable", maxText)
		}
		a.user = strings.Clone(user)
	}
	if n := sessions(h.Get("X-Max-Sessions")); n > 0 {
		a.maxSessions = n
	}
	if unique(h.Get("X-Unique")) {
		a.maxSessions = 1
	}
	return nil
}

func unique(s string) bool {
	s = strings.TrimSpace(s)
	return s == "1" || strings.EqualFold(s, "true")
}

// freshness is how long an answer may serve others where it names no duration.
func (a *answer) freshness(h http.Header) time.Duration {
	if age, ok := maxAge(h); ok {
		return min(age, maxSeconds*time.Second)
	}
	if !a.allow {
		d, _ := seconds(h.Get("Retry-After"))
		return d
	}
	return 0
}

// sessions is a number of sessions that a backend names, or 0.
func sessions(s string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
