package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

const (
	maxRedirects = 3
	firstAudio   = 16 // bytes looked at before an answer is believed to be audio
)

// source is a connection to an origin that has begun to send audio.
type source struct {
	raw      net.Conn // under TLS, if any
	conn     net.Conn
	body     *bufio.Reader
	chunked  bool
	interval int // icy-metaint
	bits     int64
	info     Info
	unwatch  func() bool
}

func (s *source) close() {
	s.unwatch()
	s.raw.Close() // without TLS's goodbye, which could block
}

// dialer connects to the origins of one mount.
type dialer struct {
	opt     *Options
	tls     *tls.Config
	origins []string
}

// dial connects to an origin and follows its redirects.
func (d *dialer) dial(ctx context.Context, origin string) (*source, *UpstreamError) {
	u, err := parseOrigin(origin)
	if err != nil {
		return nil, failed(BadOrigin, err)
	}
	for range 1 + maxRedirects {
		s, next, err := d.ask(ctx, u)
		if next == nil {
			return s, err
		}
		if !d.mayFollow(u, next) {
			return nil, failed(BadMove, fmt.Errorf("redirected to %s, which is no origin of the stream", named(next)))
		}
		if next.User == nil && next.Host == u.Host && next.Scheme == u.Scheme {
			next.User = u.User
		}
		u = next
	}
	return nil, failed(BadMove, fmt.Errorf("redirected more than %d times", maxRedirects))
}

func parseOrigin(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("not a URL: %w", errors.Unwrap(err)) // the whole error repeats the password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%s is no http or https URL", named(u))
	}
	return u, nil
}

// mayFollow allows a redirect to where the redirecting origin and those configured are: their hosts, at the same port or the usual
// ones. None leads out of TLS.
func (d *dialer) mayFollow(from, to *url.URL) bool {
	if to.Scheme != "https" && (to.Scheme != "http" || from.Scheme == "https") {
		return false
	}
	if sameHost(from, to) {
		return true
	}
	for _, o := range d.origins {
		if u, err := parseOrigin(o); err == nil && sameHost(u, to) {
			return true
		}
	}
	return false
}

func sameHost(known, to *url.URL) bool {
	return strings.EqualFold(known.Hostname(), to.Hostname()) && (portOf(to) == portOf(known) || portOf(to) == usualPorts[to.Scheme])
}

var usualPorts = map[string]string{"http": "80", "https": "443"}

// portOf is the port of a URL, by default its scheme's.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return usualPorts[u.Scheme]
}

// ask makes one request. It returns a source, or where the origin says it is, or an error.
func (d *dialer) ask(ctx context.Context, u *url.URL) (*source, *url.URL, *UpstreamError) {
	s, err := d.connect(ctx, u)
	if err != nil {
		return nil, nil, broke(err)
	}
	next, failure := s.begin(d.request(u), u, d.opt.access(u).HeaderTimeout)
	if next != nil || failure != nil {
		s.close()
		return nil, next, failure
	}
	return s, nil, nil
}

func (d *dialer) connect(ctx context.Context, u *url.URL) (*source, error) {
	access := d.opt.access(u)
	limited, cancel := context.WithTimeout(ctx, access.ConnectTimeout)
	defer cancel()
	raw, err := d.opt.Dial(limited, "tcp", net.JoinHostPort(u.Hostname(), portOf(u)))
	if err != nil {
		return nil, err
	}
	s := &source{raw: raw, conn: raw}
	if u.Scheme == "https" {
		secure := tls.Client(raw, d.tlsFor(u.Hostname(), access.Roots))
		if err := secure.HandshakeContext(limited); err != nil {
			raw.Close()
			return nil, err
		}
		s.conn = secure
	}
	s.body = bufio.NewReaderSize(s.conn, 4096)
	s.unwatch = context.AfterFunc(ctx, func() { raw.Close() })
	return s, nil
}

func (d *dialer) tlsFor(host string, roots *x509.CertPool) *tls.Config {
	c := d.tls.Clone()
	if c == nil {
		c = new(tls.Config)
	}
	c.ServerName, c.MinVersion = host, tls.VersionTLS12
	if roots != nil {
		c.RootCAs = roots
	}
	return c
}

// begin sends the request and reads up to the first audio.
func (s *source) begin(request string, u *url.URL, limit time.Duration) (*url.URL, *UpstreamError) {
	s.conn.SetDeadline(time.Now().Add(limit))
	if _, err := io.WriteString(s.conn, request); err != nil {
		return nil, broke(err)
	}
	h, err := readHead(s.body)
	if err != nil {
		return nil, headFailure(err)
	}
	if to, ok := h.fields["location"]; ok && h.status >= 300 && h.status < 400 {
		next, err := u.Parse(to)
		if err != nil {
			return nil, failed(BadMove, err)
		}
		return next, nil
	}
	if h.status != 200 {
		return nil, &UpstreamError{Outcome: BadStatus, Status: h.status, cause: fmt.Errorf("answered %d", h.status)}
	}
	return nil, s.accept(h)
}

// headFailure tells a connection that broke from an answer that is none.
func headFailure(err error) *UpstreamError {
	var broken net.Error
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) {
		return broke(err)
	}
	return failed(BadHead, err)
}

// accept makes sure that what follows the head is audio.
func (s *source) accept(h head) *UpstreamError {
	s.info, s.bits = h.info(), h.bitrate()
	if !isAudio(s.info.ContentType) {
		return failed(NotAudio, fmt.Errorf("answered with %q", s.info.ContentType))
	}
	var err error
	if s.interval, err = h.interval(); err != nil {
		return failed(BadHead, err)
	}
	if s.chunked = strings.EqualFold(h.fields["transfer-encoding"], "chunked"); s.chunked {
		s.body = bufio.NewReader(httputil.NewChunkedReader(s.body))
	}
	begin, err := s.body.Peek(firstAudio)
	if err != nil {
		return broke(err)
	}
	if isText(begin) {
		return failed(NotAudio, fmt.Errorf("claims %q and begins with %q", s.info.ContentType, begin))
	}
	s.conn.SetDeadline(time.Time{})
	return nil
}
