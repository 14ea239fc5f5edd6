package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// modelThing is one thing at the origin. What does not change is set at construction; the rest is guarded by model.mu.
type modelThing struct {
	name     string
	lifetime time.Duration // max-age; 0: no-cache
	alone    bool          // no-store
	chunked  bool          // its length is not told
	ranges   bool          // the origin knows ranges of it
	playlist bool
	size     int

	version int
	since   []time.Time // when each version began
	failed  []time.Time // when the origin failed to give it
	broke   []time.Time // when it broke off
	missing []time.Time // when it said that it has it not
	given   map[string]int
	serial  int
}

// modelFetch is one request at the origin.
type modelFetch struct {
	key     string // what a cache has it under
	arrived time.Time
	headed  time.Time
	target  *modelThing
	done    bool // all of it was taken
}

type model struct {
	t    *testing.T
	c    *Client
	calm bool // nothing fails, nobody leaves, nothing is evicted

	mu      sync.Mutex
	r       *rand.Rand
	things  []*modelThing
	fetches []*modelFetch
	failed  []time.Time // when the origin failed to give anything: after some of that it rests, for everything
}

var errBroke = errors.New("the model broke it off")

const modelTarget = 4 * time.Second // of mediaText

// content is what a version of a thing is made of.
func (th *modelThing) content(version int) []byte {
	if th.playlist {
		return []byte(mediaText + "#v" + strconv.Itoa(version) + "\n")
	}
	n := th.size
	if n > 10 {
		n += version % 7 * (n / 10)
	}
	b := bytesOf(n, byte(version*37))
	copy(b, th.name+"/"+strconv.Itoa(version))
	return b
}

func newModel(t *testing.T, seed uint64, opt Options, memory int64) *model {
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 1)), calm: seed%4 == 0}
	lifetimes := []time.Duration{0, time.Second, 5 * time.Second, time.Minute}
	sizes := []int{0, 10, 5_000, 40_000, 120_000}
	for i := range 24 {
		th := &modelThing{name: fmt.Sprintf("t%d", i), lifetime: lifetimes[m.r.IntN(len(lifetimes))], alone: m.r.IntN(6) == 0,
			chunked: m.r.IntN(4) == 0, ranges: m.r.IntN(3) > 0, size: sizes[m.r.IntN(len(sizes))], since: []time.Time{time.Now()}, given: map[string]int{}}
		if i < 4 {
			th.name, th.playlist, th.alone = fmt.Sprintf("p%d.m3u8", i), true, false
		}
		m.things = append(m.things, th)
	}
	opt.Transport = roundTrip(m.roundTrip)
	m.c = New(opt)
	if !m.calm {
		m.c.cache.memory.budget = memory
	}
	return m
}

func (m *model) chance(n int) bool { return m.number(n) == 0 }

func (m *model) number(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.r.IntN(n)
}

