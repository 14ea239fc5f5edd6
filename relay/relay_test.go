package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/listen"
)

// What a listener receives is the source's audio from a frame on, nothing added, nothing missing, and his account
// says as much: bytes and media time.
func TestAudioPassesFromAFrameOn(t *testing.T) {
	t.Parallel()
	const frames = 150
	audio := mp3(frames)
	o := station(t, 1000, interleaved(audio[100:], 1000, map[int]string{0: "StreamTitle='A';"})) // 317 bytes of the first frame: dropped
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/kpcc.mp3")}, Burst: 1 << 20})
	info := open(t, h)
	if info.ContentType != "audio/mpeg" || fmt.Sprint(info.Header) != "[{icy-br 128} {icy-name Test FM}]" {
		t.Errorf("info = %+v", info)
	}
	want := audio[frameBytes:]
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "all of the audio", p.has(len(want)))
	if r := p.leave(t); r != listen.Left {
		t.Errorf("left for %q", r)
	}
	if !bytes.Equal(p.received(), want) {
		t.Errorf("received %d bytes that are not the source's %d", len(p.received()), len(want))
	}
	s := p.account.Snapshot()
	if d := s.Media - framesTime(frames-1); s.Bytes != int64(len(want)) || d < -time.Microsecond || d > time.Microsecond {
		t.Errorf("account: %d bytes, %v; sent %d bytes, %v", s.Bytes, s.Media, len(want), framesTime(frames-1))
	}
	if s.Transfers != 0 {
		t.Errorf("%d transfers are open still", s.Transfers)
	}
}

// A listener with metadata has a phase of his own, and titles stand where they came.
func TestMetadata(t *testing.T) {
	t.Parallel()
	long := "StreamTitle='" + strings.Repeat("x", 4080-15) + "';"
	titles := map[int]string{0: "StreamTitle='Rock 'n' Roll - Don't';StreamUrl='';", 40: long, 60: "StreamTitle='Caf\xe9 \x96 Blue';"}
	audio := mp3(200)
	const theirs, ours = 1000, 777
	o := station(t, theirs, interleaved(audio, theirs, titles))
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}, Burst: 1 << 20})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), ours)
	eventually(t, "all of it", func() bool {
		got, _ := untangle(t, p.received(), ours)
		return len(got) == len(audio)
	})
	if s := h.Status(); s.Title != "Café – Blue" || s.State != Up || s.Codec != "mp3" || s.Listeners != 1 {
		t.Errorf("status: %+v", s)
	}
	p.leave(t)
	got, blocks := untangle(t, p.received(), ours)
	if !bytes.Equal(got, audio) {
		t.Error("the audio is not the source's")
	}
	if s := p.account.Snapshot(); s.Bytes != int64(len(p.received())) {
		t.Errorf("account: %d bytes, the player has %d", s.Bytes, len(p.received()))
	}
	var changes []told
	for _, b := range blocks {
		if b.text != "" {
			changes = append(changes, b)
		}
	}
	for i, want := range []told{{1000, titles[0]}, {41000, long}, {61000, titles[60]}} {
		if i >= len(changes) || changes[i].text != want.text {
			t.Fatalf("title %d is not the source's", i)
		}
		if i == 0 { // the first says what was on before, too
			want.at = ours
		}
		// No sooner than it came, and not later than the block after the frame that was on its way.
		if late := changes[i].at - want.at; late < 0 || late > frameBytes+ours {
			t.Errorf("title %d stands %d bytes after its place", i, late)
		}
	}
}

// A title is told to everybody who joins, by his first block, and as of where he is.
func TestTitleOfTheListenersPosition(t *testing.T) {
	audio := mp3(400)
	o := station(t, 1000, interleaved(audio, 1000, map[int]string{0: "StreamTitle='old';", 160: "StreamTitle='new';"}))
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}, Burst: 20_000})
	open(t, h)
	eventually(t, "the ring to hold it all", func() bool {
		h.ring.mu.Lock()
		defer h.ring.mu.Unlock()
		return h.ring.total == int64(len(audio))
	})
	p := join(t, h, account(newBook(), "a"), 2000)
	eventually(t, "a burst", p.has(20_000))
	got, blocks := untangle(t, p.received(), 2000)
	began := bytes.Index(audio, got[:2*frameBytes])
	if blocks[0].text != "StreamTitle='old';" || began%frameBytes != 0 {
		t.Errorf("from %d on, first block %v", began, blocks[0])
	}
	for _, b := range blocks[1:] {
		switch at := began + b.at; {
		case b.text == "":
		case b.text != "StreamTitle='new';", at < 161_000, at >= 161_000+2000+frameBytes:
			t.Errorf("%q at %d", b.text, at)
		}
	}
	if len(got) > 30_000 {
		t.Errorf("a burst of 20,000 brought %d bytes", len(got))
	}
}

