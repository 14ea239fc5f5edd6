package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"earshot/playlist"
)

// Playlist is one version of a playlist as the origin has it, shared by all sessions.
type Playlist struct {
	Body        []byte
	ContentType string
	URL         *url.URL           // it was finally fetched from
	Place       string             // the same without its query
	Typed       bool               // ContentType is that of a playlist
	Doc         *playlist.Document // nil if it is no playlist: then Body passes as it is

	mu       sync.Mutex
	plans    map[planKey]*playlist.Plan
	imported map[string]*Playlist // by the values imported
}

// planKey is what a plan depends on besides the playlist.
type planKey struct {
	mount string
	moved bool
}

// maxPlans bounds the mounts for which plans of one version are kept; a playlist has one or two.
const maxPlans = 8

// Plan is the splice plan of this version for a mount, made once. moved is whether the playlist came from elsewhere than the client's
// URL stands for.
func (p *Playlist) Plan(mount string, moved bool, make func() *playlist.Plan) *playlist.Plan {
	key := planKey{mount, moved}
	p.mu.Lock()
	plan, ok := p.plans[key]
	p.mu.Unlock()
	if ok {
		return plan
	}
	plan = make()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans == nil || len(p.plans) >= maxPlans {
		p.plans = map[planKey]*playlist.Plan{}
	}
	p.plans[key] = plan
	return plan
}

// maxImported bounds the masters under which one version is kept; they mostly agree.
const maxImported = 4

// Import is this version as it reads with the variables of a master (rfc8216bis, 4.4.2.3), made once for each set of values. It is the
// version itself where that imports nothing.
func (p *Playlist) Import(master map[string]string) (*Playlist, error) {
	if p.Doc == nil || len(p.Doc.Imports) == 0 {
		return p, nil
	}
	var key strings.Builder
	for _, name := range p.Doc.Imports {
		if value, ok := master[name]; ok {
			fmt.Fprintf(&key, "%d:%s", len(value), value)
		}
		key.WriteByte(',')
	}
	p.mu.Lock()
	known := p.imported[key.String()]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	doc, err := p.Doc.Import(master)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTooLarge, named(p.URL), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.imported[key.String()]; known != nil {
		return known, nil
	}
	if p.imported == nil || len(p.imported) >= maxImported {
		p.imported = map[string]*Playlist{}
	}
	imported := &Playlist{Body: p.Body, ContentType: p.ContentType, URL: p.URL, Place: p.Place, Typed: p.Typed, Doc: doc}
	p.imported[key.String()] = imported
	return imported, nil
}

// Without is this version as it reads where these parameters of its URL are not known.
func (p *Playlist) Without(params []string, master map[string]string) (*Playlist, error) {
	base := *p.Doc.Base
	base.RawQuery = playlist.StripQuery(base.RawQuery, params...)
	doc, err := playlist.Parse(p.Body, &base)
	if err == nil {
		doc, err = doc.Import(master)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTooLarge, named(p.URL), err)
	}
	return &Playlist{Body: p.Body, ContentType: p.ContentType, URL: p.URL, Place: p.Place, Typed: p.Typed, Doc: doc}, nil
}

const (
	smallPlaylist = 256 << 10 // larger ones are read and parsed a few at a time
	maxLarge      = 4
	maxFetches    = 256              // of one scope
	maxBodies     = 1024             // of all
	fetchTimeout  = 60 * time.Second // for a whole playlist, blocking reload included
)

// timeout is how long the whole of a playlist may take, blocking reload included.
func (c *Client) timeout(src Source) time.Duration {
	return max(fetchTimeout, c.opt.HoldTimeout, 3*min(src.Target, maxTarget)+c.opt.HeaderTimeout) + c.opt.LargeTimeout
}