// roundTrip is the origin.
func (m *model) roundTrip(r *http.Request) (*http.Response, error) {
	var th *modelThing
	for _, one := range m.things {
		if "/"+one.name == r.URL.Path {
			th = one
		}
	}
	arrived := time.Now()
	key := th.name
	if r.Method == http.MethodHead {
		key = "HEAD " + key
	} else if v := r.Header.Get("Range"); v != "" {
		key = v + " " + key
	}
	if pause := m.number(5); pause > 2 { // a slow head
		select {
		case <-time.After(time.Duration(pause*m.number(300)) * time.Millisecond):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	fate, breaks := 100, false
	if !m.calm {
		fate, breaks = m.number(30), m.chance(8)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	fetch := &modelFetch{key, arrived, now, th, r.Method == http.MethodHead}
	m.fetches = append(m.fetches, fetch)
	if fate < 2 || breaks {
		m.failed = append(m.failed, now)
	}
	switch fate {
	case 0:
		th.failed = append(th.failed, now)
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	case 1:
		th.failed = append(th.failed, now)
		return answerOf(r, http.StatusBadGateway), nil
	case 2:
		th.missing = append(th.missing, now)
		return answerOf(r, http.StatusNotFound), nil
	case 3:
		th.failed = append(th.failed, now)
		return answerOf(r, http.StatusForbidden), nil
	}
	return m.give(r, th, fetch, breaks), nil
}

// give answers with the thing as it is now. The caller holds mu.
func (m *model) give(r *http.Request, th *modelThing, fetch *modelFetch, breaks bool) *http.Response {
	body := th.content(th.version)
	etag := fmt.Sprintf(`"%d"`, th.version)
	control := "no-cache"
	switch {
	case th.alone:
		th.serial++
		control, etag = "no-store", fmt.Sprintf(`"%d-%d"`, th.version, th.serial)
	case th.lifetime > 0:
		control = "max-age=" + strconv.Itoa(int(th.lifetime/time.Second))
	}
	head := []string{"Etag", etag, "Cache-Control", control, "Content-Type", "video/mp2t"}
	if th.playlist {
		head = []string{"Etag", etag, "Content-Type", "application/vnd.apple.mpegurl"}
	}
	if v := r.Header.Get("If-None-Match"); v != "" && v == etag {
		fetch.done = true
		return answerOf(r, http.StatusNotModified, head...)
	}
	status := http.StatusOK
	if part := readRange(r.Header.Get("Range")); part.given && th.ranges && (r.Header.Get("If-Range") == "" || r.Header.Get("If-Range") == etag) {
		from, to, ok := part.of(int64(len(body)))
		if !ok {
			resp := answerOf(r, http.StatusRequestedRangeNotSatisfiable, append(head, "Content-Range", fmt.Sprintf("bytes */%d", len(body)))...)
			resp.Body = io.NopCloser(strings.NewReader("a page"))
			resp.ContentLength = 6
			fetch.done = true
			return resp
		}
		head, status = append(head, "Content-Range", contentRange(from, to, int64(len(body)))), http.StatusPartialContent
		body = body[from:to]
	}
	resp := answerOf(r, status, head...)
	resp.ContentLength = int64(len(body))
	if th.chunked {
		resp.ContentLength, resp.TransferEncoding = -1, []string{"chunked"}
	}
	if r.Method == http.MethodHead {
		return resp
	}
	d := &dribble{ctx: r.Context(), rest: body, chunk: 1 + len(body)/(1+m.r.IntN(5)), breakAt: -1, end: func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		fetch.done = true
	}}
	if m.r.IntN(2) == 0 {
		d.pace = time.Duration(m.r.IntN(400)) * time.Millisecond
	}
	if breaks && len(body) > 0 {
		d.breakAt = m.r.IntN(len(body))
		d.broke = func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			th.broke = append(th.broke, time.Now())
		}
	}
	resp.Body = d
	return resp
}

// dribble is a body that comes in pieces, and may break off.
type dribble struct {
	ctx     context.Context
	rest    []byte
	at      int
	chunk   int
	pace    time.Duration
	breakAt int
	broke   func()
	end     func()
}

func (d *dribble) Read(p []byte) (int, error) {
	if d.pace > 0 {
		select {
		case <-time.After(d.pace):
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		}
	}
	if d.ctx.Err() != nil {
		return 0, d.ctx.Err()
	}
	n := min(len(p), d.chunk, len(d.rest))
	if d.breakAt >= 0 && d.at+n > d.breakAt {
		n = d.breakAt - d.at
		if n == 0 {
			d.broke()
			return 0, errBroke
		}
	}
	if n == 0 {
		d.end()
		return 0, io.EOF
	}
	copy(p, d.rest[:n])
	d.rest, d.at = d.rest[n:], d.at+n
	return n, nil
}

func (d *dribble) Close() error { return nil }

// change makes new versions now and then, until done.
func (m *model) change(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(200+m.number(1500)) * time.Millisecond):
		}
		th := m.things[m.number(len(m.things))]
		m.mu.Lock()
		th.version++
		th.since = append(th.since, time.Now())
		m.mu.Unlock()
	}
}
