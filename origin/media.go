package origin

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Media is the answer to a request for a segment, part, key or init section: its head, and its body as it comes.
type Media struct {
	Status int // 200, 206, 304 or 416
	Header http.Header
	Length int64 // of the body; −1 unknown
	URL    *url.URL
	Body   io.ReadCloser // ErrUnexpectedEOF or ErrTimeout where the origin breaks off
}

// Open asks the origins for something that is not a playlist. header is sent along. The errors wrap the package's
// sentinels; the caller closes the body.
func (c *Client) Open(ctx context.Context, method string, src Source, header http.Header) (*Media, error) {
	if header == nil {
		header = make(http.Header)
	}
	header.Set("Accept-Encoding", "identity") // lengths and ranges must be those of the bytes we count
	resp, stop, err := c.do(ctx, method, src, header)
	if err == nil {
		if err = status(resp); err != nil {
			resp.Body.Close()
			stop()
		}
	}
	c.opt.Metrics.fetched("media", err)
	if err != nil {
		return nil, err
	}
	return &Media{Status: resp.StatusCode, Header: resp.Header, Length: resp.ContentLength, URL: resp.Request.URL,
		Body: watch(resp.Body, c.opt.StallTimeout, stop)}, nil
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
