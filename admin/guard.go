package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard asks for a bearer token (RFC 6750). It compares digests, so that neither the token's text nor its length
// shows in the time it takes.
type guard struct {
	closed bool
	digest [sha256.Size]byte
	sites  *http.CrossOriginProtection
}

func newGuard(token string) guard {
	return guard{token != "", sha256.Sum256([]byte(token)), http.NewCrossOriginProtection()}
}

// checkChange lets a request change something. A page of another site can have an operator's browser send it, and where there is no
// token the browser's place is all the proof there is: so what such a page sends is refused, by the fields that it cannot forge
// (Sec-Fetch-Site, Origin) and, where it has a name of its own point here, by the Host.
func (g *guard) checkChange(r *http.Request) *problem {
	if err := g.sites.Check(r); err != nil {
		return crossSite("this request comes from a page of another site")
	}
	if g.closed {
		return nil
	}
	if !isLoopback(r.RemoteAddr) {
		return unauthorized("token-required", "what changes something needs a token from elsewhere than this host: configure admin: {addr: …, token: …}",
			`Bearer realm="earshot admin"`)
	}
	if !isLocal(r.Host) {
		return crossSite("without a token, ask by this host's address or as localhost")
	}
	return nil
}

func crossSite(detail string) *problem {
	return &problem{Status: http.StatusForbidden, Code: "cross-site", Detail: detail}
}

func isLoopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// isLocal tells whether a Host is one that no name server can have a say in.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

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
