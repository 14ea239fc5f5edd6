package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"earshot/origin/blob"
)

// run asks the origin and takes its answer in. old is what there was before, too old to be used unasked.
func (f *fill) run(q *query, part byteRange, old *entity) {
	defer f.end()
	resp, stop, err := f.ask(q, part, old)
	if err != nil {
		f.fail(err, old)
		return
	}
	body := f.cache.client.watch(resp.Body, stop)
	defer func() {
		if body != nil {
			body.Close()
		}
	}()
	d := readDirectives(resp.Header)
	switch {
	case resp.StatusCode == http.StatusNotModified:
		f.renew(old.renewed(resp, d, f.fresh(resp, d)))
	case isMissing(resp):
		f.miss(resp, d, q.src.Target, !f.listed)
	case status(resp) != nil:
		f.fail(status(resp), old)
	case IsPlaylistType(resp.Header.Get("Content-Type")):
		f.redirect(q, resp, body, d)
	case d.never:
		if f.handOver(q, resp, body, part, aloneFor, false) {
			body = nil
		}
	case !f.prepare(newEntity(resp, d, f.fresh(resp, d), q.src.Target), q.method):
		wait := aloneFor
		if resp.ContentLength <= max(f.cache.most(&f.cache.memory), f.cache.most(&f.cache.disk)) {
			wait = reviveAfter // there is no room now; there may be soon
		}
		if f.handOver(q, resp, body, part, wait, true) {
			body = nil
		}
	default:
		f.take(body, resp)
	}
}

func (f *fill) ask(q *query, part byteRange, old *entity) (*http.Response, context.CancelFunc, error) {
	h := make(http.Header, 4)
	h.Set("Accept-Encoding", "identity") // lengths and ranges must be those of the bytes we count
	if part.given {
		h.Set("Range", part.String())
	}
	conditional := old != nil && (f.body != nil || old.length == 0 || q.method == http.MethodHead)
	if conditional {
		old.conditional(h)
	}
	f.whence.asked = time.Now()
	resp, stop, err := f.cache.client.do(f.ctx, q.method, q.src, h)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode == http.StatusNotModified && conditional && !old.valid.agree(readValidators(resp.Header)) {
		resp.Body.Close()
		stop()
		return f.ask(q, part, nil) // it speaks of something else than what is here (RFC 9111, 4.3.4)
	}
	f.whence.status = resp.StatusCode
	odd := ""
	switch resp.StatusCode {
	case http.StatusNotModified:
		if !conditional || !old.valid.any() {
			odd = "304 to a request without a condition"
		}
	case http.StatusPartialContent:
		first, last, _, ok := readContentRange(resp.Header.Get("Content-Range"))
		if n := resp.ContentLength; !part.given || !ok || n >= 0 && n != last-first+1 {
			odd = "a part that was not asked for, or does not say which it is"
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if !part.given {
			odd = "416 to a request without a range"
		}
	}
	if odd != "" {
		resp.Body.Close()
		stop()
		return nil, nil, fmt.Errorf("%w: %s sends %s", ErrAnswer, named(resp.Request.URL), odd)
	}
	return resp, stop, nil
}

func (f *fill) fresh(resp *http.Response, d directives) freshness {
	return newFreshness(resp.Header, f.whence.asked, time.Now(), d)
}

func isMissing(resp *http.Response) bool {
	return resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone
}

// end is the end of the fetch, whatever came of it.
func (f *fill) end() {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.object.fill == f {
		f.object.fill = nil
		c.tidy(f.object)
	}
	f.running = false
	f.done()
}

// answered tells all who wait what came of it.
func (f *fill) answered(set func()) {
	f.cache.mu.Lock()
	set()
	f.cache.mu.Unlock()
	close(f.head)
}

// fail is for an origin that cannot answer: what there was before is used once more, unless it says that it must not.
func (f *fill) fail(err error, old *entity) {
	f.cache.client.opt.Metrics.fetched("media", err)
	f.answered(func() {
		if old == nil || old.fresh.strict || !down(err) || f.ctx.Err() != nil {
			f.failed = err
			return
		}
		f.entity, f.stored, f.whence.down = old, true, true
		f.object.revive = time.Now().Add(reviveAfter)
	})
}

// down reports whether an error says that the origin is not there, and not that it has nothing to give.
func down(err error) bool {
	var said *StatusError
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrTimeout) || errors.As(err, &said) && said.Status >= 500
}

// renew is for what has not changed.
func (f *fill) renew(e *entity) {
	f.cache.client.opt.Metrics.fetched("media", nil)
	f.answered(func() {
		f.entity, f.stored = e, true
		if o := f.object; o.fill == f && o.entity != nil {
			o.entity = e
		}
	})
}

// miss is for what the origin has not. It is remembered for a moment.
func (f *fill) miss(resp *http.Response, d directives, target time.Duration, unlisted bool) {
	err := status(resp)
	f.cache.client.opt.Metrics.fetched("media", err)
	f.answered(func() {
		f.failed = err
		if f.object.fill == f {
			f.cache.note(f.object, time.Now().Add(missingLifetime(d, false, target)), func() {
				f.object.failed, f.object.unlisted = err, unlisted
			})
		}
	})
}

