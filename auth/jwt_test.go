package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestClaims(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret, User: "https://id.example/user", Device: "hw.id", DeviceType: "hw.type"}})
	type c = jwt.MapClaims
	for name, test := range map[string]struct {
		claims jwt.MapClaims
		code   string
		want   Identity
	}{
		"nothing":            {c{}, "", Identity{}},
		"user":               {c{"https://id.example/user": "ann"}, "", Identity{User: "ann"}},
		"number":             {c{"https://id.example/user": json.Number("12345678901234567890")}, "", Identity{User: "12345678901234567890"}},
		"fraction":           {c{"https://id.example/user": 1.5}, TokenInvalid, Identity{}},
		"user is a list":     {c{"https://id.example/user": []string{"ann"}}, TokenInvalid, Identity{}},
		"user is null":       {c{"https://id.example/user": nil}, "", Identity{}},
		"control character":  {c{"https://id.example/user": "an\nn"}, TokenInvalid, Identity{}},
		"right to left":      {c{"https://id.example/user": "an\u202en"}, TokenInvalid, Identity{}},
		"256 bytes":          {c{"https://id.example/user": strings.Repeat("a", 256)}, "", Identity{User: strings.Repeat("a", 256)}},
		"257 bytes":          {c{"https://id.example/user": strings.Repeat("a", 257)}, TokenInvalid, Identity{}},
		"path":               {c{"hw": c{"id": "d1", "type": "stb"}}, "", Identity{Device: "d1", DeviceType: "stb"}},
		"path as it stands":  {c{"hw.id": "d2", "hw": c{"id": "d1"}}, "", Identity{Device: "d2"}},
		"path into a text":   {c{"hw": "d1"}, "", Identity{}},
		"shared":             {c{"multi_stream": true}, "", Identity{Shared: true}},
		"shared, but a text": {c{"multi_stream": "true"}, "", Identity{}},
		"stream":             {c{"streams": "news"}, "", Identity{}},
		"streams":            {c{"streams": "tv-* news"}, "", Identity{}},
		"list":               {c{"streams": []string{"tv-*", "n*s"}}, "", Identity{}},
		"another stream":     {c{"streams": []string{"tv-*", "new"}}, NotAllowed, Identity{}},
		"no streams":         {c{"streams": []string{}}, NotAllowed, Identity{}},
		"no stream":          {c{"streams": ""}, NotAllowed, Identity{}},
		"streams is null":    {c{"streams": nil}, TokenInvalid, Identity{}},
		"streams is true":    {c{"streams": true}, TokenInvalid, Identity{}},
		"list of numbers":    {c{"streams": []int{1}}, TokenInvalid, Identity{}},
		"exp is a text":      {c{"exp": "tomorrow"}, TokenInvalid, Identity{}},
		"exp in ms":          {c{"exp": in(time.Hour) * 1000}, TokenInvalid, Identity{}},
		"exp beyond time":    {c{"exp": json.Number("1e300")}, TokenInvalid, Identity{}},
		"exp below zero":     {c{"exp": -1}, TokenInvalid, Identity{}},
		"nbf beyond time":    {c{"nbf": json.Number("-1e300")}, TokenInvalid, Identity{}},
		"exp is null":        {c{"exp": nil}, TokenInvalid, Identity{}},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := a.Admit(t.Context(), request(hs(t, test.claims)))
			if got := code(t, err); got != test.code || id != test.want {
				t.Errorf("%q, %+v; want %q, %+v", got, id, test.code, test.want)
			}
		})
	}
}

