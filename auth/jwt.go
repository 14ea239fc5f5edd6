package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokens verifies JSON Web Tokens.
type tokens struct {
	claims  JWT // the names of the claims
	secret  []byte
	keys    *keyring
	parser  *jwt.Parser
	leeway  time.Duration
	metrics *Metrics
}

// shortSecret is what HS256 should have at least (RFC 7518, section 3.2).
const shortSecret = 32

func newTokens(j JWT, log *slog.Logger, metrics *Metrics) (*tokens, error) {
	if j.Secret == "" && j.Keys == "" && j.JWKS == "" {
		return nil, errors.New("auth.jwt: nothing to verify tokens with; set secret (HS256), keys (a PEM file) or jwks (a file or URL)")
	}
	if j.Secret != "" && len(j.Secret) < shortSecret {
		log.Warn("the secret of tokens is short; whoever has a token can guess at it", "setting", "auth.jwt.secret", "bytes", len(j.Secret), "recommended", shortSecret)
	}
	keys, err := newKeyring(j.Keys, j.JWKS, log, metrics)
	if err != nil {
		return nil, err
	}
	for p, name := range map[*string]string{&j.User: "sub", &j.Device: "device", &j.DeviceType: "device_type", &j.Streams: "streams"} {
		if *p == "" {
			*p = name
		}
	}
	if j.Leeway <= 0 {
		j.Leeway = defaultLeeway
	}
	t := &tokens{claims: j, keys: keys, leeway: j.Leeway, metrics: metrics}
	var methods []string
	if j.Secret != "" {
		t.secret = []byte(j.Secret)
		methods = append(methods, hs256)
	}
	if j.Keys != "" || j.JWKS != "" {
		methods = append(methods, rs256, es256, edDSA)
	}
	t.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithLeeway(j.Leeway), jwt.WithIssuedAt(), jwt.WithStrictDecoding())
	return t, nil
}

var (
	errNoKey = errors.New("no key for it")
	errCrit  = errors.New("it has critical extensions, of which none are known")
)

// check verifies a token, and says whose it is.
func (t *tokens) check(ctx context.Context, raw string) (Identity, *claims, error) {
	if len(raw) > maxToken {
		return Identity{}, nil, invalid("the token is too long", fmt.Errorf("%d bytes", len(raw)))
	}
	c, stale, err := t.parse(raw)
	if stale && t.keys.fresh(ctx) {
		c, _, err = t.parse(raw)
	}
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return Identity{}, nil, invalid("the token has expired", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return Identity{}, nil, invalid("the token is not valid yet", err)
	case err != nil && t.blind():
		return Identity{}, nil, invalid("tokens cannot be checked at the moment", fmt.Errorf("auth.jwt.jwks has not been fetched yet: %w", err))
	case err != nil:
		return Identity{}, nil, malformed(err)
	}
	id, err := t.identity(c)
	if err != nil {
		return Identity{}, nil, malformed(err)
	}
	return id, c, nil
}

// claimError is what is wrong with a claim of a token whose signature fits: whoever made it may know.
type claimError string

func (e claimError) Error() string { return string(e) }

func badClaim(format string, a ...any) error { return claimError(fmt.Sprintf(format, a...)) }

// malformed refuses a token, and says no more than that unless it is signed.
func malformed(err error) error {
	if c := claimError(""); errors.As(err, &c) {
		return invalid("the token is not valid: "+string(c), err)
	}
	return invalid("the token is not valid", err)
}

// blind reports whether keys are still to come.
func (t *tokens) blind() bool { return t.keys.remote != nil && t.keys.remote.now.Load() == nil }

// parse verifies a token with the keys that are there. It is stale if other keys might verify it.
func (t *tokens) parse(raw string) (c *claims, stale bool, err error) {
	c = &claims{}
	_, err = t.parser.ParseWithClaims(raw, c, func(tok *jwt.Token) (any, error) {
		if _, there := tok.Header["crit"]; there {
			return nil, errCrit
		}
		alg := tok.Method.Alg()
		if alg == hs256 { // the parser lets it pass only if there is a secret
			return t.secret, nil
		}
		id, _ := tok.Header["kid"].(string)
		found, known := t.keys.find(alg, id)
		stale = !known
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: alg %s, kid %q", errNoKey, alg, clip(id, 64))
		}
		set := jwt.VerificationKeySet{Keys: make([]jwt.VerificationKey, len(found))}
		for i, k := range found {
			set.Keys[i] = k
		}
		return set, nil
	})
	// With a signature that fits, no other key is wanted.
	stale = stale && (errors.Is(err, errNoKey) || errors.Is(err, jwt.ErrTokenSignatureInvalid))
	return c, stale, err
}

func (t *tokens) identity(c *claims) (id Identity, err error) {
	for _, f := range []struct {
		to   *string
		name string
	}{{&id.User, t.claims.User}, {&id.Device, t.claims.Device}, {&id.DeviceType, t.claims.DeviceType}} {
		v, _ := c.get(f.name)
		s, ok := name(v)
		if !ok {
			return Identity{}, badClaim("its claim %s is no text of at most %d printable bytes, and no whole number", f.name, maxText)
		}
		*f.to = s
	}
	if t.claims.NeedsUser && id.User == "" { // nobody's sessions would be counted under no limit
		return Identity{}, badClaim("it has no claim %s, which must name its user", t.claims.User)
	}
	id.Shared = c.MapClaims["multi_stream"] == true
	if exp, err := c.GetExpirationTime(); err == nil && exp != nil {
		// With the leeway, so that who is let in is not over at once.
		id.Expires = exp.Add(t.leeway)
	}
	return id, nil
}

// allows reports whether a token is for a stream. One that names no streams is for all.
func (t *tokens) allows(c *claims, group string) (bool, error) {
	v, there := c.get(t.claims.Streams)
	if !there {
		return true, nil
	}
	switch v := v.(type) {
	case string:
		for p := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ' ' || r == ',' }) {
			if match(p, group) {
				return true, nil
			}
		}
		return false, nil
	case []any:
		for _, one := range v {
			p, ok := one.(string)
			if !ok {
				return false, badClaim("its claim %s holds what is no text", t.claims.Streams)
			}
			if match(p, group) {
				return true, nil
			}
		}
		return false, nil
	}
	return false, badClaim("its claim %s is neither a text nor a list", t.claims.Streams)
}

// claims are what a token says.
type claims struct{ jwt.MapClaims }

// UnmarshalJSON keeps numbers as they are written: a user's may be longer than a float holds.
func (c *claims) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	return d.Decode(&c.MapClaims)
}

// Validate is called by the parser, when the signature fits.
func (c *claims) Validate() error {
	if c.MapClaims == nil {
		return errors.New("no claims")
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		v, there := c.MapClaims[name]
		if !there {
			continue
		}
		// The parser makes a time of any number, and wraps around where none can be.
		n, ok := v.(json.Number)
		f, err := n.Float64()
		if !ok || err != nil || f < 0 || f > maxExpires {
			return badClaim("its claim %s is no time in Unix seconds", name)
		}
	}
	return nil
}

// get is a claim. Its name is taken as it stands (many are URLs), else as a path.
func (c *claims) get(name string) (any, bool) {
	if v, ok := c.MapClaims[name]; ok {
		return v, true
	}
	at := map[string]any(c.MapClaims)
	for {
		first, rest, more := strings.Cut(name, ".")
		v, ok := at[first]
		if !ok || !more {
			return v, ok
		}
		if at, ok = v.(map[string]any); !ok {
			return nil, false
		}
		name = rest
	}
}
