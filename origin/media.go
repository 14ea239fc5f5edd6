package origin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Media is the answer to a request for a segment, part, key or init section: its head, and its body as it comes.
type Media struct {
	Status int         // 200, 206, 304 or 416
	Header http.Header // what of the origin's head is for players; not to be written to
	Length int64       // of the body; −1 unknown
	URL    *url.URL    // it was finally fetched from
	Served Served
	Body   io.ReadCloser // an error where the origin breaks off. Its WriteTo, if it has one, is the best way to send it

	valid validators
}

// Open is something that is not a playlist, from the cache or from the origins. Of header it heeds Range, If-Range, If-None-Match and
// If-Modified-Since. The errors wrap the package's sentinels, or are ErrPlaylist; the caller closes the body.
func (c *Client) Open(ctx context.Context, method string, src Source, header http.Header) (*Media, error) {
	q := &query{ctx: ctx, method: method, src: src, cond: readConditions(header), header: header}
	if method == http.MethodGet { // there are ranges of nothing else (RFC 9110, 14.2)
		q.part = readRange(header.Get("Range"))
	}
	for range maxTurns {
		f := c.cache.find(q)
		switch {
		case f.err != nil:
			c.opt.Metrics.served("media", f.served.Status)
			return nil, f.err
		case f.alone:
			return c.alone(q)
		case f.entity != nil:
			c.opt.Metrics.served("media", f.served.Status)
			return q.answer(f.entity, f.body, nil, f.served), nil
		}
		if m, again, err := q.wait(f.fill, f.served); !again {
			return m, err
		}
	}
	return c.alone(q)
}

// maxTurns bounds how often a request looks again at what the cache has for it.
const maxTurns = 3

// wait waits for the head of a fill that the query has joined. again says that what it brings will not do.
func (q *query) wait(f *fill, served Served) (m *Media, again bool, err error) {
	c := f.cache.client
	select {
	case <-f.head:
	case <-q.ctx.Done():
		f.leave()
		return nil, false, q.ctx.Err()
	}
	switch {
	case f.failed != nil:
		f.leave()
		c.opt.Metrics.served("media", served.Status)
		return nil, false, f.failed
	case f.alone:
		m, err = c.instead(q, f)
		return m, false, err
	case q.apart() && f.object.key == f.base && !f.entity.partial && !f.stored && !q.servable(f):
		f.leave()
		return nil, true, nil
	}
	e := &f.entity.fresh
	served.now = time.Now()
	served.TTL, served.Age, served.stale, served.origin = e.TTL(served.now), e.Age(served.now), f.whence.stale, f.whence.status
	switch {
	case f.whence.down:
		served.Status = Stale
	case served.Status == Miss && f.stored:
		served.Status = Revalidated
	}
	served.stored = served.Status == Miss && served.TTL > 0
	c.opt.Metrics.served("media", served.Status)
	return q.reply(f, served), false, nil
}

// instead answers a query whose fill brought what is not to be shared: with that, if nobody has taken it, or with a fetch of its own.
func (c *Client) instead(q *query, f *fill) (*Media, error) {
	if q.method == http.MethodGet && (q.part.whole() || q.part.none()) { // who wants a part of it has no use for all
		select {
		case g := <-f.present:
			c.opt.Metrics.served("media", Bypass)
			return g.media(q.ctx), nil
		default:
		}
	}
	f.leave()
	return c.alone(q)
}

// alone fetches for one listener.
func (c *Client) alone(q *query) (*Media, error) {
	h := make(http.Header, 6)
	for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
		if v := q.header.Get(name); v != "" && (name != "Range" || q.part.given) {
			h.Set(name, v)
		}
	}
	h.Set("Accept-Encoding", "identity")
	c.opt.Metrics.served("media", Bypass)
	resp, stop, err := c.do(q.ctx, q.method, q.src, h)
	if err == nil {
		if err = status(resp); err == nil && IsPlaylistType(resp.Header.Get("Content-Type")) {
			err = ErrPlaylist
		}
		if err != nil {
			resp.Body.Close()
			stop()
		}
	}
	c.opt.Metrics.fetched("media", err)
	if err != nil {
		return nil, err
	}
	return c.single(resp, c.watch(resp.Body, stop)), nil
}

// single is an answer that is for one listener.
func (c *Client) single(resp *http.Response, body *watched) *Media {
	m := &Media{Status: resp.StatusCode, Header: pass(resp.Header), Length: resp.ContentLength, URL: resp.Request.URL, Body: told{body, c},
		valid: readValidators(resp.Header), Served: Served{Status: Bypass, origin: resp.StatusCode, now: time.Now()}}
	if v := resp.Header.Get("Age"); v != "" {
		m.Served.Age = seconds(v)
	}
	if m.Status == http.StatusRequestedRangeNotSatisfiable { // its body is a page of the origin's
		delete(m.Header, "Content-Type")
		m.Length, m.Body = 0, noBody{}
		body.Close()
	}
	return m
}

// told is a body whose breaking off is counted.
type told struct {
	*watched
	client *Client
}

func (t told) Read(p []byte) (int, error) {
	n, err := t.watched.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, context.Canceled) {
		t.client.broken(err)
	}
	return n, err
}

// closer is a body with something else to be done at its end.
type closer struct {
	io.ReadCloser
	also func()
}

func (c *closer) Close() error {
	err := c.ReadCloser.Close()
	if c.also != nil {
		c.also()
		c.also = nil
	}
	return err
}

// IsPlaylist tells by path whether a playlist is asked for: .m3u8 or .m3u (RFC 8216, section 4).
func IsPlaylist(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	return ext == ".m3u8" || ext == ".m3u"
}

// IsPlaylistType tells by Content-Type whether a playlist was answered (RFC 8216, section 4, and what servers send).
func IsPlaylistType(contentType string) bool {
	t, _, _ := mime.ParseMediaType(contentType)
	switch t {
	case "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl":
		return true
	}
	return false
}