func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, Options{JWT: &JWT{Secret: secret, Leeway: 40 * time.Second}})
		for _, test := range []struct {
			claim  string
			at     time.Duration
			detail string // empty: allowed
		}{
			{"exp", time.Second, ""}, {"exp", 0, ""}, {"exp", -39 * time.Second, ""}, {"exp", -41 * time.Second, "the token has expired"},
			{"nbf", 40 * time.Second, ""}, {"nbf", 41 * time.Second, "the token is not valid yet"},
			{"iat", 40 * time.Second, ""}, {"iat", 41 * time.Second, "the token is not valid yet"},
		} {
			id, err := a.Admit(t.Context(), request(hs(t, jwt.MapClaims{test.claim: in(test.at)})))
			switch r, _ := err.(*Refusal); {
			case test.detail == "" && err != nil, test.detail != "" && (r == nil || r.Code != TokenInvalid || r.Detail != test.detail):
				t.Errorf("%s in %v: %v", test.claim, test.at, err)
			case test.detail == "" && test.claim == "exp" && !id.Expires.After(time.Now()):
				t.Errorf("%s in %v: who was let in is over at %v", test.claim, test.at, id.Expires)
			}
		}
	})
}

// Every kind of key, from every place.
func TestKeys(t *testing.T) {
	for name, p := range map[string]pair{"RS256": newRSA(t), "ES256": newEC(t), "EdDSA": newEd(t)} {
		for where, opt := range map[string]JWT{
			"PEM":  {Keys: file(t, pemOf(t, p.public()))},
			"JWKS": {JWKS: file(t, jwks(t, map[string]crypto.PublicKey{"k1": p.public()}))},
			"both": {Keys: file(t, pemOf(t, newEC(t).public(), newEd(t).public(), p.public())), JWKS: file(t, jwks(t, map[string]crypto.PublicKey{"x": newEC(t).public()}))},
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				a := newAuth(t, Options{JWT: &opt})
				id, err := a.Admit(t.Context(), request(p.sign(t, jwt.MapClaims{"sub": "ann"}, "kid", "k1")))
				if err != nil || id.User != "ann" {
					t.Errorf("with kid: %+v, %v", id, err)
				}
				if _, err = a.Admit(t.Context(), request(p.sign(t, jwt.MapClaims{"sub": "ann"}))); err != nil {
					t.Errorf("without kid: %v", err)
				}
				other := map[string]pair{"RS256": newRSA(t), "ES256": newEC(t), "EdDSA": newEd(t)}[name]
				if _, err = a.Admit(t.Context(), request(other.sign(t, jwt.MapClaims{"sub": "ann"}, "kid", "k1"))); code(t, err) != TokenInvalid {
					t.Errorf("another's key: %v", err)
				}
			})
		}
	}
}

