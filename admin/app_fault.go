package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"earshot/gate"
	"earshot/session"
)

// fault is an answer of the app API that is no success.
type fault struct {
	status     int
	code       string // stable
	detail     string
	pointer    string // into the body, where that is wrong (RFC 6901)
	retryAfter time.Duration
	conflicts  []gate.Conflict
	allow      string
	cause      error // for the log
}

// titles are what a code says in words; other codes say what their status does.
var titles = map[string]string{
	string(gate.TooManySessions): "Too many sessions",
	string(gate.ChooseSession):   "Too many sessions: choose one to end",
	string(gate.NotAllowed):      "Not allowed",
	string(gate.Banned):          "Banned",
	string(gate.Blackout):        "Not available here and now",
	string(gate.Ended):           "The session is over",
	string(gate.TokenRequired):   "A token is required",
	string(gate.TokenInvalid):    "The token does not hold",
	string(gate.RateLimited):     "Too many requests",
	string(gate.EdgeFull):        "No room",
	"device-type-conflict":       "Another device type",
	"type-conflict":              "Another type",
	"id-conflict":                "Another id",
	"invalid":                    "Invalid",
}

func (f *fault) title() string {
	if t, ok := titles[f.code]; ok {
		return t
	}
	return http.StatusText(f.status)
}

// errorDocument says the same twice: errors is JSON:API's; what stands beside it is for clients of the flat form.
type errorDocument struct {
	Errors    []errorObject  `json:"errors"`
	ID        string         `json:"id"`
	Code      string         `json:"code"`
	Title     string         `json:"title"`
	Details   string         `json:"details"`
	Conflicts []conflictItem `json:"conflicts,omitempty"`
}

type errorObject struct {
	ID     string       `json:"id"` // of this very answer; stands in the log if there is something to log
	Status string       `json:"status"`
	Code   string       `json:"code"`
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Source *errorSource `json:"source,omitempty"`
	Meta   *errorMeta   `json:"meta,omitempty"`
}

type errorSource struct {
	Pointer string `json:"pointer"`
}

type errorMeta struct {
	Conflicts []conflictItem `json:"conflicts"`
}

// conflictItem is a session that stands in the way, and the code that ends it.
type conflictItem struct {
	Code       string     `json:"code"` // of termination
	ID         session.ID `json:"id"`
	Stream     string     `json:"stream,omitempty"`
	Service    string     `json:"service"`
	DeviceType string     `json:"device_type"`
	UserAgent  string     `json:"user_agent"`
	Started    int64      `json:"play_started_timestamp"`
	Updated    int64      `json:"last_updated_timestamp"`
}

func (f *fault) document(id string) errorDocument {
	item := errorObject{ID: id, Status: strconv.Itoa(f.status), Code: f.code, Title: f.title(), Detail: f.detail}
	if f.pointer != "" {
		item.Source = &errorSource{f.pointer}
	}
	doc := errorDocument{ID: id, Code: f.code, Title: f.title(), Details: f.detail}
	for _, c := range f.conflicts {
		doc.Conflicts = append(doc.Conflicts, conflictItem{Code: c.Code, ID: c.SessionID, Stream: c.Group, Service: c.Service,
			DeviceType: c.DeviceType, UserAgent: c.Agent, Started: c.Started.Unix(), Updated: c.Seen.Unix()})
	}
	if doc.Conflicts != nil {
		item.Meta = &errorMeta{doc.Conflicts}
	}
	doc.Errors = []errorObject{item}
	return doc
}

