package auth

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// icecastStyle is Icecast's authentication by URL: forms are posted, and headers answer.
type icecastStyle struct{}

func (icecastStyle) counts() bool { return true }

const (
	maxAgent = 512
	maxPath  = 4 << 10
)

// ticket holds what the removal has to say again: the client, the user, the password and the query that came with the mount. What does not fit is left out.
func (icecastStyle) ticket(q *question) string {
	user, pass := q.name()
	for _, t := range []url.Values{{"u": {user}, "p": {pass}, "q": {q.RawQuery}}, {"u": {user}, "p": {pass}}, {"u": {user}}} {
		t.Set("c", q.SessionID)
		if s := t.Encode(); len(s) <= MaxTicket {
			return s
		}
	}
	return ""
}

// name is the user and password that the backend is told: those of Basic, unless a token or a signed URL said who it is.
func (q *question) name() (user, pass string) {
	if q.user != "" {
		return q.user, ""
	}
	return q.basicAs, q.password
}

func (icecastStyle) ask(ctx context.Context, to string, q *question) (*http.Request, error) {
	user, pass := q.name()
	form := icecastForm("listener_add", q.Host, q.SessionID, q.Path, q.RawQuery, user, pass, q.Address.String(), q.Agent)
	if q.Referer != "" {
		form.Set("referer", clip(q.Referer, maxPath))
	}
	return postForm(ctx, to, form)
}

func (icecastStyle) remove(ctx context.Context, to string, r *Removal) (*http.Request, error) {
	kept, _ := url.ParseQuery(r.Ticket)
	form := icecastForm("listener_remove", r.Host, cmp.Or(kept.Get("c"), r.SessionID), r.Path, kept.Get("q"), kept.Get("u"), kept.Get("p"), r.Address, r.Agent)
	form.Set("duration", strconv.FormatInt(int64(r.Duration/time.Second), 10))
	form.Set("sent", strconv.FormatInt(r.Bytes, 10))
	return postForm(ctx, to, form)
}

func icecastForm(action, host, client, path, query, user, pass, ip, agent string) url.Values {
	server, port := hostPort(host)
	if query != "" {
		path += "?" + query
	}
	return url.Values{"action": {action}, "server": {server}, "port": {port}, "client": {client}, "mount": {clip(path, maxPath+maxToken)},
		"user": {user}, "pass": {pass}, "ip": {ip}, "agent": {clip(agent, maxAgent)}}
}

func postForm(ctx context.Context, to string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

func (icecastStyle) read(resp *http.Response) (answer, error) {
	h := resp.Header
	a := answer{
		allow:    resp.StatusCode < 300 && strings.TrimSpace(h.Get("icecast-auth-user")) == "1",
		message:  clean(h.Get("icecast-auth-message"), maxMessage),
		unproved: resp.StatusCode == http.StatusUnauthorized,
	}
	if text := h.Get(timeLimit); text != "" {
		var ok bool
		if a.limit, ok = icecastSeconds(text); !ok {
			a.garbled = garbledHeader(timeLimit, text)
		}
	}
	return a, nil
}

const timeLimit = "icecast-auth-timelimit"

// icecastSeconds reads a time limit as Icecast does: the digits that it begins with, and what begins with none is no limit. At 0 the time is over.
func icecastSeconds(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil && digits == "" {
		return 0, false
	}
	return time.Duration(min(max(f, 1), maxSeconds) * float64(time.Second)), true
}

// garbledHeader is a header that made no sense, for the log.
func garbledHeader(name, value string) string { return fmt.Sprintf("%s: %q", name, clip(value, 64)) }

// maxSeconds bounds times that a backend names.
const maxSeconds = 366 * 24 * 60 * 60

// seconds is a time that a backend names; ok is false for what is none.
func seconds(s string) (d time.Duration, ok bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(f > 0) {
		return 0, false
	}
	return time.Duration(min(max(f, 1), maxSeconds) * float64(time.Second)), true
}

// hostPort takes apart what a client named as the host. The port is empty where it named none.
func hostPort(host string) (name, port string) {
	u := url.URL{Host: clip(host, maxText)}
	return u.Hostname(), u.Port()
}
