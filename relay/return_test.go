package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/listen"
)

// A preferred origin that is back takes over when it sends audio, at a frame, and nobody has to do anything.
func TestReturn(t *testing.T) {
	dies, back, speaks := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var spoke, left atomic.Int64
	preferred := newOrigin(t, func(c net.Conn, n int) {
		if n == 0 {
			fmt.Fprintf(c, icecastHead, 0)
			airs(c, 1, dies)
			return
		}
		select {
		case <-back:
		default:
			return
		}
		fmt.Fprintf(c, icecastHead, 0)
		<-speaks
		spoke.CompareAndSwap(0, time.Now().UnixNano())
		airs(c, 1, nil)
	})
	spare := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		airs(c, 2, nil)
		left.CompareAndSwap(0, time.Now().UnixNano())
	})
	var logged safeLog
	reg := prometheus.NewRegistry()
	h := newRelay(t, Options{Log: logged.logger(), Metrics: NewMetrics(reg), ReturnFirst: 50 * time.Millisecond, ReturnLast: 100 * time.Millisecond}).Hub(
		Mount{Key: "kpcc", Origins: []string{preferred.url("/a?token=hackme"), spare.url("/b")}, Burst: 1 << 20})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	hears := func(want string) func() bool {
		return func() bool { b := p.received(); return stations(t, b[:len(b)/frameBytes*frameBytes]) == want }
	}
	eventually(t, "the first", hears("1"))
	close(dies)
	eventually(t, "the second", hears("12"))
	close(back)
	time.Sleep(200 * time.Millisecond)
	if s := h.Status(); s.Origin != 1 || left.Load() != 0 {
		t.Errorf("changed over before there was audio: %+v", s)
	}
	close(speaks)
	eventually(t, "the first again", hears("121"))
	if s := h.Status(); s.Origin != 0 || s.State != Up {
		t.Errorf("%+v", s)
	}
	eventually(t, "the second to be let go", func() bool { return left.Load() > 0 })
	if left.Load() < spoke.Load() {
		t.Error("the second was let go before the first had spoken")
	}
	p.leave(t)
	s := p.account.Snapshot()
	frames := int(s.Bytes) / frameBytes
	if d := s.Media - framesTime(frames); d.Abs() > time.Millisecond || int(s.Bytes)%frameBytes != 0 {
		t.Errorf("account: %d bytes, %v; worth %v", s.Bytes, s.Media, framesTime(frames))
	}
	for to, want := range map[string]float64{"fallback": 1, "return": 1, "file": 0} {
		if got := gauged(t, reg, "earshot_upstream_changes_total", to); got != want {
			t.Errorf("changes to %s: %v", to, got)
		}
	}
	if l := logged.String(); !strings.Contains(l, `how=return from="2 `+spare.url("/b")+`" to="1 `+preferred.url("/a")+`"`) || strings.Contains(l, "hackme") {
		t.Errorf("logged:\n%s", l)
	}
}

// One that is silent, but not long enough to have stalled, is left at once.
func TestReturnFromSilence(t *testing.T) {
	preferred := newOrigin(t, func(c net.Conn, n int) {
		if n > 0 {
			answer("ICY 200 OK\r\n\r\n", on(1, 20))(c, n)
		}
	})
	spare := station(t, 0, on(2, 20))
	h := newRelay(t, Options{ReturnFirst: 700 * time.Millisecond}).Hub(
		Mount{Key: "kpcc", Origins: []string{preferred.url("/"), spare.url("/")}, Stall: time.Hour})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "both", p.has(40*frameBytes))
	if heard := stations(t, p.received()); heard != "21" {
		t.Errorf("heard %s", heard)
	}
}

// One that stays away is asked less and less often.
func TestReturnBacksOff(t *testing.T) {
	preferred := newOrigin(t, func(net.Conn, int) {})
	h := newRelay(t, Options{ReturnFirst: 20 * time.Millisecond}).Hub(
		Mount{Key: "kpcc", Origins: []string{preferred.url("/"), station(t, 0, mp3(20)).url("/")}})
	open(t, h)
	time.Sleep(700 * time.Millisecond)
	if all, _ := preferred.connections(); all < 3 || all > 8 {
		t.Errorf("asked %d times", all)
	}
}

