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
	"strconv"
	"strings"
	"time"
)

// firstAudio is how many bytes are looked at before an answer is believed to be audio.
const firstAudio = 16

// source is a connection to an origin that has begun to send audio, or a file.
type source struct {
	file     *audioFile // if not nil, there is no connection
	raw      net.Conn   // under TLS, if any
	conn     net.Conn
	body     *bufio.Reader
	chunked  bool
	interval int // icy-metaint
	bits     int64
	info     Info
	unwatch  func() bool
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close()
		return
	}
	s.unwatch()
	s.raw.Close() // without TLS's goodbye, which could block
}

// untitled tells that it says no titles.
func (s *source) untitled() bool {
	return s.file != nil || s.interval == 0 && familyOf(s.info.ContentType) != ogg
}

// reply is what an origin has: audio, or where that is. One of the three is set.
type reply struct {
	source *source
	moved  *url.URL
	list   []string
}

// ask makes one request.
func (d *dialer) ask(ctx context.Context, u *url.URL) (reply, *UpstreamError) {
	s, err := d.connect(ctx, u)
	if err != nil {
		return reply{}, broke(err)
	}
	a, failure := s.begin(d.request(u), u, d.opt.access(u).HeaderTimeout)
	if a.source == nil {
		s.close()
	}
	return a, failure
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

// begin sends the request and reads up to the first audio. Limit is for all of it, so that an origin gains nothing by
// answering byte by byte.
func (s *source) begin(request string, u *url.URL, limit time.Duration) (reply, *UpstreamError) {
	s.conn.SetDeadline(time.Now().Add(limit))
	if _, err := io.WriteString(s.conn, request); err != nil {
		return reply{}, broke(err)
	}
	h, err := readHead(s.body)
	if err != nil {
		return reply{}, headFailure(err)
	}
	if to, ok := h.fields["location"]; ok && h.status >= 300 && h.status < 400 {
		next, err := u.Parse(to)
		if err != nil {
			return reply{}, failed(BadMove, errors.New("redirected to what is no URL"))
		}
		return reply{moved: next}, nil
	}
	if h.status != 200 {
		return reply{}, &UpstreamError{Outcome: BadStatus, Status: h.status, cause: fmt.Errorf("answered %d", h.status)}
	}
	return s.accept(h)
}

// headFailure tells a connection that broke from an answer that is none.
func headFailure(err error) *UpstreamError {
	var broken net.Error
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) {
		return broke(err)
	}
	return failed(BadHead, err)
}

// accept makes sure that what follows the head is audio, or a playlist.
func (s *source) accept(h head) (reply, *UpstreamError) {
	s.info, s.bits = h.info(), h.bitrate()
	if s.chunked = strings.EqualFold(h.fields["transfer-encoding"], "chunked"); s.chunked {
		s.body = bufio.NewReader(httputil.NewChunkedReader(s.body))
	}
	if mayBeList(s.info.ContentType) {
		return s.list(h)
	}
	if !isAudio(s.info.ContentType) {
		return reply{}, failed(NotAudio, fmt.Errorf("answered with %q", s.info.ContentType))
	}
	var err error
	if s.interval, err = h.interval(); err != nil {
		return reply{}, failed(BadHead, err)
	}
	begin, err := s.body.Peek(firstAudio)
	switch {
	case err != nil:
		return reply{}, broke(err)
	case beginsList(begin):
		return s.list(h)
	case isText(begin):
		return reply{}, failed(NotAudio, fmt.Errorf("claims %q and begins with %q", s.info.ContentType, begin))
	}
	s.conn.SetDeadline(time.Time{})
	return reply{source: s}, nil
}

// list reads the body as a playlist.
func (s *source) list(h head) (reply, *UpstreamError) {
	length := int64(maxList)
	if n, err := strconv.ParseInt(h.fields["content-length"], 10, 64); err == nil && n >= 0 && n <= maxList && !s.chunked {
		length = n - 1 // so that one more is all there is
	}
	b, err := io.ReadAll(io.LimitReader(s.body, length+1))
	if err != nil {
		return reply{}, broke(err)
	}
	if len(b) > maxList {
		return reply{}, failed(BadList, fmt.Errorf("a playlist, or what claims to be one, of more than %d bytes", maxList))
	}
	list, failure := parseList(s.info.ContentType, b)
	return reply{list: list}, failure
}