// fail answers with the fault.
func (a *App) fail(w http.ResponseWriter, r *http.Request, f *fault) {
	id := string(session.NewID())
	if f.status >= 500 && f.cause != nil {
		a.opt.Log.Error("app API", "method", r.Method, "path", r.URL.Path, "status", f.status, "id", id, "err", f.cause)
	}
	h := w.Header()
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	if f.status == http.StatusUnauthorized {
		challenge := `Bearer realm="earshot"`
		if f.code == string(gate.TokenInvalid) {
			challenge += `, error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if f.retryAfter > 0 {
		h.Set("Retry-After", retryAfter(f.retryAfter))
	}
	write(w, f.status, mediaType(r), f.document(id))
}

// retryAfter is a wait as the header has it: whole seconds, rounded up.
func retryAfter(wait time.Duration) string {
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}

func tooFast(detail string, wait time.Duration) *fault {
	return &fault{status: http.StatusTooManyRequests, code: string(gate.RateLimited), detail: detail, retryAfter: wait}
}

// statuses of the gate's codes (DESIGN, decision 14).
var statuses = map[gate.Code]int{
	gate.TokenRequired: http.StatusUnauthorized, gate.TokenInvalid: http.StatusUnauthorized, gate.NotAllowed: http.StatusForbidden,
	gate.GrantInvalid: http.StatusForbidden, gate.TooManySessions: http.StatusForbidden, gate.Blackout: http.StatusForbidden,
	gate.Banned: http.StatusForbidden, gate.ChooseSession: http.StatusConflict, gate.Ended: http.StatusGone,
	gate.RateLimited: http.StatusTooManyRequests, gate.EdgeFull: http.StatusServiceUnavailable,
}

// details are said where the gate says nothing.
var details = map[gate.Code]string{
	gate.TokenRequired:   "send a token: Authorization: Bearer <token>",
	gate.TokenInvalid:    "the bearer token is not one of this service, or is no longer",
	gate.NotAllowed:      "this token may not do this",
	gate.TooManySessions: "as many sessions as are allowed are playing; stop one of them first",
	gate.ChooseSession:   "as many sessions as are allowed are playing; ask again with X-Terminate: and the termination codes of those that are to end",
	gate.Ended:           "the session is over, and does not begin again; make another",
	gate.Banned:          "this listener may not listen at present",
	gate.Blackout:        "this may not be heard here and now",
	gate.EdgeFull:        "as many sessions are held as may be; try again shortly",
	gate.RateLimited:     "too many new sessions; try again shortly",
}

// unreachable is when to ask again after what could not be reached.
const unreachable = 5 * time.Second

// faultOf is the gate's error as a fault.
func faultOf(err error) *fault {
	var refused *gate.Refusal
	if errors.As(err, &refused) {
		f := &fault{status: statuses[refused.Code], code: string(refused.Code), detail: refused.Detail, retryAfter: refused.RetryAfter,
			conflicts: refused.Conflicts}
		if f.status == 0 {
			f.status = http.StatusForbidden
		}
		if f.detail == "" {
			f.detail = details[refused.Code]
		}
		return f
	}
	switch {
	case errors.Is(err, gate.ErrNoSession), errors.Is(err, gate.ErrNotYours):
		return noSession()
	case errors.Is(err, gate.ErrOverSession):
		return &fault{status: http.StatusGone, code: string(gate.Ended), detail: details[gate.Ended]}
	case errors.Is(err, gate.ErrDeviceType):
		return &fault{status: http.StatusConflict, code: "device-type-conflict", detail: "the session has another device type: make one of its own for this device"}
	case errors.Is(err, gate.ErrInvalid):
		return &fault{status: http.StatusUnprocessableEntity, code: "invalid", detail: err.Error()}
	case errors.Is(err, context.Canceled):
		return &fault{status: 499, code: "client-gone", detail: "the client left"}
	case errors.Is(err, session.ErrLive), errors.Is(err, context.DeadlineExceeded):
		return &fault{status: http.StatusServiceUnavailable, code: "unavailable", detail: "sessions cannot be looked up at present", retryAfter: unreachable} // the table has it in the log, once
	}
	return &fault{status: http.StatusInternalServerError, code: "internal", detail: "this failed at the edge; its log knows why", cause: err}
}

// noSession says of an id of another user's what it says of one that was never there.
func noSession() *fault {
	return &fault{status: http.StatusNotFound, code: "not-found", detail: "the user has no such session"}
}
