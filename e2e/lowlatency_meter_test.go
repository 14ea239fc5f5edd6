package e2e

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// llQuick is edgeConfig with sessions that end soon.
var llQuick = strings.Replace(edgeConfig, "slice: 2s, idle: 5s", "slice: 1s, idle: 3s", 1)

// llEdge is an origin with one show and an edge before it.
func llEdge(t *testing.T, s *llShow) (*llOrigin, *edge) {
	t.Helper()
	o := startLLOrigin(t, s)
	return o, startEdgeAt(t, llQuick, filepath.Join(t.TempDir(), "data"), hlsStream("live", "/live/", o.URL+"/"+s.name+"/"), "")
}

// llTale is what a listener does with the variants of a show.
type llTale func(l *llListener, variants []*url.URL) error

var llTales = map[string]llTale{
	"parts, the whole, the other variant": llAllOfOne,
	"parts of both variants":              llBoth,
	"hinted parts, then a reload":         llHinted,
	"twice the same":                      llTwice,
}

// llAllOfOne takes all parts of a segment as they are listed, then the segment, then the same of the other variant.
func llAllOfOne(l *llListener, variants []*url.URL) error {
	msn, err := llFollow(l, variants[0], l.fetch)
	for n := 0; err == nil && n < 2; n++ {
		var v *llVersion
		if v, err = l.reload(variants[n], msn, -1, false); err != nil {
			break
		}
		var whole llPiece
		if whole, err = v.segment(msn); err == nil {
			err = l.fetch(whole)
		}
	}
	return err
}

// llFollow hands each part of the next segment that begins to take, as soon as it is listed.
func llFollow(l *llListener, playlist *url.URL, take func(llPiece) error) (msn int, err error) {
	v, err := l.reload(playlist, -1, -1, false)
	if err != nil {
		return 0, err
	}
	msn = v.msn + 1
	for n := range llParts {
		if v, err = l.reload(playlist, msn, n, n%2 == 0); err != nil {
			return msn, err
		}
		part, err := v.part(msn*llParts + n)
		if err == nil {
			err = take(part)
		}
		if err != nil {
			return msn, err
		}
	}
	return msn, nil
}

// llBoth takes the parts of one segment by turns from either variant, and some of them from both.
func llBoth(l *llListener, variants []*url.URL) error {
	_, err := llFollow(l, variants[0], func(p llPiece) error {
		if p.from%2 == 0 {
			if err := l.fetch(p); err != nil {
				return err
			}
		}
		if p.from%3 == 0 {
			return nil
		}
		v, err := l.reload(variants[1], p.from/llParts, p.from%llParts, false)
		if err != nil {
			return err
		}
		other, err := v.part(p.from)
		if err != nil {
			return err
		}
		return l.fetch(other)
	})
	return err
}

// llHinted asks for two parts before they are there; only then for the playlist that lists them.
func llHinted(l *llListener, variants []*url.URL) error {
	v, err := l.reload(variants[0], -1, -1, false)
	for n := 0; err == nil && n < 2; n++ {
		hint := *v.hint
		msn, part := v.next()
		if err = l.fetch(hint); err == nil {
			v, err = l.reload(variants[0], msn, part, true)
		}
	}
	return err
}

// llHintedLast leaves with a part that it has not seen listed.
func llHintedLast(l *llListener, variants []*url.URL) error {
	v, err := l.reload(variants[0], -1, -1, false)
	if err != nil {
		return err
	}
	return l.fetch(*v.hint)
}

// llTwice takes one part twice.
func llTwice(l *llListener, variants []*url.URL) error {
	v, err := l.reload(variants[0], -1, -1, false)
	if err != nil {
		return err
	}
	part := v.parts[0]
	if err := l.fetch(part); err != nil {
		return err
	}
	return l.fetch(part)
}

// testLLMeter: the books have every byte that a listener received, and every moment once.
func testLLMeter(t *testing.T, s *llShow) { meterLL(t, s, llTales) }

// testLLAlone: so they have if nobody else asks for the playlist in which the part is listed at last.
func testLLAlone(t *testing.T, s *llShow) {
	meterLL(t, s, map[string]llTale{"a hinted part, and gone": llHintedLast})
}

func meterLL(t *testing.T, s *llShow, tales map[string]llTale) {
	t.Helper()
	o, e := llEdge(t, s)
	var all sync.WaitGroup
	listeners := make(map[string]*llListener)
	if s.ranged {
		tales = maps.Clone(tales)
		tales["a hint without an end, and gone between"] = func(l *llListener, variants []*url.URL) error {
			return llGoneBetween(l, variants, s.tracks[0])
		}
	}
	for name, play := range tales {
		l := newLLListener(t, "meter/"+name)
		listeners[name] = l
		all.Go(func() {
			variants, err := l.master(e.listen + "/live/master.m3u8")
			if err == nil {
				err = play(l, variants)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	e.closed(t)
	for name, l := range listeners {
		a := e.account(t, l.agent)
		llBooks(t, name, a.bytes, l.bytes, a.ms, len(l.heard))
	}
	o.obeyed(t)
}

// closed waits until no session is open.
func (e *edge) closed(t *testing.T) {
	t.Helper()
	db := e.database(t)
	eventually(t, 30*time.Second, "the sessions end", func() error {
		var all, open int
		err := db.QueryRow(`SELECT count(*), count(*) FILTER (WHERE state = 0) FROM listen_events`).Scan(&all, &open)
		if err == nil && (all == 0 || open > 0) {
			err = fmt.Errorf("%d events, %d of them open", all, open)
		}
		return err
	})
}

// llBooks compares the books with what was received: bytes exactly, time to a thousandth or 3 ms.
func llBooks(t *testing.T, who string, bytes, received, ms int64, parts int) {
	t.Helper()
	if bytes != received {
		t.Errorf("%s: %d bytes in the books, %d received", who, bytes, received)
	}
	want := (time.Duration(parts) * llPart).Seconds()
	if got := float64(ms) / 1000; math.Abs(got-want) > max(want/1000, 0.003) {
		t.Errorf("%s: %.3f s in the books, %.3f received", who, got, want)
	}
	t.Logf("%s: %d bytes, %d ms", who, bytes, ms)
}
