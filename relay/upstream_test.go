package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/listen"
)

// safeLog is a log that may be read while it is written.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *safeLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// on is frames of one station: they hold its number.
func on(station byte, frames int) []byte {
	b := mp3(frames)
	for i := 8; i < len(b); i += frameBytes {
		b[i] = station
	}
	return b
}

// stations are the numbers of the stations whose frames are in b, each once in a row. It fails if something else is.
func stations(t *testing.T, b []byte) (heard string) {
	t.Helper()
	for len(b) >= frameBytes {
		if binary.BigEndian.Uint32(b) != 0xfffb9064 {
			t.Fatal("not whole frames")
		}
		if s := string('0' + b[8]); !strings.HasSuffix(heard, s) {
			heard += s
		}
		b = b[frameBytes:]
	}
	return heard
}

// airs sends frames in real time, twice as fast, until the edge hangs up or stop is closed.
func airs(c net.Conn, station byte, stop <-chan struct{}) {
	for {
		if _, err := c.Write(on(station, 2)); err != nil {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(26 * time.Millisecond):
		}
	}
}

func TestAlwaysOn(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	first := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(mp3(10))
		if n == 0 {
			until(c, first)
			return
		}
		untilClosed(c)
	})
	r := newRelay(t, Options{Linger: 20 * time.Millisecond, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("down")
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}})
	r.Start([]Mount{{Key: "on", Origins: []string{o.url("/")}, AlwaysOn: true}, {Key: "off", Origins: []string{o.url("/")}}})
	if _, ok := r.Find("off"); ok {
		t.Error("a mount on demand has a hub from the start")
	}
	h, _ := r.Find("on")
	eventually(t, "the failure to be known", func() bool { return h.Status().State == Reconnecting })
	if _, err := h.Open(context.Background()); !errors.Is(err, ErrUpstream) {
		t.Errorf("open while it is down: %v", err)
	}
	down.Store(false)
	eventually(t, "the source though nobody listens", func() bool { return h.Status().Received == 10*frameBytes })
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "what had come before", p.has(10*frameBytes))
	p.leave(t)
	time.Sleep(100 * time.Millisecond)
	if s := h.Status(); s.State != Up || s.Connected.IsZero() {
		t.Errorf("after the last listener and the linger: %+v", s)
	}
	close(first)
	eventually(t, "the source again", func() bool { return h.Status().Received == 20*frameBytes })
	if h.retire() {
		t.Error("it may be forgotten")
	}
}

// After a long loss nobody begins with what was on before it.
func TestOldAudioIsForgotten(t *testing.T) {
	t.Parallel()
	again := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		if n == 1 {
			until(c, again)
		}
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(on(byte(1+n), 10))
		if n > 0 {
			untilClosed(c)
		}
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, AlwaysOn: true, Rewind: 100 * time.Millisecond})
	eventually(t, "the loss", func() bool { all, _ := o.connections(); return all == 2 })
	time.Sleep(500 * time.Millisecond)
	close(again)
	eventually(t, "the second run", func() bool { return h.Status().Received == 20*frameBytes && h.Status().State == Up })
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "some audio", p.has(10*frameBytes))
	if heard := stations(t, p.received()); heard != "2" {
		t.Errorf("heard %s", heard)
	}
}

func TestLingerOfTheMount(t *testing.T) {
	o := station(t, 0, mp3(10))
	h := newRelay(t, Options{Linger: time.Hour}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Linger: 20 * time.Millisecond})
	open(t, h)
	eventually(t, "the source to be let go", func() bool { return h.Status().State == Idle })
}

// Listeners wait so long for audio, whatever else the origin does, and no longer.
func TestPatience(t *testing.T) {
	for _, tc := range []struct {
		name  string
		again func(c net.Conn)
	}{
		{"refuses", func(net.Conn) {}},
		{"says nothing", func(c net.Conn) { fmt.Fprintf(c, icecastHead, 0); untilClosed(c) }},
		{"sends what is no audio", func(c net.Conn) { fmt.Fprintf(c, icecastHead, 0); c.Write(make([]byte, 100)) }},
		{"trickles", func(c net.Conn) {
			fmt.Fprintf(c, icecastHead, 0)
			for err := error(nil); err == nil; time.Sleep(20 * time.Millisecond) {
				_, err = c.Write(make([]byte, 20))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			joined := make(chan struct{})
			o := newOrigin(t, func(c net.Conn, n int) {
				if n > 0 {
					tc.again(c)
					return
				}
				fmt.Fprintf(c, icecastHead, 0)
				c.Write(mp3(10))
				until(c, joined)
			})
			h := newRelay(t, Options{HeaderTimeout: 100 * time.Millisecond, Linger: 50 * time.Millisecond}).Hub(
				Mount{Key: "k", Origins: []string{o.url("/")}, Patience: 700 * time.Millisecond, Stall: 300 * time.Millisecond})
			open(t, h)
			began := time.Now()
			p := join(t, h, account(newBook(), "a"), 0)
			close(joined)
			if r := p.reason(t); r != listen.SourceGone {
				t.Errorf("ended for %q", r)
			}
			if d := time.Since(began); d < 600*time.Millisecond || d > 8*time.Second {
				t.Errorf("ended after %v", d)
			}
			p.reading.Wait()
			if got := p.received(); !bytes.Equal(got, mp3(10)) {
				t.Errorf("heard %d bytes", len(got))
			}
			eventually(t, "nobody to be connected for", func() bool { s := h.Status().State; return s == Idle || s == Failed })
		})
	}
}

// Patience is not used up while there is audio, nor is it for somebody else.
func TestPatienceIsEachTimeItsOwn(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		airs(c, 1, nil)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Patience: 3 * time.Second})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	select {
	case r := <-p.left:
		t.Fatalf("ended for %q", r)
	case <-time.After(7 * time.Second):
	}
	p.leave(t)
	dead := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{"http://127.0.0.1:1/"}, Patience: time.Second})
	began := time.Now()
	join(t, dead, account(newBook(), "a"), 0).leave(t)
	time.Sleep(300 * time.Millisecond)
	if r := join(t, dead, account(newBook(), "b"), 0).reason(t); r != listen.SourceGone || time.Since(began) < 1250*time.Millisecond {
		t.Errorf("where nothing ever came: %q after %v", r, time.Since(began))
	}
}

