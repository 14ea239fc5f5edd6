package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// testLLGrow: to a request without an end a segment comes part by part. A part is there, to its last byte, before the next one is.
func testLLGrow(t *testing.T, s *llShow) {
	began := time.Now()
	o, e := llEdge(t, s)
	l := newLLListener(t, "grow")
	variants, err := l.master(e.listen + "/live/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	v, err := llSecondPart(l, variants[0])
	if err != nil {
		t.Fatal(err)
	}
	k := s.tracks[0]
	next := v.hint.from - llFirst*llParts
	var late []time.Duration
	due := int64(len(k.part[next]))
	err = l.trickle(t.Context(), *v.hint, func(bytes int64) {
		for ; bytes >= due; next++ {
			late = append(late, time.Since(o.air.Add(k.lag+time.Duration(next+1)*llPart)))
			due += int64(len(k.part[next+1]))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(late) != llParts-1 {
		t.Fatalf("%d parts came, %v after they were published", len(late), late)
	}
	// This machine may be late now and then.
	if complain := blames(t, began, llPart/2); slices.Min(late[:len(late)-1]) > llPart/2 {
		complain("the parts were whole %v after they were published", late)
	}
	o.obeyed(t)
}

// llSecondPart is a version that hints at the second part of a segment.
func llSecondPart(l *llListener, playlist *url.URL) (*llVersion, error) {
	v, err := l.reload(playlist, -1, -1, false)
	for err == nil && len(v.current) != 1 {
		msn, part := v.next()
		v, err = l.reload(playlist, msn, part, false)
	}
	return v, err
}

// llGoneBetween takes what is hinted at of the first track without an end, and leaves when the first part of that has come.
func llGoneBetween(l *llListener, variants []*url.URL, k *llTrack) error {
	v, err := llSecondPart(l, variants[0]) // else the end of the segment may come first
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	// A part comes in one piece, and then there is nothing for as long as one lasts.
	var silence *time.Timer
	var came int64
	err = l.trickle(ctx, *v.hint, func(bytes int64) {
		if came = bytes; silence == nil {
			silence = time.AfterFunc(llPart/2, leave)
		}
	})
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the listener was to leave before the next part, and not: %v", err)
	}
	// On a machine that stood still there may be more than one.
	for part := v.hint.from; came > 0; part++ {
		came -= int64(len(k.part[part-llFirst*llParts]))
		l.heard[part] = true
	}
	return nil
}

// trickle reads a body as it comes, and tells how much there is at each time.
func (l *llListener) trickle(ctx context.Context, p llPiece, came func(bytes int64)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", l.agent)
	req.Header.Set("Range", p.ranges)
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("GET %s (%s): %s", p.url, p.ranges, res.Status)
	}
	before := l.bytes
	for b := make([]byte, 64<<10); ; {
		n, err := res.Body.Read(b)
		if l.bytes += int64(n); n > 0 {
			came(l.bytes - before)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
