package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Host is how to talk to one host, wherever its name stands: in a stream's URLs, or in a redirect that may be followed. What it holds
// goes to that host alone.
type Host struct {
	Name           string      // host or host:port, as in a URL. Without a port: port 80 of http and 443 of https
	Header         http.Header // of every request
	Username       string      // of Basic auth; empty: none
	Password       string
	Roots          *x509.CertPool // that its certificate may come from; nil: those of the system
	Private        bool           // its name may lead to private addresses, also after public ones, also if it is no origin
	ConnectTimeout time.Duration  // 0: as everywhere
	HeaderTimeout  time.Duration  // 0: as everywhere

	via *transport // nil: the usual one
}

// Hosts finds the settings of a host. The zero value knows none.
type Hosts struct{ by map[string]*Host }

// NewHosts makes Hosts of settings for one host each.
func NewHosts(hosts []Host) *Hosts {
	h := &Hosts{by: make(map[string]*Host, len(hosts))}
	hosts = slices.Clone(hosts)
	for i := range hosts {
		h.by[strings.ToLower(hosts[i].Name)] = &hosts[i]
	}
	return h
}

var noHost Host

// For is the settings for a URL's host; none of them is set if nothing is known of it. It is not to be changed.
func (h *Hosts) For(u *url.URL) *Host { return h.at(u.Hostname(), port(u)) }

func (h *Hosts) at(name, port string) *Host {
	if h == nil || len(h.by) == 0 {
		return &noHost
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	name = strings.ToLower(name)
	if host, ok := h.by[name+":"+port]; ok {
		return host
	}
	if host, ok := h.by[name]; ok && (port == "80" || port == "443") {
		return host
	}
	return &noHost
}

// sign puts into a request what the host alone is to get.
func (h *Host) sign(req *http.Request) {
	for name, values := range h.Header {
		req.Header[name] = values
	}
	if h.Username != "" {
		req.SetBasicAuth(h.Username, h.Password)
	}
}

// port is the port of a URL, by default its scheme's.
func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// originOf names the origin of a URL: scheme://host:port, in one spelling.
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port(u)))
}

// Roots are the system's roots and the certificates of a PEM text besides.
func Roots(pem []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a bare container has none
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in PEM form")
	}
	return pool, nil
}

// transport is connections to hosts of the same settings.
type transport struct {
	*http.Transport
	roots   *x509.CertPool
	connect time.Duration
}

// transports are one for each set of settings that cannot be told per request; each host is given its own. The first is for the others.
func transports(opt *Options, hosts *Hosts, d *dialer) []*transport {
	all := []*transport{newTransport(nil, opt.ConnectTimeout, d)}
	for _, h := range hosts.by {
		connect := connectTimeout(h, opt)
		at := slices.IndexFunc(all, func(t *transport) bool { return t.connect == connect && t.roots.Equal(h.Roots) })
		if at < 0 {
			at = len(all)
			all = append(all, newTransport(h.Roots, connect, d))
		}
		h.via = all[at]
	}
	return all
}

func connectTimeout(h *Host, opt *Options) time.Duration {
	if h.ConnectTimeout > 0 {
		return h.ConnectTimeout
	}
	return opt.ConnectTimeout
}

func newTransport(roots *x509.CertPool, connect time.Duration, d *dialer) *transport {
	return &transport{roots: roots, connect: connect, Transport: &http.Transport{
		DialContext:            d.within(connect),
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connect,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true, // a dialer of our own would turn it off
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: 1 << 20,          // what a slow listener may leave in memory
			SendPingTimeout:           10 * time.Second, // a dead connection would take every request
			PingTimeout:               5 * time.Second,
		},
	}}
}
