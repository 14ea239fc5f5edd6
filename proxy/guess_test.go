package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"earshot/gate"
	"earshot/session"
)

// asking counts how often a live table is asked for sessions.
type asking struct {
	session.Live
	asked atomic.Int64
}

func (c *asking) Seats(ctx context.Context, user string, id session.ID, limit int) ([]session.Seat, error) {
	c.asked.Add(1)
	return c.Live.Seats(ctx, user, id, limit)
}

// from asks a doorway from an address of this host.
func (d *doorway) from(address, path string, fields ...string) int {
	d.t.Helper()
	way := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	req, err := http.NewRequestWithContext(d.t.Context(), "GET", d.url+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := (&http.Client{Transport: way}).Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(path, "/live.mp3") {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	return resp.StatusCode
}

// TestGuessIDs: who guesses at the ids of apps' sessions has the live table asked no more often than his address may begin sessions, whatever he asks for. Whoever has
// one plays with it at once, on whatever he zaps to.
func TestGuessIDs(t *testing.T) {
	const rate = 10
	live := &asking{Live: session.NewMemory(1000)}
	d := newDoorway(t, gate.Options{Live: live, NewPerAddress: rate, Tokens: map[string]string{"app": "x"}}, nil)
	began := time.Now()
	refused := 0
	for i := range 200 {
		path := []string{"/news/master.m3u8", "/news/media.m3u8", "/news/1.ts"}[i%3]
		if d.from("127.0.0.1", fmt.Sprintf("%s?X-Playback-Session-Id=guess-%d", path, i)) == 429 {
			refused++
		}
	}
	most := int64(rate + rate*time.Since(began).Seconds() + 1)
	if n := live.asked.Load(); n > most || n < 1 {
		t.Errorf("the live table was asked %d times, at most %d are due", n, most)
	}
	if int64(refused) < 200-most {
		t.Errorf("%d refused", refused)
	}
	if _, _, err := d.gate.Make(t.Context(), gate.Play{ID: "made", User: "ann"}); err != nil {
		t.Fatal(err)
	}
	for i, path := range []string{"/news/media.m3u8", "/free/1.ts", "/live.mp3"} {
		if status := d.from("127.0.0.2", path+"?X-Playback-Session-Id=made", "X-Playback-Session-Id", fmt.Sprint("players-own-", i)); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	groups := 0
	d.table.Each(func(s *session.Session) bool {
		if s.Key.ID == "made" {
			groups++
			if s.Listener().UserID != "ann" || !s.App {
				t.Errorf("%+v is not the app's", s.Key)
			}
		}
		return true
	})
	if groups != 3 {
		t.Errorf("it plays %d streams", groups)
	}
	asked := live.asked.Load()
	for range 3 * rate { // he polls, and is known
		if status := d.from("127.0.0.2", "/news/media.m3u8?X-Playback-Session-Id=made"); status != 200 {
			t.Fatalf("%d", status)
		}
	}
	if n := live.asked.Load() - asked; n > 0 {
		t.Errorf("%d questions about a session that is known", n)
	}
}

// TestGuessGuarded: where a token is needed, nobody is asked anything before there is one; and those that do not hold do not stand in the way of those that do.
func TestGuessGuarded(t *testing.T) {
	live := &asking{Live: session.NewMemory(1000)}
	d := newDoorway(t, gate.Options{Live: live, NewPerAddress: 20, Tokens: map[string]string{"app": "x"}}, byToken())
	if _, _, err := d.gate.Make(t.Context(), gate.Play{ID: "made", User: "ann"}); err != nil {
		t.Fatal(err)
	}
	asked := live.asked.Load()
	statuses := map[int]int{}
	for i := range 200 {
		statuses[d.from("127.0.0.1", fmt.Sprintf("/news/media.m3u8?X-Playback-Session-Id=made&token=guess-%d", i))]++
	}
	if statuses[401]+statuses[429] != 200 || statuses[401] < 50 {
		t.Errorf("%v", statuses)
	}
	if n := live.asked.Load() - asked; n > 0 {
		t.Errorf("the live table was asked %d times", n)
	}
	d.want(200, "GET", "/news/media.m3u8?token="+doorToken(t, "bob"))
	d.want(200, "GET", "/news/media.m3u8?X-Playback-Session-Id=made&token="+doorToken(t, "ann"))
	d.want(401, "GET", "/news/media.m3u8?X-Playback-Session-Id=other")
	if s, ok := d.gate.Live(session.Key{ID: "made", Group: "news"}); !ok || !s.App || s.Listener().UserID != "ann" {
		t.Error("the app's session is not the one that plays")
	}
}
