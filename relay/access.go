package relay

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Access is what one origin needs to be talked to. It goes to that origin alone, also where another redirects. The zero value is none.
type Access struct {
	Header             http.Header    // of the request; what it names takes the place of the relay's own
	Username, Password string         // Basic auth, instead of a URL's; no username: none
	Roots              *x509.CertPool // that its certificate may come from; nil: those of the system
	ConnectTimeout     time.Duration  // 0, both: the relay's
	HeaderTimeout      time.Duration
}

// access is what an origin needs, with the relay's own where that says nothing.
func (o *Options) access(u *url.URL) Access {
	var a Access
	if o.Access != nil {
		a = o.Access(u)
	}
	if a.ConnectTimeout <= 0 {
		a.ConnectTimeout = o.ConnectTimeout
	}
	if a.HeaderTimeout <= 0 {
		a.HeaderTimeout = o.HeaderTimeout
	}
	if a.Username == "" && u.User != nil {
		a.Username = u.User.Username()
		a.Password, _ = u.User.Password()
	}
	return a
}

// request asks in HTTP/1.0, so that nobody thinks of chunks.
func (d *dialer) request(u *url.URL) string {
	a := d.opt.access(u)
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.0\r\nHost: %s\r\n", u.RequestURI(), u.Host)
	if a.Username != "" || u.User != nil {
		pair := base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password))
		fmt.Fprintf(&b, "Authorization: Basic %s\r\n", pair)
	}
	for _, own := range [][2]string{{"User-Agent", d.opt.UserAgent}, {"Accept", "*/*"}} {
		if _, ok := a.Header[own[0]]; !ok {
			fmt.Fprintf(&b, "%s: %s\r\n", own[0], clean(own[1]))
		}
	}
	for _, name := range sortedNames(a.Header) {
		for _, value := range a.Header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", clean(name), clean(value))
		}
	}
	b.WriteString("Icy-MetaData: 1\r\nConnection: close\r\n\r\n")
	return b.String()
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
