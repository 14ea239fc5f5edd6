package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// guard asks for a bearer token (RFC 6750). It compares digests, so that neither the token's text nor its length
// shows in the time it takes.
type guard struct {
	closed bool
	digest [sha256.Size]byte
}

func newGuard(token string) guard { return guard{token != "", sha256.Sum256([]byte(token))} }

func (g *guard) check(r *http.Request) *problem {
	if !g.closed {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return unauthorized("token-required", "send the admin token: Authorization: Bearer <token>", `Bearer realm="earshot admin"`)
	}
	digest := sha256.Sum256([]byte(strings.Trim(token, " ")))
	if subtle.ConstantTimeCompare(digest[:], g.digest[:]) != 1 {
		return unauthorized("token-invalid", "the bearer token is not the admin token of this edge",
			`Bearer realm="earshot admin", error="invalid_token"`)
	}
	return nil
}

func unauthorized(code, detail, challenge string) *problem {
	return &problem{Status: http.StatusUnauthorized, Code: code, Detail: detail, header: "WWW-Authenticate", value: challenge}
}