// What attackers send: each is refused, and that a token like it but honest is let in shows that it is for the right reason.
func TestForged(t *testing.T) {
	rs, ec, ed := newRSA(t), newEC(t), newEd(t)
	pemFile := pemOf(t, rs.public(), ec.public(), ed.public())
	keysOnly := newAuth(t, Options{JWT: &JWT{Keys: file(t, pemFile)}})
	both := newAuth(t, Options{JWT: &JWT{Keys: file(t, pemFile), Secret: secret}})
	oct := newAuth(t, Options{JWT: &JWT{JWKS: file(t, []byte(`{"keys":[{"kty":"oct","kid":"o","alg":"HS256","k":"`+
		base64.RawURLEncoding.EncodeToString([]byte(secret))+`"},`+string(jwks(t, map[string]crypto.PublicKey{"e": ec.public()})[9:])))}})
	c := jwt.MapClaims{"sub": "ann"}
	honest := rs.sign(t, c)
	for _, a := range []*Auth{keysOnly, both} {
		for _, p := range []pair{rs, ec, ed} {
			if _, err := a.Admit(t.Context(), request(p.sign(t, c))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := both.Admit(t.Context(), request(hs(t, c))); err != nil {
		t.Fatal(err)
	}
	part := strings.Split(honest, ".")
	head := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	none := head(`{"alg":"none","typ":"JWT"}`) + "." + part[1] + "."
	hsWith := func(key []byte) string { return signed256(t, jwt.SigningMethodHS256, key, c) }
	mallory := newEC(t)
	var own json.RawMessage
	{
		var set struct{ Keys []json.RawMessage }
		must(t, json.Unmarshal(jwks(t, map[string]crypto.PublicKey{"m": mallory.public()}), &set))
		own = set.Keys[0]
	}
	tokens := map[string]string{
		"none":                      none,
		"none with a signature":     none + part[2],
		"NONE":                      head(`{"alg":"NONE"}`) + "." + part[1] + ".",
		"no algorithm":              head(`{"typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"algorithm is a list":       head(`{"alg":["RS256"]}`) + "." + part[1] + "." + part[2],
		"HS256 with the PEM file":   hsWith(pemFile),
		"HS256 with one PEM block":  hsWith(pemOf(t, rs.public())),
		"HS256 with the Ed key":     hsWith(ed.public().(ed25519.PublicKey)),
		"HS256 with nothing":        head(`{"alg":"HS256"}`) + "." + part[1] + "." + part[2],
		"RS512 with the right key":  signed256(t, jwt.SigningMethodRS512, rs.private, c),
		"PS256 with the right key":  signed256(t, jwt.SigningMethodPS256, rs.private, c),
		"ES256 head, RSA signature": head(`{"alg":"ES256"}`) + "." + part[1] + "." + part[2],
		"a key in the head":         mallory.sign(t, c, "jwk", own),
		"a URL in the head":         mallory.sign(t, c, "jku", "http://127.0.0.1:1/", "x5u", "http://127.0.0.1:1/"),
		"crit":                      rs.sign(t, c, "crit", []string{"exp"}),
		"crit that is empty":        rs.sign(t, c, "crit", []string{}),
		"crit that is null":         rs.sign(t, c, "crit", nil),
		"altered claims":            part[0] + "." + head(`{"sub":"bob"}`) + "." + part[2],
		"altered signature":         part[0] + "." + part[1] + "." + flip(part[2]),
		"no signature":              part[0] + "." + part[1] + ".",
		"two parts":                 part[0] + "." + part[1],
		"four parts":                honest + ".x",
		"five parts":                honest + ".x.y",
		"padding":                   honest + "==",
		"blanks":                    part[0] + ". " + part[1] + "." + part[2],
		"nothing of it":             "..",
		"too long":                  rs.sign(t, jwt.MapClaims{"sub": "ann", "x": strings.Repeat("x", 8<<10)}),
	}
	for name, token := range tokens {
		for which, a := range map[string]*Auth{"keys": keysOnly, "keys and secret": both} {
			if id, err := a.Admit(t.Context(), request(token)); code(t, err) != TokenInvalid || id != (Identity{}) {
				t.Errorf("%s, %s: %+v, %v", name, which, id, err)
			}
		}
	}
	if _, err := oct.Admit(t.Context(), request(hs(t, c, "kid", "o"))); code(t, err) != TokenInvalid {
		t.Errorf("HS256 with a published key: %v", err)
	}
	if _, err := oct.Admit(t.Context(), request(ec.sign(t, c, "kid", "e"))); err != nil {
		t.Error(err)
	}
	if _, err := keysOnly.Admit(t.Context(), request(hs(t, c))); code(t, err) != TokenInvalid {
		t.Errorf("HS256 where there is no secret: %v", err)
	}
}

// flip changes one bit of a signature, in its middle.
func flip(s string) string {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	b[len(b)/2] ^= 1
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestWhereTokensStand(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret, Param: "jwt"}})
	token := hs(t, jwt.MapClaims{"sub": "ann"})
	bob := hs(t, jwt.MapClaims{"sub": "bob"})
	for name, test := range map[string]struct {
		r    Request
		code string
	}{
		"nowhere":        {Request{}, TokenRequired},
		"bearer":         {Request{Authorization: "bearer  " + token}, ""},
		"query":          {Request{RawQuery: "x=1&jwt=" + token}, ""},
		"escaped":        {Request{RawQuery: "j%77t=" + strings.ReplaceAll(token, ".", "%2E")}, ""},
		"path":           {Request{PathToken: token}, ""},
		"bearer first":   {Request{Authorization: "Bearer " + token, RawQuery: "jwt=" + bob, PathToken: bob}, ""},
		"query next":     {Request{RawQuery: "jwt=" + token + "&jwt=" + bob, PathToken: bob}, ""},
		"basic is none":  {Request{Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+token))}, TokenRequired},
		"another's name": {Request{RawQuery: "token=" + token}, TokenRequired},
		"bad escape":     {Request{RawQuery: "jwt=%zz"}, TokenInvalid},
		"empty":          {Request{RawQuery: "jwt="}, TokenRequired},
		"bearer alone":   {Request{Authorization: "Bearer"}, TokenRequired},
	} {
		id, err := a.Admit(t.Context(), &test.r)
		if got := code(t, err); got != test.code || err == nil && id.User != "ann" {
			t.Errorf("%s: %q, %+v", name, got, id)
		}
	}
	if got := a.Params(); len(got) != 1 || got[0] != "jwt" {
		t.Error(got)
	}
}

func TestUser(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret}})
	user := func(a *Auth, bearer string) (string, string) {
		id, err := a.User(t.Context(), bearer)
		return id.User, code(t, err)
	}
	if u, c := user(a, hs(t, jwt.MapClaims{"sub": "ann", "streams": []string{"other"}})); u != "ann" || c != "" {
		t.Error(u, c)
	}
	for bearer, want := range map[string]string{"": TokenRequired, "x": TokenInvalid, hs(t, jwt.MapClaims{}): TokenInvalid,
		hs(t, jwt.MapClaims{"sub": "ann", "exp": in(-time.Hour)}): TokenInvalid} {
		if _, c := user(a, bearer); c != want {
			t.Error(bearer, c)
		}
	}
	if _, c := user(newAuth(t, Options{SignedURL: &SignedURL{Key: "k"}}), hs(t, jwt.MapClaims{"sub": "ann"})); c != TokenInvalid {
		t.Error(c)
	}
}

func TestNobodyIsAsked(t *testing.T) {
	a := newAuth(t, Options{})
	if a.Required() || a.Asked() || len(a.Params()) != 0 {
		t.Error("something is required")
	}
	if id, err := a.Admit(context.Background(), request("")); err != nil || id != (Identity{}) {
		t.Error(id, err)
	}
	a.Removed(Removal{SessionID: "s"})
}

// TestNeedsUser: where users are counted a token that names none is nobody's, and is told which claim it lacks.
func TestNeedsUser(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret, User: "realm.user", NeedsUser: true}})
	for _, test := range []struct {
		claims jwt.MapClaims
		user   string
	}{
		{jwt.MapClaims{"realm": jwt.MapClaims{"user": "ann"}}, "ann"},
		{jwt.MapClaims{"realm": jwt.MapClaims{"user": 7}}, "7"},
		{jwt.MapClaims{"realm": jwt.MapClaims{"user": ""}}, ""},
		{jwt.MapClaims{"realm": jwt.MapClaims{"user": nil}}, ""},
		{jwt.MapClaims{"sub": "ann"}, ""},
		{jwt.MapClaims{}, ""},
	} {
		id, err := a.Admit(t.Context(), request(hs(t, test.claims)))
		if test.user != "" {
			if err != nil || id.User != test.user {
				t.Errorf("%v: %+v, %v", test.claims, id, err)
			}
			continue
		}
		if no, _ := err.(*Refusal); no == nil || no.Code != TokenInvalid || no.Detail != "the token is not valid: it has no claim realm.user, which must name its user" {
			t.Errorf("%v: %+v, %v", test.claims, id, err)
		}
	}
}
