package config

import (
	neturl "net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Auth is how listeners and applications prove who they are. At least one of its first four is set.
type Auth struct {
	Tokens        map[string]string // name to bearer token, for the app API; no two are equal
	JWT           *JWT
	SignedURL     *SignedURL
	Callback      *Callback
	EnforceExpiry bool // a token's expiry also ends live sessions
}

// JWT is where keys come from (Secret: at least 16 bytes; Keys: PEM file; JWKS: file, or URL if it holds "://"; one of them at least), the names of
// the claims that are read, and the query parameter that holds the token.
type JWT struct {
	Secret, Keys, JWKS                string
	User, Device, DeviceType, Streams string
	Param                             string
	Leeway                            time.Duration // between the clocks of who signs and who checks
	UserSet                           bool          // User was written, and is no default
}

// SignedURL verifies URLs that were signed with Key, of at least 16 bytes. Param is never the one of tokens.
type SignedURL struct{ Key, Param string }

// Callback asks a backend.
type Callback struct {
	URL     string // http(s), perhaps with a query, a user and a password: a secret
	Style   string // json or icecast
	Timeout time.Duration
	OnError string // allow, deny or last
}

// defaultParam is where tokens stand if nothing else is said.
const defaultParam = "token"

func authKeys(auth **Auth) into {
	return func(v value) {
		a := &Auth{}
		*auth = a
		object(
			field{"tokens", tokens(&a.Tokens)},
			field{"jwt", jwtKeys(&a.JWT)},
			field{"signed_url", func(v value) {
				a.SignedURL = &SignedURL{Param: "sig"}
				object(field{"key", unquoted(&a.SignedURL.Key, badSecretKey)}, field{"param", checked(&a.SignedURL.Param, badParam)})(v)
				v.needs("key")
			}},
			field{"callback", func(v value) {
				c := &Callback{Style: "json", Timeout: 3 * time.Second, OnError: "last"}
				a.Callback = c
				object(
					field{"url", unquoted(&c.URL, badWebURL("http://backend/listeners"))},
					field{"style", oneOf(&c.Style, "json", "icecast")},
					field{"timeout", duration(&c.Timeout, time.Millisecond)},
					field{"on_error", oneOf(&c.OnError, "allow", "deny", "last")},
				)(v)
				v.needs("url")
			}},
			field{"enforce_expiry", boolean(&a.EnforceExpiry)},
		)(v)
		if v.node.Kind == yaml.MappingNode {
			a.check(v)
		}
	}
}

func jwtKeys(jwt **JWT) into {
	return func(v value) {
		j := &JWT{User: "sub", Device: "device", DeviceType: "device_type", Streams: "streams", Param: defaultParam, Leeway: 30 * time.Second}
		*jwt = j
		object(
			field{"secret", unquoted(&j.Secret, badSecretKey)},
			field{"keys", fileOf(&j.Keys, "write the path of a PEM file of public keys")},
			field{"jwks", jwks(&j.JWKS)},
			field{"user", checked(&j.User, notEmpty)},
			field{"device", checked(&j.Device, notEmpty)},
			field{"device_type", checked(&j.DeviceType, notEmpty)},
			field{"streams", checked(&j.Streams, notEmpty)},
			field{"param", checked(&j.Param, badParam)},
			field{"leeway", duration(&j.Leeway, time.Millisecond)},
		)(v)
		j.UserSet = v.sets("user")
		if v.node.Kind == yaml.MappingNode && !v.sets("secret") && !v.sets("keys") && !v.sets("jwks") {
			v.problem("has nothing to check tokens with; write secret, keys or jwks")
		}
	}
}

// check looks at what the keys of auth say together.
func (a *Auth) check(v value) {
	if !v.sets("tokens") && a.JWT == nil && a.SignedURL == nil && a.Callback == nil {
		v.problem("asks nobody for anything; write tokens, jwt, signed_url or callback, or remove the key")
	}
	if a.EnforceExpiry && a.JWT == nil && a.SignedURL == nil {
		v.written[v.child("enforce_expiry")].problem("is for tokens and signed URLs, and neither is asked for; write jwt or signed_url, or remove the key")
	}
	param := ""
	switch {
	case a.JWT != nil:
		param = a.JWT.Param
	case a.Callback != nil: // which is told the token
		param = defaultParam
	}
	if a.SignedURL != nil && a.SignedURL.Param == param {
		at := v.first(v.child("signed_url.param"), v.child("jwt.param"))
		at.problem("%s is to hold a token and a signature; write another parameter for one of them", at.quote())
	}
}

// tokens decodes names that the operator chooses and their bearer tokens.
func tokens(p *map[string]string) into {
	return func(v value) {
		if v.isNull() {
			return
		}
		switch {
		case v.node.Kind != yaml.MappingNode:
			v.problem("is %s; write a mapping of names to values", v.kind())
			return
		case len(v.node.Content) == 0:
			v.problem("is empty; write a name and its token, or remove the key")
			return
		}
		*p = map[string]string{}
		members, holder := v.members(func(string) string { return "" }), map[string]string{}
		for _, name := range sortedByLine(members) {
			var s string
			unquoted(&s, badToken)(members[name])
			if s == "" {
				continue
			}
			if other, ok := holder[s]; ok {
				members[name].problem("is the token of %s, too; give each its own", other)
				continue
			}
			holder[s], (*p)[name] = name, s
		}
	}
}

// badToken checks a bearer token: what a header can carry, and nobody guesses.
func badToken(s string) string {
	switch {
	case len(s) < 16:
		return "is too short, it could be guessed; write 16 bytes or more, chosen at random"
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "holds a character that no bearer token has; write letters, digits and -._~+/="
	}
	return ""
}

// jwks decodes the path of a file, or a URL.
func jwks(p *string) into {
	return func(v value) {
		if strings.Contains(v.node.Value, "://") {
			unquoted(p, badWebURL("https://id.example.com/jwks.json"))(v)
			return
		}
		if s, ok := v.scalar(); ok && strings.Contains(s, "://") { // from the environment, and perhaps a secret
			unquoted(p, badWebURL("https://id.example.com/jwks.json"))(v)
		} else if ok {
			fileOf(p, "write the path of a JWKS file, or its URL")(v)
		}
	}
}

// badWebURL checks a URL that is asked. It may hold a password or a token.
func badWebURL(example string) func(string) string {
	return func(s string) string {
		u, err := neturl.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(s, " \\") {
			return "is not an absolute http(s) URL; write one such as " + example
		}
		if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return "has a port that is no port; write one from 1 to 65535"
			}
		}
		if strings.Contains(s, "#") {
			return "has a fragment, which no server sees; write it without #"
		}
		return ""
	}
}

// ours are query parameters that mean something to Earshot: in every URL, in signed ones, and in a retry that chooses a session to end.
var ours = []string{"x-playback-session-id", "earshot", "cmcd", "offset", "expires", "user", "terminate"}

// badParam checks the query parameter that a proof stands in.
func badParam(s string) string {
	if what := badParameter(s); what != "" {
		return what
	}
	if lower := strings.ToLower(s); slices.Contains(ours, lower) || strings.HasPrefix(lower, "_hls_") {
		return "is a query parameter that means something else already; write another"
	}
	return ""
}
