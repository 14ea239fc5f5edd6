package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"earshot/gate"
	"earshot/session"
)

const (
	jsonAPI      = "application/vnd.api+json"
	plainJSON    = "application/json"
	sessionType  = "MediaPlaySession"
	maxText      = 256  // bytes of each text of a session
	maxTerminate = 8    // codes, as many as the gate takes
	maxCode      = 2048 // bytes of a termination code
)

// mediaType is what a client is answered in: JSON:API's own where he sends or accepts it. The document is the same.
func mediaType(r *http.Request) string {
	sent, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if sent == jsonAPI || strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), jsonAPI) {
		return jsonAPI
	}
	return plainJSON
}

// isJSON tells whether a Content-Type is JSON, in either of its names.
func isJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && (kind == plainJSON || kind == jsonAPI) && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// mayBeJSON tells whether a body may be read as JSON: it is, or it is called what tools call any body. Apps have bearer tokens, and no page can have a
// browser send those: nothing hangs on the type as it does for operators.
func mayBeJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind == "json" || kind == "*/*" {
		return !strings.Contains(strings.ToLower(contentType), "multipart/")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return false
	}
	switch kind {
	case plainJSON, "text/json", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream":
		return true
	}
	return strings.HasSuffix(kind, "+json")
}

// readPlay reads what a body says of a session: nothing, flat JSON, or a JSON:API document.
func readPlay(w http.ResponseWriter, r *http.Request) (gate.Play, *fault) {
	body, err := readAll(w, r)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return gate.Play{}, &fault{status: http.StatusRequestEntityTooLarge, code: "too-large", detail: fmt.Sprintf("a body may have %d bytes", maxBody)}
	case err != nil:
		return gate.Play{}, malformed("the body ended too early, or came too slowly")
	}
	var p gate.Play
	if len(strings.TrimSpace(string(body))) > 0 {
		if !mayBeJSON(r.Header.Get("Content-Type")) {
			return gate.Play{}, &fault{status: http.StatusUnsupportedMediaType, code: "unsupported-media-type",
				detail: "send " + plainJSON + " or " + jsonAPI + ", in UTF-8"}
		}
		var f *fault
		if p, f = parsePlay(body); f != nil {
			return gate.Play{}, f
		}
	}
	return p, addTerminate(&p, r.Header.Values("X-Terminate"))
}

func malformed(detail string) *fault {
	return &fault{status: http.StatusBadRequest, code: "malformed", detail: detail}
}

// parsePlay tells the forms apart: what has "data" is a JSON:API document.
func parsePlay(body []byte) (gate.Play, *fault) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil || top == nil {
		return gate.Play{}, malformed("the body is no JSON object, such as {\"service\":\"live\"}")
	}
	if _, ok := top["data"]; !ok {
		rd := attributes{of: top}
		return rd.play("id")
	}
	doc := attributes{of: top}
	data := attributes{of: doc.object("data"), at: "/data"}
	attrs := attributes{of: data.object("attributes"), at: "/data/attributes"}
	if doc.bad != nil || data.bad != nil {
		return gate.Play{}, firstFault(doc.bad, data.bad)
	}
	kind, id := data.text("type", maxText), data.text("id", session.MaxID)
	if data.bad == nil && kind == "" {
		data.refuse("type", "is missing: write "+sessionType)
	}
	if data.bad != nil {
		return gate.Play{}, data.bad
	}
	if kind != sessionType {
		return gate.Play{}, &fault{status: http.StatusConflict, code: "type-conflict", pointer: "/data/type", detail: "the type of what is here is " + sessionType}
	}
	p, f := attrs.play("")
	if f == nil && id != "" {
		p.ID = data.id("id", id)
		f = data.bad
	}
	return p, f
}

func firstFault(all ...*fault) *fault {
	for _, f := range all {
		if f != nil {
			return f
		}
	}
	return nil
}

