package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd is honest listeners, one of each kind, who play the good origin while others misbehave. They keep a list of what they
// noticed; it must stay empty.
type crowd struct {
	edge   *edge
	cancel context.CancelFunc
	done   sync.WaitGroup

	hlsID string // the session of the HLS listener, known once he has ended

	mu       sync.Mutex
	noticed  []string
	segments int64
	frames   int64
	hlsBytes int64
	icyBytes int64
	longest  time.Duration // that either waited for his next bytes, while this machine ran
}

// patience is what a player's buffer would bear, and less than the edge's for an origin.
const patience = 8 * time.Second

func startCrowd(t testing.TB, e *edge) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{edge: e, cancel: cancel}
	c.done.Go(func() { c.note(ctx, "HLS", c.playHLS(ctx)) })
	c.done.Go(func() { c.note(ctx, "ICY", c.playICY(ctx)) })
	t.Cleanup(func() {
		cancel()
		c.done.Wait()
	})
	eventually(t, 20*time.Second, "the honest listeners play", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.segments < 3 || c.frames < 100 {
			return fmt.Errorf("%d segments and %d frames; noticed %q", c.segments, c.frames, c.noticed)
		}
		return nil
	})
	return c
}

func (c *crowd) note(ctx context.Context, who string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noticed = append(c.noticed, fmt.Sprintf("%s: %v", who, err))
}

// hear notes that so much came, after so long.
func (c *crowd) hear(after time.Duration, note func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.longest = max(c.longest, after)
	note()
}

// undisturbed: they noticed nothing, and are still being served.
func (c *crowd) undisturbed(t testing.TB) {
	t.Helper()
	segments, frames := c.heard()
	eventually(t, 2*patience, "the honest listeners still play", func() error {
		s, f := c.heard()
		if s < segments+2 || f < frames+50 {
			return fmt.Errorf("%d segments and %d frames more", s-segments, f-frames)
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.noticed {
		t.Errorf("the honest listeners noticed: %s", n)
	}
	if c.longest > patience {
		t.Errorf("the honest listeners waited %v for their next bytes", c.longest)
	}
	t.Logf("honest listeners: %d segments and %d frames without a gap, longest wait %v", c.segments, c.frames,
		c.longest.Round(time.Millisecond))
}

func (c *crowd) heard() (segments, frames int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.segments, c.frames
}

// playHLS plays as players do: the master once, then its variant's playlist again and again, and each segment once, in order.
func (c *crowd) playHLS(ctx context.Context) error {
	player := &http.Client{Timeout: 4 * patience, Transport: new(http.Transport)}
	defer player.CloseIdleConnections()
	variant, err := crowdChild(ctx, player, c.edge.listen+"/good/master.m3u8")
	if err != nil {
		return err
	}
	c.hlsID = variant.Query().Get("X-Playback-Session-Id")
	last := int64(0)
	for ctx.Err() == nil {
		began := lived()
		text, err := crowdGet(ctx, player, variant.String())
		if err != nil {
			return err
		}
		uris, err := uriLines(variant, string(text))
		if err != nil {
			return err
		}
		for _, u := range uris {
			var n int64
			if _, err := fmt.Sscanf(path.Base(u.Path), "%d.ts", &n); err != nil {
				return fmt.Errorf("%s: %w", u, err)
			}
			if n <= last {
				continue
			}
			if last > 0 && n > last+1 {
				return fmt.Errorf("a gap: segment %d after %d", n, last)
			}
			if err := c.segment(ctx, player, u, n); err != nil {
				return err
			}
			last = n
			c.hear(lived()-began, func() { c.segments++; c.hlsBytes += goodBytes })
			began = lived()
		}
		crowdPause(ctx, 200*time.Millisecond)
	}
	return nil
}

func (c *crowd) segment(ctx context.Context, player *http.Client, u *url.URL, n int64) error {
	body, err := crowdGet(context.WithoutCancel(ctx), player, u.String())
	if err == nil && !bytes.Equal(body, goodContent(n)) {
		err = fmt.Errorf("segment %d is not what the origin sent: %d bytes", n, len(body))
	}
	return err
}

func crowdPause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// crowdChild is the first playlist that a master names.
func crowdChild(ctx context.Context, player *http.Client, master string) (*url.URL, error) {
	text, err := crowdGet(ctx, player, master)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(master)
	if err != nil {
		return nil, err
	}
	uris, err := uriLines(base, string(text))
	if err == nil && len(uris) == 0 {
		err = fmt.Errorf("no URI in %q", text)
	}
	if err != nil {
		return nil, err
	}
	return uris[0], nil
}

// uriLines are the URIs of a playlist that stand on lines of their own.
func uriLines(base *url.URL, text string) (uris []*url.URL, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		u, err := base.Parse(line)
		if err != nil {
			return nil, err
		}
		uris = append(uris, u)
	}
	return uris, nil
}

func crowdGet(ctx context.Context, player *http.Client, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	res, err := player.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.300s", res.Status, body)
	}
	return body, err
}

// playICY reads frames and checks their numbers.
func (c *crowd) playICY(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.edge.listen+"/radio.mp3", nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return c.readFrames(bufio.NewReader(res.Body))
}

// readFrames reads frames to the end of the stream, which is no error where a frame ends.
func (c *crowd) readFrames(r io.Reader) error {
	f := make([]byte, frameBytes)
	for next := int64(-1); ; next++ {
		began := lived()
		n, err := io.ReadFull(r, f)
		c.hear(lived()-began, func() { c.icyBytes += int64(n) })
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the stream ends after %d frames", next)
		}
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(f, frameHead) {
			return fmt.Errorf("no frame where one is due: % x", f[:16])
		}
		number, err := strconv.ParseInt(string(f[4:4+frameDigits]), 10, 64)
		if err != nil {
			return err
		}
		if next >= 0 && number != next {
			return fmt.Errorf("a gap: frame %d where %d is due", number, next)
		}
		next = number
		c.hear(0, func() { c.frames++ })
	}
}
