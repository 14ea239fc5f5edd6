package origin

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"earshot/origin/blob"
)

// entity is the head of an answer as it is kept for all who ask. It is immutable.
type entity struct {
	status  int         // 200, 206 or 416
	header  http.Header // of the origin, what passes; its values are shared, and not to be written to
	url     *url.URL    // where it came from in the end
	valid   validators
	fresh   freshness
	length  int64 // of the body; −1 while nobody knows
	partial bool  // it is a part of a resource: a 206, or a 416
}

// passing are the headers of an origin that reach players. All else is the origin's own business, or the edge's: cookies, its server's name, what
// concerns one connection (RFC 9110, 7.6.1), alternative services that would lead players past the edge.
var passing = []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified",
	"Cache-Control", "Expires"}

// pass copies what may pass.
func pass(h http.Header) http.Header {
	out := make(http.Header, len(passing))
	for _, name := range passing {
		if v := h[name]; len(v) > 0 {
			out[name] = v
		}
	}
	return out
}

func newEntity(resp *http.Response, d directives, fresh freshness, target time.Duration) *entity {
	e := &entity{status: resp.StatusCode, header: pass(resp.Header), url: resp.Request.URL, valid: readValidators(resp.Header),
		length: resp.ContentLength, partial: resp.StatusCode != http.StatusOK, fresh: fresh}
	e.fresh.target = target
	e.fresh.lifetime = mediaLifetime(resp.Header, d, target, fresh.age, fresh.came)
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable: // its body is a page of the origin's
		e.length, e.fresh.lifetime = 0, missingLifetime(d, false, target)
		delete(e.header, "Content-Type")
		delete(e.header, "Content-Encoding")
	case e.status == http.StatusOK && e.header["Accept-Ranges"] == nil && resp.Header.Get("Content-Encoding") == "":
		e.header["Accept-Ranges"] = acceptsRanges
	}
	return e
}

var acceptsRanges = []string{"bytes"}

// renewed is the entity after the origin has said that it has not changed (RFC 9111, 4.3.4).
func (e *entity) renewed(resp *http.Response, d directives, fresh freshness) *entity {
	renewed := *e
	renewed.header = e.header.Clone()
	for name, v := range pass(resp.Header) {
		if name != "Content-Range" && name != "Content-Encoding" {
			renewed.header[name] = v
		}
	}
	renewed.fresh = fresh
	renewed.fresh.target = e.fresh.target
	merged := resp.Header.Clone()
	for _, name := range []string{"Last-Modified", "Cache-Control", "Expires"} {
		if len(merged[name]) == 0 && len(renewed.header[name]) > 0 {
			merged[name] = renewed.header[name]
		}
	}
	if d = readDirectives(merged); d.mustRevive {
		renewed.fresh.strict = true
	}
	renewed.fresh.lifetime = mediaLifetime(merged, d, e.fresh.target, fresh.age, fresh.came)
	if d.never { // from now on
		renewed.fresh.lifetime, renewed.fresh.strict = 0, true
	}
	return &renewed
}

// whole is the entity once its body is there, and so its length.
func (e *entity) whole(length int64) *entity {
	known := *e
	known.length = length
	return &known
}

// conditional asks whether the entity is still what the origin has.
func (e *entity) conditional(h http.Header) {
	if e.valid.etag != "" {
		h.Set("If-None-Match", e.valid.etag)
	}
	if e.valid.modified != "" {
		h.Set("If-Modified-Since", e.valid.modified)
	}
}

// answer is what a request gets of an entity: all of it, a part, or the word that it has that already. body holds the bytes of the entity,
// so far as they are there; nil where there are none. It takes over the caller's hold on the body.
func (q *query) answer(e *entity, body *blob.Blob, from *fill, served Served) *Media {
	m := &Media{Status: e.status, Header: e.header, Length: e.length, URL: e.url, Served: served, valid: e.valid}
	release := func() *Media {
		closeBody(body, from)
		m.Body = noBody{}
		return m
	}
	if q.cond.unchanged(e.valid) {
		m.Status = http.StatusNotModified
		return release()
	}
	first, end := int64(0), e.length
	if !e.partial && q.part.given && e.length >= 0 && q.cond.ranges(e.valid, served.now) {
		var ok bool
		m.Header = cloneHead(e.header)
		if first, end, ok = q.part.of(e.length); !ok {
			m.Status, m.Length = http.StatusRequestedRangeNotSatisfiable, 0
			m.Header["Content-Range"] = []string{"bytes */" + strconv.FormatInt(e.length, 10)}
			delete(m.Header, "Content-Type")
			return release()
		}
		m.Status, m.Length = http.StatusPartialContent, end-first
		m.Header["Content-Range"] = []string{contentRange(first, end, e.length)}
	}
	if q.method == http.MethodHead || body == nil {
		return release()
	}
	m.Body = newBody(q.ctx, body, from, first, end)
	return m
}

func cloneHead(h http.Header) http.Header {
	out := make(http.Header, len(h)+1)
	for name, v := range h {
		out[name] = v
	}
	return out
}
