package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/grafana/regexp"
)

func (p *Proxy) outward(r *http.Request) string { return p.opt.Trusted.Outward(r) }

// Outward is the edge as the client reaches it: scheme and host, without a slash at the end. A Host that is none is not repeated; the
// address that the connection came to stands instead.
func (t *TrustedProxies) Outward(r *http.Request) string {
	host := r.Host
	if len(host) > maxHost || !hostText.MatchString(host) {
		host = "localhost"
		if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = a.String()
		}
	}
	return t.scheme(r) + "://" + host
}

const maxHost = 255 + len(":65535")

// hostText is a name or an address, perhaps with a port.
var hostText = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

// scheme is what the client speaks: to us, or to a trusted proxy that says so.
func (t *TrustedProxies) scheme(r *http.Request) string {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && t.trusts(peer.Addr().Unmap().WithZone("")) {
		said, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
		switch said = strings.ToLower(strings.TrimSpace(said)); said {
		case "http", "https":
			return said
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// uriText is a path or query as a URI may hold it (RFC 3986, 3.3 and 3.4): what may not stand there is escaped, so that it ends neither the
// URI nor the line. more are characters that may stand besides those of a path.
func uriText(s, more string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]), unreserved(c), strings.IndexByte("!$&'()*+,;=:@/", c) >= 0,
			strings.IndexByte(more, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
