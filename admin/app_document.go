package admin

import (
	"net/http"
	"net/url"

	"earshot/session"
)

// document is a JSON:API document with one resource, or with a list of them.
type document struct {
	Data  any    `json:"data"`
	Links *links `json:"links,omitempty"`
}

type links struct {
	Self string `json:"self"`
	Next string `json:"next,omitempty"`
}

// resource is a session as apps see it. Times are seconds since 1970.
type resource struct {
	Type       string      `json:"type"`
	ID         session.ID  `json:"id"`
	Attributes playSession `json:"attributes"`
	Links      links       `json:"links"`
}

type playSession struct {
	Service    string `json:"service"`
	IP4        string `json:"ip4_address,omitempty"`
	IP6        string `json:"ip6_address,omitempty"`
	UserAgent  string `json:"user_agent"`
	DeviceID   string `json:"device_id,omitempty"`
	DeviceType string `json:"device_type"`
	Started    int64  `json:"play_started_timestamp"`
	Updated    int64  `json:"last_updated_timestamp"`
	Expires    int64  `json:"expires_timestamp"`

	Stream   string   `json:"stream,omitempty"`   // what it plays; not there before it does
	Bytes    *int64   `json:"bytes,omitempty"`    // that left this edge; not there if it has not heard of the session
	Duration *float64 `json:"duration,omitempty"` // s, of distinct media time
}

func (a *App) resource(r *http.Request, s *session.Seat) resource {
	out := resource{Type: sessionType, ID: s.Key.ID, Links: links{Self: a.self(r, s)}, Attributes: playSession{Service: s.Service,
		UserAgent: s.Agent, DeviceID: s.DeviceID, DeviceType: s.DeviceType, Started: s.Started.Unix(), Updated: s.Seen.Unix(),
		Expires: s.Expires.Unix(), Stream: s.Key.Group}}
	at := &out.Attributes
	switch ip := s.Address.Unmap(); {
	case ip.Is4():
		at.IP4 = ip.String()
	case ip.IsValid():
		at.IP6 = ip.String()
	}
	if account, ok := a.opt.Book.Find(s.Key); ok && s.Key.Group != "" {
		heard := account.Snapshot()
		seconds := heard.Media.Seconds()
		at.Bytes, at.Duration = &heard.Bytes, &seconds
	}
	return out
}

// self is where a session is found.
func (a *App) self(r *http.Request, s *session.Seat) string {
	if s.UserID == "" { // a listener whom nobody knows: only his end can be asked for
		return a.opt.Outward(r) + api + "/media_play_sessions/" + url.PathEscape(string(s.Key.ID))
	}
	return a.opt.Outward(r) + api + "/users/" + url.PathEscape(s.UserID) + "/media_play_sessions/" + url.PathEscape(string(s.Key.ID))
}

func (a *App) answer(c *call, status int, doc document) {
	write(c.w, status, mediaType(c.r), doc)
}
