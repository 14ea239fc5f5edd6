package playlist

import "slices"

// Additions is what one session's copy of a playlist carries. All but Grant have a fallback, so that a caller who
// knows of one grant only may leave the rest.
type Additions struct {
	Session     string // the session's id, raw; all but RFC 3986 unreserved bytes are escaped. "" adds none
	Grant       string // already safe in a URL. "" adds none
	MasterGrant string // on what every playlist of the master names alike: rendition reports, date ranges, session data
	KeyGrant    string // on EXT-X-KEY and EXT-X-SESSION-KEY
}

// grant is what URIs of an owner carry.
func (a *Additions) grant(o owner) string {
	switch {
	case o == ofMaster && a.MasterGrant != "":
		return a.MasterGrant
	case o == ofKeys && a.KeyGrant != "":
		return a.KeyGrant
	}
	return a.Grant
}

// Splice appends the personalised playlist to dst. With no Session and no grants it only takes out what
// parameters of ours the origin's text held. The plan is not changed.
func (p *Plan) Splice(dst []byte, a *Additions) []byte {
	var scratch [2048]byte
	var params [owners][]byte
	space, size := scratch[:0], len(p.text)
	for o := range owners {
		if p.count[o] > 0 {
			start := len(space)
			space = appendParams(space, a.Session, a.grant(o))
			params[o] = space[start:]
			size += p.count[o] * len(params[o])
		}
	}
	dst = slices.Grow(dst, size)
	prev := 0
	for _, c := range p.cuts {
		dst = append(dst, p.text[prev:c.at]...)
		prev = c.at
		add := params[c.kind.owner()]
		if len(add) == 0 {
			continue
		}
		dst = append(dst, add...)
		if c.kind&cutAmp == 0 {
			dst[len(dst)-len(add)] = '?'
		}
	}
	return append(dst, p.text[prev:]...)
}

// appendParams appends "&name=value" for each value there is.
func appendParams(b []byte, session, grant string) []byte {
	if session != "" {
		b = append(b, "&"+SessionParam+"="...)
		b = appendEscaped(b, session)
	}
	if grant != "" {
		b = append(b, "&"+GrantParam+"="...)
		b = append(b, grant...)
	}
	return b
}

// appendEscaped percent-encodes every byte but the unreserved ones.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	plain := 0
	for plain < len(s) && isUnreserved(s[plain]) {
		plain++
	}
	b = append(b, s[:plain]...)
	for i := plain; i < len(s); i++ {
		c := s[i]
		if isUnreserved(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}
