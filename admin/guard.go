package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"earshot/gate"
)

// guard asks for a bearer token (RFC 6750). It compares digests, so that neither the token's text nor its length
// shows in the time it takes. Where no token is configured it lets in this host alone, asked for by a name that is its own: the browser of
// an operator can be made to believe that another site's name is this address (DNS rebinding), and would show that site all it reads here.
type guard struct {
	closed  bool
	digest  [sha256.Size]byte
	sites   *http.CrossOriginProtection
	flood   *limiters[netip.Addr] // requests that may be answered
	guesses *limiters[netip.Addr] // wrong tokens
}

// How often one address may ask, and guess.
const (
	floodRate, floodBurst = 200, 1000
	guessRate, guessBurst = 1, 20
)

func newGuard(token string) guard {
	return guard{token != "", sha256.Sum256([]byte(token)), http.NewCrossOriginProtection(),
		newLimiters[netip.Addr](floodRate, floodBurst), newLimiters[netip.Addr](guessRate, guessBurst)}
}

// check lets a request in. What is asked with the right token is counted by itself: somebody else at the operator's address cannot shut him out.
func (g *guard) check(r *http.Request) *problem {
	peer := gate.Address(peerOf(r))
	if g.closed {
		if p := g.checkToken(r, peer); p != nil {
			return p
		}
	}
	if wait := g.flood.take(peer); wait > 0 {
		return rateLimited("too many requests from this address", wait)
	}
	if g.closed {
		return nil
	}
	if !peerOf(r).IsLoopback() {
		return unauthorized("token-required", "from elsewhere than this host a token is needed: configure admin: {addr: …, token: …}",
			`Bearer realm="earshot admin"`)
	}
	if !isLocal(r.Host) {
		return crossSite("without a token, ask by this host's address or as localhost")
	}
	return nil
}

func (g *guard) checkToken(r *http.Request, peer netip.Addr) *problem {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return unauthorized("token-required", "send the admin token: Authorization: Bearer <token>", `Bearer realm="earshot admin"`)
	}
	digest := sha256.Sum256([]byte(strings.Trim(token, " ")))
	if subtle.ConstantTimeCompare(digest[:], g.digest[:]) != 1 {
		if wait := g.guesses.take(peer); wait > 0 {
			return rateLimited("too many wrong tokens from this address", wait)
		}
		return unauthorized("token-invalid", "the bearer token is not the admin token of this edge",
			`Bearer realm="earshot admin", error="invalid_token"`)
	}
	return nil
}

// checkChange lets a request change something. A page of another site can have an operator's browser send it; what such a page sends is
// refused, by the fields that it cannot forge (Sec-Fetch-Site, Origin), and by the type of its body: a form has no JSON.
func (g *guard) checkChange(r *http.Request) *problem {
	if err := g.sites.Check(r); err != nil {
		return crossSite("this request comes from a page of another site")
	}
	if r.Method != http.MethodDelete && !isJSON(r.Header.Get("Content-Type")) {
		return &problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported-media-type", Detail: "send " + plainJSON + ", in UTF-8"}
	}
	return nil
}

func crossSite(detail string) *problem {
	return &problem{Status: http.StatusForbidden, Code: "cross-site", Detail: detail}
}

func rateLimited(detail string, wait time.Duration) *problem {
	return &problem{Status: http.StatusTooManyRequests, Code: "rate-limited", Detail: detail, header: "Retry-After", value: retryAfter(wait)}
}

// peerOf is the address that a request comes from; the zero Addr if it says none.
func peerOf(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// isLocal tells whether a Host is one that no name server can have a say in.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

func unauthorized(code, detail, challenge string) *problem {
	return &problem{Status: http.StatusUnauthorized, Code: code, Detail: detail, header: "WWW-Authenticate", value: challenge}
}
