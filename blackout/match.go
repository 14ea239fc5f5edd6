package blackout

import (
	"net/netip"
	"slices"
	"strings"
)

// answer is whether a listener belongs to an audience. The order matters: of several values the greatest counts, of several fields the least.
type answer int8

const (
	no answer = iota
	unknown
	yes
)

// audience is an [Audience] that can be asked. Texts are in upper case, and at most maxName bytes long.
type audience struct {
	empty     bool
	country   set
	here      set // subdivisions without a country: CA
	there     set // with one: US-CA
	countries set // of there: US
	parts     set // of there: CA
	metro     set
	postal    set
	begins    set   // beginnings of postal codes
	lengths   []int // of begins
	device    set
	networks  map[netip.Prefix]struct{}
	bits      []int // of networks, of IPv4 and IPv6
	place     bool  // it asks where the listener is
}

type set map[string]struct{}

func (s *set) add(text string) {
	if *s == nil {
		*s = make(set)
	}
	(*s)[strings.ToUpper(text)] = struct{}{}
}

// has looks text up without regard to the case of ASCII letters, and without allocating.
func (s set) has(text string) bool {
	if len(s) == 0 || len(text) > maxName {
		return false
	}
	var buf [maxName]byte
	_, ok := s[string(upper(buf[:0], text))]
	return ok
}

func (s set) hasPair(a, b string) bool {
	if len(s) == 0 || len(a)+1+len(b) > maxName {
		return false
	}
	var buf [maxName]byte
	_, ok := s[string(upper(append(upper(buf[:0], a), '-'), b))]
	return ok
}

func upper(to []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

func compileAudience(a *Audience) audience {
	c := audience{place: len(a.Country)+len(a.Subdivision)+len(a.Metro)+len(a.Postal) > 0}
	c.empty = !c.place && len(a.Network)+len(a.Device) == 0
	for _, s := range a.Country {
		c.country.add(s)
	}
	for _, s := range a.Subdivision {
		country, part, qualified := strings.Cut(s, "-")
		if !qualified {
			c.here.add(s)
			continue
		}
		c.there.add(s)
		c.countries.add(country)
		c.parts.add(part)
	}
	for _, s := range a.Metro {
		c.metro.add(s)
	}
	for _, s := range a.Postal {
		if begin, ok := strings.CutSuffix(s, "*"); ok {
			c.begins.add(begin)
			c.lengths = append(c.lengths, len(begin))
			continue
		}
		c.postal.add(s)
	}
	for _, s := range a.Device {
		c.device.add(s)
	}
	for _, p := range a.Network {
		c.addNetwork(p)
	}
	c.lengths = distinct(c.lengths)
	c.bits = distinct(c.bits)
	return c
}

func (a *audience) addNetwork(p netip.Prefix) {
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if a.networks == nil {
		a.networks = make(map[netip.Prefix]struct{})
	}
	a.networks[p.Masked()] = struct{}{}
	a.bits = append(a.bits, p.Bits())
}

func distinct(all []int) []int {
	slices.Sort(all)
	return slices.Clip(slices.Compact(all))
}

// holds is whether the listener matches every field. That of one he does not settles it, whatever is not known of the others.
func (a *audience) holds(l *Listener) answer {
	return min(
		a.inNetwork(l.Address),
		a.onDevice(l.DeviceType),
		known(a.country, l.Place.Country),
		a.inSubdivision(&l.Place),
		known(a.metro, l.Place.Metro),
		a.inPostal(l.Place.Postal),
	)
}

// known is the answer of a field of the place.
func known(values set, value string) answer {
	switch {
	case values == nil:
		return yes
	case value == "":
		return unknown
	case values.has(value):
		return yes
	}
	return no
}

func (a *audience) inNetwork(addr netip.Addr) answer {
	if a.networks == nil {
		return yes
	}
	if !addr.IsValid() {
		return unknown
	}
	addr = addr.Unmap()
	for _, bits := range a.bits {
		if p, err := addr.Prefix(bits); err == nil { // without a zone
			if _, ok := a.networks[p]; ok {
				return yes
			}
		}
	}
	return no
}

// onDevice is never unknown: a device type is what a token or an app says, not what is found out. Who says nothing is on none of those that a rule names.
func (a *audience) onDevice(device string) answer {
	if a.device == nil || a.device.has(device) {
		return yes
	}
	return no
}

func (a *audience) inSubdivision(p *Place) answer {
	if a.here == nil && a.there == nil {
		return yes
	}
	open := false // whether what is not known could make it so
	switch {
	case p.Subdivision == "":
		open = a.here != nil || p.Country == "" || a.countries.has(p.Country)
	case a.here.has(p.Subdivision) || p.Country != "" && a.there.hasPair(p.Country, p.Subdivision):
		return yes
	case p.Country == "":
		open = a.parts.has(p.Subdivision)
	}
	if open {
		return unknown
	}
	return no
}

func (a *audience) inPostal(code string) answer {
	if a.postal == nil && a.begins == nil {
		return yes
	}
	if code == "" {
		return unknown
	}
	if a.postal.has(code) {
		return yes
	}
	for _, n := range a.lengths {
		if n <= len(code) && a.begins.has(code[:n]) {
			return yes
		}
	}
	return no
}

// matches is whether key is what pattern says, * standing for any run of bytes. It takes no longer than the product of the two lengths.
func matches(pattern, key string) bool {
	p, k := 0, 0
	star, from := -1, 0 // the last * and where in key what follows it was tried
	for k < len(key) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, k
			p++
		case p < len(pattern) && pattern[p] == key[k]:
			p++
			k++
		case star >= 0:
			from++
			p, k = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