func TestOneSourceForManyListenersAndLinger(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	o := station(t, 16000, interleaved(mp3(100), 16000, nil))
	h := newRelay(t, Options{Metrics: NewMetrics(reg), Linger: 300 * time.Millisecond}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/kpcc.mp3")}})
	book := newBook()
	players := make([]*player, 50)
	var opening sync.WaitGroup
	for i := range players {
		opening.Go(func() {
			open(t, h)
			players[i] = join(t, h, account(book, fmt.Sprint(i)), 0)
		})
	}
	opening.Wait()
	want := mp3(100)
	for _, p := range players {
		eventually(t, "the audio", p.has(len(want)))
		if !bytes.Equal(p.received(), want) {
			t.Fatal("a listener got something else")
		}
	}
	if all, _ := o.connections(); all != 1 {
		t.Errorf("%d connections to the source for 50 listeners", all)
	}
	if got := gauged(t, reg, "earshot_relay_listeners", "kpcc"); got != 50 {
		t.Errorf("earshot_relay_listeners = %v", got)
	}
	for _, p := range players {
		p.conn.Close()
	}
	for _, p := range players {
		p.reason(t)
	}
	if h.Status().State != Up {
		t.Error("the source did not linger")
	}
	eventually(t, "the source to be let go", func() bool {
		_, open := o.connections()
		return open == 0 && h.Status().State == Idle
	})
	if info, ok := h.Peek(); !ok || info.ContentType != "audio/mpeg" {
		t.Error("nothing is remembered for HEAD")
	}
	open(t, h)
	if all, _ := o.connections(); all != 2 {
		t.Errorf("%d connections after a second start", all)
	}
	request := strings.ToLower(o.requests[0])
	for _, line := range []string{"get /kpcc.mp3 http/1.0\r\n", "icy-metadata: 1\r\n", "user-agent: earshot/1\r\n", "accept: */*\r\n", "host: 127.0.0.1:"} {
		if !strings.Contains(request, line) {
			t.Errorf("request lacks %q:\n%s", line, request)
		}
	}
	if up, connects := gauged(t, reg, "earshot_upstream_up", "kpcc"), gauged(t, reg, "earshot_upstream_connects_total", "kpcc"); up != 1 || connects != 2 {
		t.Errorf("up %v, connects %v", up, connects)
	}
}

// When the source breaks in the middle of a frame, listeners hear on at the next whole one, and the time it was away
// is not heard time.
func TestReconnect(t *testing.T) {
	audio, ends := mp3(60), make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		fmt.Fprintf(c, icecastHead, 0)
		if n == 0 {
			c.Write(audio[:20*frameBytes+100])
			until(c, ends)
			return
		}
		c.Write(audio[30*frameBytes-50:])
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}, Burst: 1 << 20})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	close(ends)
	want := append(bytes.Clone(audio[:20*frameBytes]), audio[30*frameBytes:]...)
	eventually(t, "what came after the break", p.has(len(want)))
	if all, _ := o.connections(); all != 2 {
		t.Errorf("%d connections", all)
	}
	p.leave(t)
	if !bytes.Equal(p.received(), want) {
		t.Error("the stream does not go on at a frame")
	}
	s := p.account.Snapshot()
	if d := s.Media - framesTime(50); s.Bytes != int64(len(want)) || d < -time.Microsecond || d > time.Microsecond {
		t.Errorf("account: %d bytes, %v; sent %d, %v", s.Bytes, s.Media, len(want), framesTime(50))
	}
}

// The gap between two runs is wider than the audio of the first: two transfers, nothing between counted.
func TestGapIsNotHeard(t *testing.T) {
	t.Parallel()
	audio := mp3(30)
	ends, again := make(chan struct{}), make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		if n == 1 {
			until(c, again)
		}
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(audio[n*10*frameBytes:][:10*frameBytes])
		if n == 0 {
			until(c, ends)
			return
		}
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the first run", p.has(10*frameBytes))
	close(ends)
	time.AfterFunc(time.Second, func() { close(again) })
	eventually(t, "the second run", p.has(20*frameBytes))
	p.leave(t)
	s := p.account.Snapshot()
	if d := s.Media - framesTime(20); s.Bytes != int64(20*frameBytes) || d < -time.Microsecond || d > time.Microsecond {
		t.Errorf("account: %d bytes, %v; want %v", s.Bytes, s.Media, framesTime(20))
	}
}