// redirect is for a playlist that goes by the name of something else: it is kept where playlists are, and who asked is told so.
func (f *fill) redirect(q *query, resp *http.Response, body *watched, d directives) {
	err := error(ErrPlaylist)
	if q.method == http.MethodGet && resp.StatusCode == http.StatusOK {
		m := &Media{Header: resp.Header, Length: resp.ContentLength, URL: resp.Request.URL, Body: body}
		failed := f.cache.client.adopt(f.ctx, q.src, m, f.whence.asked, d)
		f.cache.client.opt.Metrics.fetched("playlist", failed)
		if failed != nil {
			err = failed
		}
	}
	f.answered(func() {
		f.failed = err
		if err == ErrPlaylist && f.object.fill == f {
			f.cache.note(f.object, time.Now().Add(playlistFor), func() { f.object.playlist = true })
		}
	})
}

// handOver is for what is not to be shared, or is too large to keep: one of those who asked gets it, the others ask for themselves, and
// who comes after them, within that time, does not wait for anybody. It reports whether the body is out of its hands.
func (f *fill) handOver(q *query, resp *http.Response, body *watched, part byteRange, wait time.Duration, large bool) bool {
	plain := q.method == http.MethodGet && !part.given
	if plain {
		f.present <- &gift{resp, body, f}
	}
	f.cache.client.opt.Metrics.fetched("media", nil)
	f.answered(func() {
		f.alone = true
		if f.object.fill == f {
			f.cache.note(f.object, time.Now().Add(wait), func() {
				f.object.alone, f.object.large = true, large
			})
			f.object.fill = nil
			f.cache.tidy(f.object)
		}
	})
	return plain
}

// gift is an answer that is not to be shared, for the one who takes it.
type gift struct {
	resp *http.Response
	body *watched
	fill *fill
}

// media is the answer for him who took it: it ends when he goes. He leaves the fill when he closes it.
func (g *gift) media(ctx context.Context) *Media {
	m := g.fill.cache.client.single(g.resp, g.body)
	stay := context.AfterFunc(ctx, g.fill.cancel)
	m.Body = &closer{m.Body, func() {
		stay()
		g.fill.leave()
	}}
	return m
}

// prepare finds room for the body; without any, it is not to be shared.
func (f *fill) prepare(e *entity, method string) bool {
	c := f.cache
	f.dropOld()
	f.entity = e
	if method == http.MethodHead || e.length == 0 {
		return true
	}
	n := e.length
	if n < 0 {
		n = growBy
	}
	for _, t := range []*tier{&c.memory, &c.disk} {
		if n > c.most(t) {
			continue
		}
		r := &room{tier: t}
		c.mu.Lock()
		ok := c.grow(r, n)
		c.mu.Unlock()
		if !ok {
			continue
		}
		body, err := c.blobIn(t, e.length)
		if err != nil {
			r.free()
			c.client.opt.Log.Warn("a body goes by without being kept", "err", err)
			continue
		}
		body.OnFree(r.free)
		f.body, f.room = body, r
		return true
	}
	f.entity = nil
	return false
}

func (c *cache) blobIn(t *tier, length int64) (*blob.Blob, error) {
	if t == &c.disk {
		return c.blobs.Disk()
	}
	return c.blobs.Memory(length), nil
}

// dropOld lets go of the body that was there before: there is another.
func (f *fill) dropOld() {
	if f.body != nil {
		f.body.Release()
		f.body = nil
	}
}

// take receives the body, for all who wait for it, and keeps it if all of it came.
func (f *fill) take(body *watched, resp *http.Response) {
	f.answered(func() { f.nearly = f.body == nil || f.entity.length <= nearlyBytes && f.entity.length >= 0 })
	var err error
	if f.body != nil {
		err = f.receive(body)
	}
	f.cache.client.opt.Metrics.fetched("media", err)
	if err != nil {
		if f.ctx.Err() == nil {
			f.cache.client.broken(err)
		}
		if f.ctx.Err() == nil && !errors.Is(err, ErrNoRoom) {
			f.cache.client.fetcher.body(resp.Request.URL, err)
		}
		f.finish(err)
		return
	}
	if f.body != nil {
		f.cache.client.fetcher.body(resp.Request.URL, nil)
	}
	f.commit(resp)
	f.finish(nil)
}

// commit keeps what has come. A part that turned out to be all of it is kept under the name of the whole.
func (f *fill) commit(resp *http.Response) {
	c := f.cache
	size := f.written.Load()
	e := f.entity
	if f.body != nil {
		e = e.whole(size)
		if !f.sliding { // of what has gone by, little is there
			f.room.shrink(size)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.object.fill != f || delimitedByClose(resp) || e.fresh.TTL(time.Now()) <= 0 && !e.valid.any() {
		return
	}
	o := f.object
	if name := f.base; !e.partial && name != o.key && e.status == http.StatusOK && f.body != nil {
		if o = c.objects[name]; o == nil {
			o = &object{key: name}
		} else if o.fill != nil {
			return
		}
	}
	c.store(o, e, f)
}

// store puts a body that has come in its place. The caller holds mu.
func (c *cache) store(o *object, e *entity, f *fill) {
	t := &c.memory
	if f.body != nil {
		t = f.room.tier
		f.body.Hold()
	}
	c.drop(&c.memory, o.memory)
	c.drop(&c.disk, o.disk)
	o.entity, o.revive, o.spooled = e, time.Time{}, false
	c.put(t, o, f.body, f.joined)
}

// delimitedByClose reports whether the end of the body was told by the connection's end only, so that it may have broken off unseen
// (RFC 9112, 8).
func delimitedByClose(resp *http.Response) bool {
	return resp.ContentLength < 0 && resp.ProtoMajor < 2 && !slices.Contains(resp.TransferEncoding, "chunked") &&
		resp.Request.Method != http.MethodHead
}
