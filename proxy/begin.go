package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// Query parameter and header of time-shifted listening. The header is an item of RFC 8941: the seconds behind live at which the listener
// begins, and, where that is not what he asked for, the parameter requested with what he did.
const (
	offsetParam  = "offset"
	offsetHeader = "Earshot-Offset"
)

// maxOffset bounds what is asked for; beyond it is surely none of seconds.
const maxOffset = 366 * 24 * time.Hour

// start is where a listener begins: the zero Place is live, a burst behind. said is the value of offsetHeader, "" where he asks for nothing.
func start(hub *relay.Hub, r *http.Request) (from relay.Place, said string, err error) {
	text, asked := parameter(r.URL.RawQuery, offsetParam)
	if !asked {
		return relay.Place{}, "", nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0) || seconds > maxOffset.Seconds() || strings.ContainsAny(text, "xXpP_") {
		return relay.Place{}, "", &Problem{Status: http.StatusBadRequest, Code: "bad-offset", Detail: "offset is a number of seconds behind live, such as 90"}
	}
	if seconds == 0 {
		return relay.Place{}, "0.0", nil
	}
	from = hub.Seek(time.Duration(seconds * float64(time.Second)))
	said = strconv.FormatFloat(from.Behind.Seconds(), 'f', 1, 64)
	if from.Clamped {
		said += ";requested=" + strconv.FormatFloat(seconds, 'f', 1, 64)
	}
	return from, said, nil
}

// parameter is the first of that name in a query.
func parameter(raw, name string) (value string, ok bool) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if n, v, _ := strings.Cut(pair, "="); unescape(n) == name {
			return unescape(v), true
		}
	}
	return "", false
}


// looks reports whether a request is a player's look at what is there, before it asks for what it wants: iOS and Safari ask for the first two
// bytes, and close the connection when they have the head.
func looks(r *http.Request) bool {
	spec, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(r.Header.Get("Range"))), "bytes=0-")
	if !ok {
		return false
	}
	last, err := strconv.ParseUint(spec, 10, 64)
	return err == nil && last < 1024
}

// admitLater is the admission of one who may only be looking.
func (p *Proxy) admitLater(r *http.Request, who identity) func() (*listen.Account, error) {
	return func() (*listen.Account, error) {
		s, fresh, err := p.admit(r, admission{who: who}, session.ICY)
		if err != nil {
			return nil, err
		}
		if fresh && s.Start() {
			p.begin(s, false)
		}
		return p.opt.Book.Account(p.who(s)), nil
	}
}