// While the source is away, those who listen wait for it, and those who come are told.
func TestSourceAwayForAWhile(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	ends := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(mp3(20)[min(n, 1)*10*frameBytes:][:10*frameBytes])
		if n > 0 {
			untilClosed(c)
			return
		}
		until(c, ends)
	})
	var logged bytes.Buffer
	h := newRelay(t, Options{Log: slog.New(slog.NewTextHandler(&logged, nil)),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if down.Load() {
				return nil, errors.New("no route to 10.1.2.3")
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}).Hub(Mount{Key: "kpcc", Origins: []string{strings.Replace(o.url("/"), "//", "//u:hackme@", 1)}})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the first run", p.has(10*frameBytes))
	down.Store(true)
	close(ends)
	var err error
	eventually(t, "the failure to be told", func() bool { _, err = h.Open(context.Background()); return err != nil })
	if !errors.Is(err, ErrUpstream) || strings.Contains(err.Error(), "10.1") || h.Status().State != Reconnecting {
		t.Errorf("open: %v, status %+v", err, h.Status())
	}
	down.Store(false)
	eventually(t, "the second run", p.has(20*frameBytes))
	open(t, h)
	p.leave(t)
	h.relay.Shutdown(context.Background())
	if s := logged.String(); strings.Count(s, "source not connected") != 1 || strings.Count(s, "source connected") != 2 || strings.Contains(s, "hackme") {
		t.Errorf("logged:\n%s", s)
	}
}

func TestFailover(t *testing.T) {
	bad := newOrigin(t, func(c net.Conn, _ int) { fmt.Fprint(c, "HTTP/1.0 404 Not Found\r\n\r\n") })
	stalls := station(t, 0, mp3(20))
	good := station(t, 0, mp3(60)[20*frameBytes:])
	h := newRelay(t, Options{StallTimeout: 300 * time.Millisecond}).Hub(
		Mount{Key: "kpcc", Origins: []string{bad.url("/"), stalls.url("/"), good.url("/")}})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the third origin", p.has(60*frameBytes))
	if all, _ := bad.connections(); all == 0 {
		t.Error("the first origin was not asked")
	}
	if all, _ := good.connections(); all == 0 {
		t.Error("the last origin was not asked")
	}
}

func TestCodecChangeEndsListeners(t *testing.T) {
	ends := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		if n == 0 {
			fmt.Fprintf(c, icecastHead, 0)
			c.Write(mp3(30))
			until(c, ends)
			return
		}
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Type: audio/aacp\r\n\r\n")
		c.Write(adts(60))
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	close(ends)
	if r := p.reason(t); r != listen.SourceGone {
		t.Errorf("ended for %q", r)
	}
	p.reading.Wait()
	if got := p.received(); !bytes.Equal(got, mp3(30)) {
		t.Errorf("he heard %d bytes and not what he came for", len(got))
	}
	if info := open(t, h); info.ContentType != "audio/aacp" {
		t.Errorf("now it is %q", info.ContentType)
	}
	next := join(t, h, account(newBook(), "b"), 0)
	eventually(t, "the new format", next.has(60*200))
	next.leave(t)
	want := time.Duration(60 * 1024 * int64(time.Second) / 44100)
	if s := next.account.Snapshot(); !bytes.Equal(next.received(), adts(60)) || s.Media.Round(time.Microsecond) != want.Round(time.Microsecond) {
		t.Errorf("heard %d bytes, %v; want %v", s.Bytes, s.Media, want)
	}
}

func TestMaxListeners(t *testing.T) {
	o := station(t, 0, mp3(30))
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}, MaxListeners: 1})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	if _, err := h.Open(context.Background()); !errors.Is(err, ErrFull) {
		t.Errorf("open: %v", err)
	}
	edge, far := pair(t)
	defer edge.Close()
	defer far.Close()
	if err := h.Join(Join{Conn: edge, Account: account(newBook(), "b")}); !errors.Is(err, ErrFull) {
		t.Errorf("join: %v", err)
	}
	p.leave(t)
	eventually(t, "room", func() bool { _, err := h.Open(context.Background()); return err == nil })
}

func TestShutdown(t *testing.T) {
	o := station(t, 0, mp3(300))
	reg := prometheus.NewRegistry()
	r := New(Options{Metrics: NewMetrics(reg)})
	h := r.Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}})
	open(t, h)
	book := newBook()
	players := []*player{join(t, h, account(book, "0"), 0), join(t, h, account(book, "1"), 16000)}
	edge, far := pair(t)
	lazy := joinOn(t, h, account(book, "lazy"), 0, edge, far)
	for _, p := range players {
		eventually(t, "some audio", p.has(1000))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range append(players, lazy) {
		select {
		case reason := <-p.left:
			if reason != listen.Drain {
				t.Errorf("ended for %q", reason)
			}
		default:
			t.Error("a listener is left after Shutdown")
		}
	}
	eventually(t, "the source to be closed", func() bool { _, open := o.connections(); return open == 0 })
	for _, p := range players {
		p.reading.Wait()
		if s := p.account.Snapshot(); s.Bytes != int64(len(p.received())) {
			t.Errorf("account: %d bytes, the player has %d", s.Bytes, len(p.received()))
		}
	}
	if _, err := h.Open(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v", err)
	}
	if _, err := r.Hub(Mount{Key: "other"}).Open(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("open of a new hub: %v", err)
	}
	if got := gauged(t, reg, "earshot_relay_cuts_total", "drain"); got != 3 {
		t.Errorf("earshot_relay_cuts_total{drain} = %v", got)
	}
}
