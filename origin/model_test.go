package origin

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/origin/blob"
)

// The model: things at an origin that change, fail and break as chance has it, and listeners who ask for them in every way and leave when they
// like, in made-up time. Whatever they get must be what the origin had, and not too long ago; and when all is over nothing is left behind.

var (
	modelSeed   = flag.Uint64("model.seed", 0, "of the one round of TestModel to run; 0: several")
	modelRounds = flag.Int("model.rounds", 0, "of TestModel; 0: as many as take seconds")
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

// listen asks for one thing after the other.
func (m *model) listen(r *rand.Rand, n int) {
	for range n {
		time.Sleep(time.Duration(r.IntN(3)*r.IntN(1500)) * time.Millisecond)
		th := m.things[min(r.IntN(len(m.things)), r.IntN(len(m.things)))] // some are asked for by many
		if th.playlist {
			m.askPlaylist(r, th)
		} else {
			m.askMedia(r, th)
		}
	}
}

// tolerance is for clocks within one moment.
const tolerance = time.Millisecond

// near reports whether one of the times lies between from and to.
func near(times []time.Time, from, to time.Time) bool {
	for _, at := range times {
		if !at.Before(from.Add(-tolerance)) && !at.After(to.Add(tolerance)) {
			return true
		}
	}
	return false
}

// judge checks that a version may be what one who asked then, and has got it now, gets.
func (m *model) judge(th *modelThing, version int, asked time.Time, served Served, stale, whileDown time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version < 0 || version >= len(th.since) {
		return fmt.Errorf("there is no version %d", version)
	}
	if version == th.version {
		return nil
	}
	old := asked.Sub(th.since[version+1])
	switch {
	case old <= stale+tolerance:
		return nil
	case old <= whileDown && near(th.failed, asked.Add(-reviveAfter), time.Now()):
		return nil
	}
	return fmt.Errorf("version %d has been gone for %v when it was asked for, at most %v is right; %s", version, old, stale, served.CacheStatus())
}

func (m *model) askPlaylist(r *rand.Rand, th *modelThing) {
	ctx, cancel := m.leaving(r)
	defer cancel()
	asked := time.Now()
	p, served, err := m.c.Playlist(ctx, one("http://o.example/"+th.name))
	if err != nil {
		m.excuse(th, asked, err, ctx.Err() != nil)
		return
	}
	text, ok := strings.CutPrefix(string(p.Body), mediaText+"#v")
	version, bad := strconv.Atoi(strings.TrimSpace(text))
	if !ok || bad != nil {
		m.t.Errorf("%s: %q", th.name, p.Body)
		return
	}
	if err := m.judge(th, version, asked, served, modelTarget/2, targets(stalePlaylist, modelTarget)); err != nil {
		m.t.Errorf("%s: %v", th.name, err)
	}
}

// leaving is a listener who may leave before he has what he asked for.
func (m *model) leaving(r *rand.Rand) (context.Context, context.CancelFunc) {
	if m.calm || r.IntN(6) > 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), time.Duration(r.IntN(1000))*time.Millisecond)
}

// excuse checks that an error has a reason.
func (m *model) excuse(th *modelThing, asked time.Time, err error, left bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case left && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
	case errors.Is(err, ErrNotFound) && near(th.missing, asked.Add(-modelTarget), now):
	case (errors.Is(err, errBroke) || errors.Is(err, ErrAnswer)) && near(th.broke, asked, now):
	case (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrAnswer)) && near(th.failed, asked, now):
	default:
		m.t.Errorf("%s, left %v: without a reason: %v", th.name, left, err)
	}
}

func (m *model) askMedia(r *rand.Rand, th *modelThing) {
	ctx, cancel := m.leaving(r)
	defer cancel()
	method, h := http.MethodGet, http.Header{}
	switch how := r.IntN(8); {
	case how == 0:
		method = http.MethodHead
	case m.calm: // who needs no more than a part, or nothing, leaves early
	case how < 4:
		h.Set("Range", []string{"bytes=0-", "bytes=0-1", "bytes=100-4099", "bytes=-500", "bytes=30000-", "bytes=9-9", "bytes=130000-", "bytes=0-9007199254740990"}[r.IntN(8)])
	case how == 4:
		m.mu.Lock()
		h.Set("If-None-Match", fmt.Sprintf(`"%d"`, th.version))
		m.mu.Unlock()
	}
	if h.Get("Range") != "" && r.IntN(5) == 0 {
		m.mu.Lock()
		h.Set("If-Range", fmt.Sprintf(`"%d"`, th.version))
		m.mu.Unlock()
	}
	asked := time.Now()
	media, err := m.c.Open(ctx, method, one("http://o.example/"+th.name), h)
	if err != nil {
		m.excuse(th, asked, err, ctx.Err() != nil)
		return
	}
	defer media.Body.Close()
	if !m.calm && r.IntN(6) == 0 { // he leaves in the middle
		_, _ = io.CopyN(io.Discard, media.Body, r.Int64N(1+int64(th.size)))
		return
	}
	version, _, _ := strings.Cut(strings.Trim(media.Header.Get("Etag"), `"`), "-")
	v, err := strconv.Atoi(version)
	if err != nil {
		m.t.Errorf("%s: %v", th.name, err)
		return
	}
	body, err := m.take(r, media.Body)
	if err := m.fits(th, v, method, h, media, body, err == nil); err != nil {
		m.t.Errorf("%s, %s %v: %v; %s", th.name, method, h, err, media.Served.CacheStatus())
	}
	if err != nil {
		m.excuse(th, asked, err, ctx.Err() != nil)
		return
	}
	stale, down := th.lifetime+reviveAfter, 1000*time.Hour
	if th.lifetime == 0 {
		down = 0
	}
	if th.alone || media.Served.Status == Bypass {
		stale, down = 0, 0
	}
	if err := m.judge(th, v, asked, media.Served, stale, down); err != nil {
		m.t.Errorf("%s, %s %v: %v", th.name, method, h, err)
	}
	if th.alone && method == http.MethodGet && media.Status < 300 {
		m.mu.Lock()
		if th.given[media.Header.Get("Etag")]++; th.given[media.Header.Get("Etag")] > 1 {
			m.t.Errorf("%s: %s was given twice", th.name, media.Header.Get("Etag"))
		}
		m.mu.Unlock()
	}
}