// Where one takes over from another the media goes on; after a loss it goes by the clock; it never goes back.
func TestMediaOfTheNextRun(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		ended  time.Duration // ago
		goesOn bool
		want   time.Duration
	}{
		{time.Second, true, time.Second}, {time.Second, false, 0}, {time.Minute, true, 0}, {-time.Second, false, -time.Second},
	} {
		h := &Hub{end: now.Add(-tc.ended).UnixNano()}
		if got := now.UnixNano() - h.begin(now, tc.goesOn); got != int64(tc.want) {
			t.Errorf("ended %v ago, goes on %v: begins %v ago", tc.ended, tc.goesOn, time.Duration(got))
		}
	}
}

// One that is back with another format waits until nobody listens.
func TestReturnOfAnotherFormat(t *testing.T) {
	layer2, err := os.ReadFile("testdata/layer2.mp2")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, head string
		audio      []byte
	}{
		{"type", "ICY 200 OK\r\nContent-Type: audio/aacp\r\n\r\n", adts(60)},
		{"codec of the same type", "ICY 200 OK\r\n\r\n", layer2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dies := make(chan struct{})
			preferred := newOrigin(t, func(c net.Conn, n int) {
				if n == 0 {
					fmt.Fprintf(c, icecastHead, 0)
					airs(c, 1, dies)
					return
				}
				answer(tc.head, tc.audio)(c, n)
			})
			spare := newOrigin(t, func(c net.Conn, _ int) {
				fmt.Fprintf(c, icecastHead, 0)
				airs(c, 2, nil)
			})
			var logged safeLog
			h := newRelay(t, Options{Log: logged.logger(), HeaderTimeout: time.Second, ReturnFirst: 30 * time.Millisecond, ReturnLast: 30 * time.Millisecond}).Hub(
				Mount{Key: "kpcc", Origins: []string{"http://127.0.0.1:1/", preferred.url("/"), spare.url("/")}})
			open(t, h)
			p := join(t, h, account(newBook(), "a"), 0)
			eventually(t, "the first", p.has(frameBytes))
			close(dies)
			eventually(t, "attempts to return", func() bool { all, _ := preferred.connections(); return all >= 4 })
			if s := h.Status(); s.Origin != 2 || s.State != Up {
				t.Errorf("%+v", s)
			}
			if n := strings.Count(logged.String(), "with another format"); n != 1 {
				t.Errorf("logged %d times", n)
			}
			if r := p.leave(t); r != listen.Left {
				t.Errorf("ended for %q", r)
			}
			eventually(t, "the change, as nobody listens", func() bool { return h.Status().Origin == 1 })
			q := join(t, h, account(newBook(), "b"), 0)
			eventually(t, "the new audio", func() bool { b := q.received(); return len(b) > 4000 && bytes.Contains(tc.audio, b) })
		})
	}
}

// Who joins once a source of another codec is there does not begin with what the last one left.
func TestNothingOfAnotherCodecIsLeft(t *testing.T) {
	layer2, err := os.ReadFile("testdata/layer2.mp2")
	if err != nil {
		t.Fatal(err)
	}
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{"http://127.0.0.1:1/"}})
	u := newUpstream(h, nil)
	defer u.cancel()
	h.up, h.end = u, time.Now().UnixNano()
	now := time.Now().UnixNano()
	u.publish(&chunk{data: mp3(1), start: now, end: now + 1, entry: true}, "mp3")
	s := &source{body: bufio.NewReader(bytes.NewReader(layer2)), info: Info{ContentType: "audio/mpeg"}}
	s.body.Peek(firstAudio)
	if _, ok := u.adopt(candidate{source: s}); !ok || len(h.ring.chunks) != 0 {
		t.Errorf("%v, %d chunks", ok, len(h.ring.chunks))
	}
}