// fetchInTurn bounds how many different playlists are fetched at a time: of one scope, and those that an origin holds (blocking reloads)
// apart from the others, which they must not keep waiting.
func (c *Client) fetchInTurn(ctx context.Context, src Source, old *keptPlaylist, asked time.Time, headed func(directives)) (*keptPlaylist, int, error) {
	in := c.turns
	if blocks(src.URLs[0]) {
		in = c.held
	}
	leave := in.enter(ctx, src.Scope)
	if leave == nil {
		return nil, 0, crowded(ctx)
	}
	defer leave()
	return c.fetch(ctx, src, old, asked, headed)
}

// crowded is why there was no turn: everybody left, or it took too long.
func crowded(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: too many playlists at once", ErrTimeout)
}

// fetch asks the origins for a playlist, or whether the old one has changed. What it returns beside an error is to be remembered of it.
func (c *Client) fetch(ctx context.Context, src Source, old *keptPlaylist, asked time.Time, headed func(directives)) (*keptPlaylist, int, error) {
	h := http.Header{"Accept-Encoding": {"gzip"}}
	if old != nil {
		(&entity{valid: old.valid}).conditional(h)
	}
	resp, stop, err := c.do(ctx, http.MethodGet, src, h)
	if err != nil {
		return nil, 0, err
	}
	came, d := time.Now(), readDirectives(resp.Header)
	m := &Media{Header: resp.Header, Length: resp.ContentLength, URL: resp.Request.URL, Body: c.watch(resp.Body, stop)}
	defer m.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && old != nil && old.valid.any():
		return old.renewed(resp.Header, asked, came, old.p.awaited(src.URLs[0])), resp.StatusCode, nil
	case isMissing(resp):
		missing := &keptPlaylist{failed: status(resp), fresh: freshness{asked: asked},
			until: came.Add(missingLifetime(d, blocks(src.URLs[0]), src.target(old)))}
		return missing, resp.StatusCode, missing.failed
	case status(resp) != nil:
		return nil, resp.StatusCode, status(resp)
	case resp.StatusCode != http.StatusOK:
		return nil, resp.StatusCode, fmt.Errorf("%w: %s says %d where a playlist was asked for", ErrAnswer, named(m.URL), resp.StatusCode)
	}
	if t, _, _ := mime.ParseMediaType(m.Header.Get("Content-Type")); t == "text/html" {
		return nil, resp.StatusCode, fmt.Errorf("%w: %s sends an HTML page where a playlist was asked for", ErrAnswer, named(m.URL))
	}
	headed(d)
	select {
	case c.bodies <- struct{}{}:
		defer func() { <-c.bodies }()
	case <-ctx.Done():
		return nil, resp.StatusCode, crowded(ctx)
	}
	p, err := c.read(ctx, m)
	if err != nil {
		return nil, resp.StatusCode, err
	}
	return newHeld(p, resp.Header, asked, came, d, p.awaited(src.URLs[0])), resp.StatusCode, nil
}

// renewed is the playlist after the origin has said that it has not changed (RFC 9111, 4.3.4).
func (h *keptPlaylist) renewed(head http.Header, asked, came time.Time, held bool) *keptPlaylist {
	merged := h.head.Clone()
	merged.Del("Age")
	for _, name := range []string{"Age", "Cache-Control", "Date", "Etag", "Expires", "Last-Modified"} {
		if v := head[name]; len(v) > 0 {
			merged[name] = v
		}
	}
	return newHeld(h.p, merged, asked, came, readDirectives(merged), held)
}

func (s *Source) target(old *keptPlaylist) time.Duration {
	if s.Target == 0 && old != nil && old.p.media() != nil {
		return old.p.target()
	}
	return s.Target
}

func (p *Playlist) media() *playlist.Media {
	if p.Doc == nil {
		return nil
	}
	return p.Doc.Media
}

// read reads a playlist from an answer, decoded and bounded in size, and finds its version. The caller closes the body.
func (c *Client) read(ctx context.Context, m *Media) (*Playlist, error) {
	from := m.URL
	if m.Length > c.opt.MaxPlaylist {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d are taken", ErrTooLarge, named(from), m.Length, c.opt.MaxPlaylist)
	}
	body, err := decoded(m)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(body, smallPlaylist))
	if err == nil && n == smallPlaylist {
		var release func()
		if release, err = c.readLarge(ctx, &buf, body); err == nil {
			defer release()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", named(from), broken(err))
	}
	return c.version(buf.Bytes(), m.Header.Get("Content-Type"), from)
}

