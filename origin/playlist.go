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

	"earshot/playlist"
)

// Playlist is one version of a playlist as the origin has it, shared by all sessions.
type Playlist struct {
	Body        []byte
	ContentType string
	URL         *url.URL           // it was finally fetched from
	Doc         *playlist.Document // nil if it is no playlist: then Body passes as it is

	mu    sync.Mutex
	plans map[planKey]*playlist.Plan
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

const (
	smallPlaylist = 256 << 10 // larger ones are read and parsed a few at a time
	maxLarge      = 4
	maxFetches    = 1024
	fetchTimeout  = 60 * time.Second // for a whole playlist, blocking reload included
)

// Playlist fetches a playlist. All who ask while it is being fetched get the same one, and one who leaves does not
// disturb the others. A body equal to the last version's is that version.
func (c *Client) Playlist(ctx context.Context, src Source) (*Playlist, error) {
	done := c.flights.DoChan(src.Scope+"\x00"+src.URLs[0], func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		p, err := c.fetchInTurn(ctx, src)
		c.opt.Metrics.fetched("playlist", err)
		return p, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Playlist), nil
	}
}

// fetchInTurn bounds how many different playlists are fetched at a time.
func (c *Client) fetchInTurn(ctx context.Context, src Source) (*Playlist, error) {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many playlists at once", ErrTimeout)
	}
	return c.fetch(ctx, src)
}

func (c *Client) fetch(ctx context.Context, src Source) (*Playlist, error) {
	resp, stop, err := c.do(ctx, http.MethodGet, src, http.Header{})
	if err != nil {
		return nil, err
	}
	body := watch(resp.Body, c.opt.StallTimeout, stop)
	defer body.Close()
	if err := status(resp); err != nil {
		return nil, err
	}
	contentType := resp.Header.Get("Content-Type")
	if t, _, _ := mime.ParseMediaType(contentType); t == "text/html" {
		return nil, fmt.Errorf("%w: %s sends an HTML page where a playlist was asked for", ErrAnswer, resp.Request.URL.Redacted())
	}
	return c.Adopt(ctx, body, resp.ContentLength, contentType, resp.Request.URL)
}

// Adopt reads a playlist from the body of an answer, bounded in size, and finds its version.
func (c *Client) Adopt(ctx context.Context, body io.Reader, length int64, contentType string, from *url.URL) (*Playlist, error) {
	if length > c.opt.MaxPlaylist {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d are taken", ErrTooLarge, from.Redacted(), length, c.opt.MaxPlaylist)
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
		return nil, fmt.Errorf("%s: %w", from.Redacted(), broken(err))
	}
	return c.version(buf.Bytes(), contentType, from)
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
	p := &Playlist{Body: text, ContentType: contentType, URL: from}
	var err error
	p.Doc, err = playlist.Parse(text, from)
	switch {
	case errors.Is(err, playlist.ErrNotPlaylist):
		if looksLikeHTML(text) {
			return nil, fmt.Errorf("%w: %s sends HTML where a playlist was asked for", ErrAnswer, from.Redacted())
		}
	case errors.Is(err, playlist.ErrTooLarge):
		return nil, fmt.Errorf("%w: %s: %w", ErrTooLarge, from.Redacted(), err)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrAnswer, from.Redacted(), err)
	}
	c.versions.put(key, p)
	return p, nil
}

// broken gives an error of reading a playlist's body the sentinel it belongs to.
func broken(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it breaks off", ErrAnswer)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: not all of it within %v", ErrTimeout, fetchTimeout)
	}
	return err
}

func looksLikeHTML(text []byte) bool {
	head := strings.ToLower(string(bytes.TrimSpace(text[:min(len(text), 256)])))
	return strings.HasPrefix(head, "<!doctype") || strings.HasPrefix(head, "<html")
}
