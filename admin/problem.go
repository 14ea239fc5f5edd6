package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"earshot/gate"
	"earshot/session"
)

// problem is an answer that is no success, as RFC 9457 writes it. Its type is about:blank: the code tells more than
// the status does, and is stable.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`

	header, value string // one field that goes with it; empty: none
}

func (p *problem) write(w http.ResponseWriter) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	if p.header != "" {
		w.Header().Set(p.header, p.value)
	}
	write(w, p.Status, "application/problem+json", p)
}

func notFound() *problem {
	return &problem{Status: http.StatusNotFound, Code: "not-found", Detail: "no such path; / lists those there are"}
}

func noSuch(what, name string) *problem {
	return &problem{Status: http.StatusNotFound, Code: "not-found", Detail: "there is no " + what + " " + quote(name)}
}

// problemOf is an error of the gate as a problem.
func (h *Handler) problemOf(r *http.Request, err error) *problem {
	for _, row := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{gate.ErrNoSession, http.StatusNotFound, "not-found", "there is no such session"},
		{gate.ErrNoBan, http.StatusNotFound, "not-found", "there is no such ban; /admin/v1/bans lists those there are"},
		{gate.ErrNoRule, http.StatusNotFound, "not-found", "there is no such blackout; /admin/v1/blackouts lists those there are"},
		{gate.ErrConfigured, http.StatusConflict, "configured", "the blackout stands in the configuration, and is ended there"},
		{gate.ErrTaken, http.StatusConflict, "taken", "there is a blackout of that id"},
		{gate.ErrInvalid, http.StatusUnprocessableEntity, "invalid", ""},
		{context.Canceled, 499, "client-gone", "the client left"},
	} {
		if errors.Is(err, row.err) {
			return &problem{Status: row.status, Code: row.code, Detail: cmp.Or(row.detail, err.Error())}
		}
	}
	h.log.Error("operator API", "method", r.Method, "path", r.URL.Path, "err", err)
	if errors.Is(err, session.ErrLive) || errors.Is(err, context.DeadlineExceeded) {
		return &problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "what the edges share cannot be reached at present",
			header: "Retry-After", value: retryAfter(unreachable)}
	}
	return &problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "this failed; the log knows why"}
}

func writeJSON(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

// write sends v as JSON. encoding/json escapes what clients put into ids and agents: control characters, quotes and
// markup; U+FFFD stands for bytes that are not UTF-8.
func write(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone: nobody is left to tell
}