// decoded is the body without its content coding (RFC 9110, 8.4).
func decoded(m *Media) (io.Reader, error) {
	switch coding := strings.ToLower(strings.TrimSpace(m.Header.Get("Content-Encoding"))); coding {
	case "", "identity":
		return m.Body, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(m.Body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", named(m.URL), broken(err))
		}
		return z, nil
	default:
		return nil, fmt.Errorf("%w: %s sends a playlist coded as %q, and gzip was asked for", ErrAnswer, named(m.URL), coding)
	}
}

// readLarge reads the rest of a playlist that is not small. Only maxLarge are read and parsed at a time, so that memory stays bounded
// and the others have some of the processor: the caller calls release when it is done.
func (c *Client) readLarge(ctx context.Context, buf *bytes.Buffer, body io.Reader) (release func(), err error) {
	select {
	case c.large <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many large playlists at once", ErrTimeout)
	}
	release = func() { <-c.large }
	brisk := &briskReader{body, time.Now().Add(c.opt.LargeTimeout)}
	_, err = io.Copy(buf, io.LimitReader(brisk, c.opt.MaxPlaylist+1-smallPlaylist))
	if err == nil && int64(buf.Len()) > c.opt.MaxPlaylist {
		err = fmt.Errorf("%w: at most %d bytes are taken", ErrTooLarge, c.opt.MaxPlaylist)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// briskReader ends with ErrTimeout when it is read after its time: an origin that lets a large playlist drip holds its place no longer.
type briskReader struct {
	io.Reader
	until time.Time
}

func (r *briskReader) Read(p []byte) (int, error) {
	if time.Now().After(r.until) {
		return 0, fmt.Errorf("%w: a large playlist comes too slowly", ErrTimeout)
	}
	return r.Reader.Read(p)
}

// version is the version that a body is: the last one, or a new one.
func (c *Client) version(text []byte, contentType string, from *url.URL) (*Playlist, error) {
	key := from.String()
	if old := c.versions.get(key); old != nil && old.ContentType == contentType && bytes.Equal(old.Body, text) {
		return old, nil
	}
	place, _, _ := strings.Cut(key, "?")
	p := &Playlist{Body: text, ContentType: contentType, URL: from, Place: place, Typed: IsPlaylistType(contentType)}
	var err error
	p.Doc, err = parse(text, from)
	switch {
	case errors.Is(err, playlist.ErrNotPlaylist):
		if looksLikeHTML(text) {
			return nil, fmt.Errorf("%w: %s sends HTML where a playlist was asked for", ErrAnswer, named(from))
		}
	case errors.Is(err, playlist.ErrTooLarge):
		return nil, fmt.Errorf("%w: %s: %w", ErrTooLarge, named(from), err)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrAnswer, named(from), err)
	}
	c.versions.put(key, p)
	return p, nil
}

// parse is playlist.Parse on a goroutine that no server watches over: what makes it panic costs that playlist, and nobody else's.
func parse(text []byte, from *url.URL) (doc *playlist.Document, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s makes the parser panic: %v", ErrAnswer, named(from), r)
		}
	}()
	return playlist.Parse(text, from)
}

// broken gives an error of reading a playlist's body the sentinel it belongs to.
func broken(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it breaks off", ErrAnswer)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return fmt.Errorf("%w: its gzip is damaged: %w", ErrAnswer, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: not all of it within %v", ErrTimeout, fetchTimeout)
	}
	return err
}

func looksLikeHTML(text []byte) bool {
	head := strings.ToLower(string(bytes.TrimSpace(text[:min(len(text), 256)])))
	return strings.HasPrefix(head, "<!doctype") || strings.HasPrefix(head, "<html")
}
