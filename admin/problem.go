package admin

import (
	"encoding/json"
	"net/http"
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

func writeJSON(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

// write sends v as JSON. encoding/json escapes what clients put into ids and agents: control characters, quotes and
// markup; U+FFFD stands for bytes that are not UTF-8.
func write(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone: nobody is left to tell
}
