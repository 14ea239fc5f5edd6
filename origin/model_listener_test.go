package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

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
	case old <= whileDown && (near(th.failed, asked.Add(-reviveAfter), time.Now()) || near(m.failed, asked.Add(-2*lastRest), time.Now())):
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
	case strings.Contains(err.Error(), "is not asked for a moment") && near(m.failed, asked.Add(-2*lastRest), now):
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
