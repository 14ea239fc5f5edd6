package config

import (
	"net/netip"
	"time"
)

// Auth is how listeners and applications prove who they are.
type Auth struct {
	Tokens        map[string]string // name to bearer token, for the app API
	JWT           *JWT
	SignedURL     *SignedURL
	Callback      *Callback
	EnforceExpiry bool // a token's expiry also ends live sessions
}

// JWT is where keys come from (Secret, Keys: PEM file, or JWKS: file or URL), the names of the claims that are
// read, and the query parameter that holds the token.
type JWT struct {
	Secret, Keys, JWKS                string
	User, Device, DeviceType, Streams string
	Param                             string
}

// SignedURL verifies URLs that were signed with Key.
type SignedURL struct{ Key, Param string }

// Callback asks a backend.
type Callback struct {
	URL     string
	Style   string // json or icecast
	Timeout time.Duration
	OnError string // allow, deny or last
}

// Limit is at most Max seats per user, device, address, stream or edge, for one device type or group if named.
type Limit struct {
	Per, DeviceType, Group string
	Max                    int
}

// Blackout hides streams from an audience for a time.
type Blackout struct {
	ID            string
	Streams       []string
	Where, Except Audience
	From, To      time.Time // zero: no bound
	Schedule      string
	Action        string // deny or allow
	Unknown       string // deny or allow: what to do if the place is not known
	Message       string
}

// Audience is a set of listeners.
type Audience struct {
	Country, Subdivision, Metro, Postal []string
	Network                             []netip.Prefix
	Device                              []string
}

func authKeys(auth **Auth) into {
	return func(v value) {
		a := &Auth{}
		*auth = a
		object(
			field{"tokens", named(&a.Tokens)},
			field{"jwt", func(v value) {
				j := &JWT{User: "sub", Device: "device", DeviceType: "device_type", Streams: "streams", Param: "token"}
				a.JWT = j
				object(
					field{"secret", text(&j.Secret)},
					field{"keys", text(&j.Keys)},
					field{"jwks", text(&j.JWKS)},
					field{"user", text(&j.User)},
					field{"device", text(&j.Device)},
					field{"device_type", text(&j.DeviceType)},
					field{"streams", text(&j.Streams)},
					field{"param", text(&j.Param)},
				)(v)
			}},
			field{"signed_url", func(v value) {
				a.SignedURL = &SignedURL{Param: "sig"}
				object(field{"key", text(&a.SignedURL.Key)}, field{"param", text(&a.SignedURL.Param)})(v)
			}},
			field{"callback", func(v value) {
				c := &Callback{Style: "json", Timeout: 3 * time.Second, OnError: "last"}
				a.Callback = c
				object(
					field{"url", text(&c.URL)},
					field{"style", oneOf(&c.Style, "json", "icecast")},
					field{"timeout", duration(&c.Timeout, time.Millisecond)},
					field{"on_error", oneOf(&c.OnError, "allow", "deny", "last")},
				)(v)
			}},
			field{"enforce_expiry", boolean(&a.EnforceExpiry)},
		)(v)
	}
}

func limitKeys(l *Limit) into {
	return func(v value) {
		object(
			field{"per", oneOf(&l.Per, "user", "device", "address", "stream", "edge")},
			field{"device_type", text(&l.DeviceType)},
			field{"group", text(&l.Group)},
			field{"max", number(&l.Max, 1)},
		)(v)
		v.needs("per", "max")
	}
}

func blackoutKeys(b *Blackout) into {
	b.Action, b.Unknown = "deny", "deny"
	return object(
		field{"id", text(&b.ID)},
		field{"streams", list(&b.Streams, text)},
		field{"where", audienceKeys(&b.Where)},
		field{"except", audienceKeys(&b.Except)},
		field{"from", moment(&b.From)},
		field{"to", moment(&b.To)},
		field{"schedule", text(&b.Schedule)},
		field{"action", oneOf(&b.Action, "deny", "allow")},
		field{"unknown", oneOf(&b.Unknown, "deny", "allow")},
		field{"message", text(&b.Message)},
	)
}

func audienceKeys(a *Audience) into {
	return object(
		field{"country", oneOrMore(&a.Country, text)},
		field{"subdivision", oneOrMore(&a.Subdivision, text)},
		field{"metro", oneOrMore(&a.Metro, text)},
		field{"postal", oneOrMore(&a.Postal, text)},
		field{"network", oneOrMore(&a.Network, prefix)},
		field{"device", oneOrMore(&a.Device, text)},
	)
}