// The next origin is asked at once when one has stalled. Without that it would take 125 ms at least.
func TestStallFailsOverAtOnce(t *testing.T) {
	least := time.Hour
	for range 3 {
		var gone, asked atomic.Int64
		stalls := newOrigin(t, func(c net.Conn, _ int) {
			fmt.Fprintf(c, icecastHead, 0)
			c.Write(on(1, 20))
			untilClosed(c)
			gone.CompareAndSwap(0, time.Now().UnixNano())
		})
		good := newOrigin(t, func(c net.Conn, _ int) {
			asked.CompareAndSwap(0, time.Now().UnixNano())
			answer(fmt.Sprintf(icecastHead, 0), on(2, 20))(c, 0)
		})
		h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{stalls.url("/"), good.url("/")}, Stall: 200 * time.Millisecond})
		open(t, h)
		p := join(t, h, account(newBook(), "a"), 0)
		eventually(t, "the second", p.has(40*frameBytes))
		s := h.Status()
		if heard := stations(t, p.received()); heard != "12" || s.Origin != 1 {
			t.Errorf("heard %s, %+v", heard, s)
		}
		p.leave(t)
		if least = min(least, time.Duration(asked.Load()-gone.Load())); least < 100*time.Millisecond {
			return
		}
	}
	t.Errorf("it took %v", least)
}

// A head that comes byte by byte takes no longer than one that never comes.
func TestHeadThatTrickles(t *testing.T) {
	o := newOrigin(t, func(c net.Conn, _ int) {
		for _, b := range []byte("ICY 200 OK\r\nicy-name: " + strings.Repeat("x", 10000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	h := newRelay(t, Options{HeaderTimeout: 200 * time.Millisecond}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	began := time.Now()
	if _, err := h.Open(context.Background()); !errors.Is(err, ErrTimeout) || time.Since(began) > 8*time.Second { // all of it would take 100 s
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// Same type, other codec: within a run or in the next, who listens gets what there is for him and is ended.
func TestCodecChangeWithinAType(t *testing.T) {
	layer2, err := os.ReadFile("testdata/layer2.mp2")
	if err != nil {
		t.Fatal(err)
	}
	for _, sameRun := range []bool{true, false} {
		t.Run(fmt.Sprint(sameRun), func(t *testing.T) {
			t.Parallel()
			changes := make(chan struct{})
			o := newOrigin(t, func(c net.Conn, n int) {
				fmt.Fprintf(c, icecastHead, 0)
				if n == 0 {
					c.Write(mp3(30))
					select {
					case <-changes:
					case <-t.Context().Done():
					}
					if !sameRun {
						return
					}
				}
				c.Write(layer2)
				untilClosed(c)
			})
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
			open(t, h)
			p := join(t, h, account(newBook(), "a"), 0)
			eventually(t, "the first codec", p.has(30*frameBytes))
			if s := h.Status(); s.Codec != "mp3" {
				t.Errorf("%+v", s)
			}
			close(changes)
			if r := p.reason(t); r != listen.SourceGone {
				t.Errorf("ended for %q", r)
			}
			p.reading.Wait()
			if !bytes.Equal(p.received(), mp3(30)) {
				t.Errorf("heard %d bytes", len(p.received()))
			}
			q := join(t, h, account(newBook(), "b"), 0)
			eventually(t, "the second codec", q.has(len(layer2)))
			if s := h.Status(); s.Codec != "mpeg" || !bytes.Equal(q.received(), layer2) {
				t.Errorf("heard %d of %d bytes, %+v", len(q.received()), len(layer2), s)
			}
		})
	}
}

// One that sends a byte now and then is silent too.
func TestTrickleIsAStall(t *testing.T) {
	t.Parallel()
	trickles := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(on(1, 20))
		for next := on(1, 1); len(next) > 0; time.Sleep(20 * time.Millisecond) {
			c.Write(next[:1])
			next = next[1:]
		}
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{trickles.url("/"), station(t, 0, on(2, 20)).url("/")}, Stall: 300 * time.Millisecond})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the second", p.has(40*frameBytes))
	if heard := stations(t, p.received()); heard != "12" {
		t.Errorf("heard %s", heard)
	}
}

// A hub that has been forgotten takes nobody: nothing would end him.
func TestForgottenHubTakesNobody(t *testing.T) {
	r := newRelay(t, Options{})
	m := Mount{Key: "k", Origins: []string{station(t, 0, mp3(20)).url("/")}, Transient: true}
	h := r.Hub(m) // by one who opens it later
	r.Forget(h)
	if _, err := h.Open(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v", err)
	}
	edge, _ := pair(t)
	if err := h.Join(Join{Conn: edge, Account: account(newBook(), "a")}); !errors.Is(err, ErrClosed) {
		t.Errorf("join: %v", err)
	}
	open(t, r.Hub(m))
}
