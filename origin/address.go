package origin

import "net/netip"

// reach is who may be behind an address.
type reach int

const (
	public  reach = iota
	private       // loopback, the networks behind a router, and what tunnels into either
	nowhere       // no unicast address of another host, or link-local: the metadata services of clouds are there
)

var (
	unusable = prefixes("0.0.0.0/8", "240.0.0.0/4")
	internal = prefixes("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", // RFC 6598, 6890, 2544
		"::/96", "fec0::/10", "64:ff9b:1::/48", "2001::/32", "2002::/16") // IPv4-compatible, site-local, local NAT64, Teredo, 6to4
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the rest is an IPv4 address
)

func prefixes(texts ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		ps[i] = netip.MustParsePrefix(text)
	}
	return ps
}

// reachOf judges an IPv6 address that stands for an IPv4 one by that.
func reachOf(a netip.Addr) reach {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), within(unusable, a):
		return nowhere
	case a.IsLoopback(), a.IsPrivate(), within(internal, a):
		return private
	}
	return public
}

func within(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