// attributes reads an object member by member, and remembers the first that is wrong. Those it is not asked for are ignored; null, and an
// empty text, are as if they were not there.
type attributes struct {
	of  map[string]json.RawMessage
	at  string // where it stands in the body (RFC 6901)
	bad *fault
}

func (a *attributes) refuse(name, says string) {
	if a.bad == nil {
		a.bad = &fault{status: http.StatusUnprocessableEntity, code: "invalid", pointer: a.at + "/" + name, detail: name + " " + says}
	}
}

// read reads a member into v, and reports whether it is there.
func (a *attributes) read(name string, v any, want string) bool {
	raw, ok := a.of[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil {
		a.refuse(name, "is not "+want)
		return false
	}
	return true
}

func (a *attributes) object(name string) (v map[string]json.RawMessage) {
	a.read(name, &v, "an object")
	return v
}

func (a *attributes) text(name string, most int) (s string) {
	if !a.read(name, &s, "a text") {
		return ""
	}
	if says := textFault(s, most); says != "" {
		a.refuse(name, says)
	}
	return s
}

// textFault says what is wrong with a text; empty: nothing.
func textFault(s string, most int) string {
	switch {
	case len(s) > most:
		return fmt.Sprintf("is %d bytes long: at most %d are taken", len(s), most)
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "holds what is not printable"
	}
	return ""
}

// agent is a User-Agent. Those are as long as they are, and cut as the edge cuts what players send.
func (a *attributes) agent(name string) string {
	return cut(a.text(name, maxBody))
}

func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}

func (a *attributes) id(name, text string) session.ID {
	if text == "" {
		return ""
	}
	id, err := session.ParseID(text)
	switch {
	case err != nil:
		a.refuse(name, strings.TrimPrefix(err.Error(), session.ErrID.Error()+": "))
	case !mayName(text) || session.IsBare(id):
		a.refuse(name, "is not one that a client may choose")
	}
	return id
}

// mayName tells whether a text can stand in a path: clients take dots out.
func mayName(s string) bool { return s != "." && s != ".." }

func (a *attributes) address(name string, right func(netip.Addr) bool, such string) (ip netip.Addr) {
	text := a.text(name, maxText)
	if text == "" {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" || !right(ip) {
		a.refuse(name, "is not an address such as "+such)
		return netip.Addr{}
	}
	return ip.Unmap()
}

func (a *attributes) codes(name string) (codes []string) {
	a.read(name, &codes, "a list of texts")
	return codes
}

func (a *attributes) play(id string) (gate.Play, *fault) {
	p := gate.Play{Service: a.text("service", maxText), DeviceID: a.text("device_id", maxText), DeviceType: a.text("device_type", maxText),
		Agent: a.agent("user_agent")}
	if id != "" {
		p.ID = a.id(id, a.text(id, session.MaxID))
	}
	four := a.address("ip4_address", func(ip netip.Addr) bool { return ip.Unmap().Is4() }, "192.0.2.7")
	six := a.address("ip6_address", func(ip netip.Addr) bool { return !ip.Unmap().Is4() }, "2001:db8::7")
	if p.Address = four; !four.IsValid() {
		p.Address = six
	}
	a.read("multi_stream", &p.Shared, "true or false")
	codes := a.codes("terminate")
	if a.bad != nil {
		return gate.Play{}, a.bad
	}
	return p, addTerminate(&p, codes)
}

// addTerminate takes in termination codes: each value is a list of them, with commas.
func addTerminate(p *gate.Play, values []string) *fault {
	for _, value := range values {
		for code := range strings.SplitSeq(value, ",") {
			code = strings.TrimSpace(code)
			switch {
			case code == "":
			case len(code) > maxCode || len(p.Terminate) == maxTerminate:
				return &fault{status: http.StatusUnprocessableEntity, code: "invalid",
					detail: fmt.Sprintf("at most %d termination codes are taken, of at most %d bytes", maxTerminate, maxCode)}
			default:
				p.Terminate = append(p.Terminate, code)
			}
		}
	}
	return nil
}
