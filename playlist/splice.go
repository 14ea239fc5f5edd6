package playlist

import "slices"

// Additions is what one session's copy of a playlist carries.
type Additions struct {
	Session     string // the session's id, raw; all but RFC 3986 unreserved bytes are escaped. "" adds none
	Grant       string // already safe in a URL. "" adds none
	ReportGrant string // the grant on EXT-X-RENDITION-REPORT URIs; "" means Grant
}

// Splice appends the personalised playlist to dst. With both Session and Grant empty it only takes out what
// parameters of ours the origin's text held. The plan is not changed.
func (p *Plan) Splice(dst []byte, a *Additions) []byte {
	var scratch [768]byte
	own := appendParams(scratch[:0], a.Session, a.Grant)
	reports := own
	if a.ReportGrant != "" && p.count[cutReport]+p.count[cutReport|cutAmp] > 0 {
		both := appendParams(own, a.Session, a.ReportGrant)
		own, reports = both[:len(own)], both[len(own):]
	}
	if len(own) == 0 && len(reports) == 0 {
		return append(dst, p.text...)
	}
	nReports := p.count[cutReport] + p.count[cutReport|cutAmp]
	size := len(p.text) + (len(p.cuts)-nReports)*len(own) + nReports*len(reports)
	dst = slices.Grow(dst, size)
	prev := 0
	for _, c := range p.cuts {
		params := own
		if c.kind&cutReport != 0 {
			params = reports
		}
		dst = append(dst, p.text[prev:c.at]...)
		prev = c.at
		if len(params) == 0 {
			continue
		}
		dst = append(dst, params...)
		if c.kind&cutAmp == 0 {
			dst[len(dst)-len(params)] = '?'
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