// take reads a body, in one of the ways there are, and not always at once.
func (m *model) take(r *rand.Rand, body io.Reader) ([]byte, error) {
	if r.IntN(2) == 0 {
		return read(body)
	}
	var all bytes.Buffer
	p := make([]byte, 1+r.IntN(20_000))
	for {
		n, err := body.Read(p)
		all.Write(p[:n])
		if err == io.EOF {
			return all.Bytes(), nil
		}
		if err != nil {
			return all.Bytes(), err
		}
		if r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		}
	}
}

// fits checks that an answer is a right one to what was asked, if the thing is that version.
func (m *model) fits(th *modelThing, version int, method string, h http.Header, media *Media, body []byte, complete bool) error {
	all := th.content(version)
	part := readRange(h.Get("Range"))
	want := all
	switch media.Status {
	case http.StatusOK:
	case http.StatusNotModified:
		want = nil
		if h.Get("If-None-Match") != media.Header.Get("Etag") {
			return errors.New("he has it not")
		}
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		from, to, ok := part.of(int64(len(all)))
		told := contentRange(from, to, int64(len(all)))
		if !ok {
			told = fmt.Sprintf("bytes */%d", len(all))
		}
		if method == http.MethodHead || !part.given || ok != (media.Status == http.StatusPartialContent) || media.Header.Get("Content-Range") != told {
			return fmt.Errorf("%d %q to %q of %d", media.Status, media.Header.Get("Content-Range"), h.Get("Range"), len(all))
		}
		if v := h.Get("If-Range"); v != "" && v != media.Header.Get("Etag") {
			return errors.New("a part of something else")
		}
		if want = nil; ok {
			want = all[from:to]
		}
	default:
		return fmt.Errorf("status %d", media.Status)
	}
	if media.Status < 300 && media.Length >= 0 && media.Length != int64(len(want)) {
		return fmt.Errorf("its length is said to be %d, and is %d", media.Length, len(want))
	}
	if method == http.MethodHead {
		want = nil
	}
	if !complete && len(body) <= len(want) {
		want = want[:len(body)]
	}
	if !bytes.Equal(body, want) {
		return fmt.Errorf("%d bytes, not the %d of version %d", len(body), len(want), version)
	}
	return nil
}

// frugal checks that nothing was fetched while what was there was fresh.
func (m *model) frugal() {
	last := map[string]time.Time{}
	for _, f := range m.fetches {
		lifetime := f.target.lifetime
		if f.target.playlist {
			lifetime = modelTarget / 2
		}
		if before, ok := last[f.key]; ok && !f.target.alone && f.arrived.Before(before.Add(lifetime-tolerance)) {
			m.t.Errorf("%s was fetched again after %v, and is fresh for %v", f.key, f.arrived.Sub(before), lifetime)
		}
		if f.done {
			last[f.key] = f.headed
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 2))
		room, err := blob.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		disks := []int64{0, 1 << 20, 8 << 20}
		m := newModel(t, seed, Options{Room: room, Disk: disks[r.IntN(3)], Log: nil}, []int64{300_000, 1 << 20, 9 << 20}[r.IntN(3)])
		done := make(chan struct{})
		var listeners, changes sync.WaitGroup
		for i := range 30 {
			listeners.Go(func() { m.listen(rand.New(rand.NewPCG(seed, uint64(100+i))), 25) })
		}
		changes.Go(func() { m.change(done) })
		listeners.Wait()
		close(done)
		changes.Wait()
		after(time.Minute) // what goes on without anybody
		if err := m.c.cache.audit(); err != nil {
			t.Error(err)
		}
		if m.calm {
			m.frugal()
		}
		m.c.Close()
		empty(t, m.c)
		if t.Failed() {
			t.Logf("run it again: go test ./origin -run TestModel -model.seed=%d", seed)
		}
	})
}

// TestModel runs the model. -model.rounds=1000 looks harder.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		runModel(t, *modelSeed)
		return
	}
	rounds := 20
	if testing.Short() {
		rounds = 6
	}
	if *modelRounds > 0 {
		rounds = *modelRounds
	}
	first := uint64(time.Now().UnixNano()) &^ 3
	t.Logf("seeds from %d", first)
	for i := range rounds {
		if runModel(t, first+uint64(i)); t.Failed() {
			return
		}
	}
}
