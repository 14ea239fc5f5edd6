package relay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"earshot/listen"
	"earshot/session"
)

// TestMain lets more tests run beside each other than there are processors: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "6") // a flag of package testing
	goleak.VerifyTestMain(m)
}

const patience = 30 * time.Second

// eventually waits for what real sockets do in their own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// origin is a server of the test's own, written to facts/icy.md.
type origin struct {
	ln     net.Listener
	served sync.WaitGroup

	mu       sync.Mutex
	requests []string
	conns    map[net.Conn]bool
	open     int
}

// newOrigin serves each connection with serve, once the request has been read. n counts connections from 0.
func newOrigin(t testing.TB, serve func(c net.Conn, n int)) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, serve)
}

func serveOn(t testing.TB, ln net.Listener, serve func(c net.Conn, n int)) *origin {
	o := &origin{ln: ln, conns: make(map[net.Conn]bool)}
	o.served.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.note(c, true)
			o.served.Go(func() { o.handle(c, n, serve) })
		}
	})
	t.Cleanup(o.stop)
	return o
}

func (o *origin) stop() {
	o.ln.Close()
	o.mu.Lock()
	for c := range o.conns {
		c.Close()
	}
	o.mu.Unlock()
	o.served.Wait()
}

func (o *origin) note(c net.Conn, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if open {
		o.conns[c] = true
		o.open++
	} else {
		delete(o.conns, c)
		o.open--
	}
}

func (o *origin) handle(c net.Conn, n int, serve func(c net.Conn, n int)) {
	defer o.note(c, false)
	defer c.Close()
	var request strings.Builder
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
		request.WriteString(line)
	}
	o.mu.Lock()
	o.requests = append(o.requests, request.String())
	o.mu.Unlock()
	serve(c, n)
}

func (o *origin) url(path string) string { return "http://" + o.ln.Addr().String() + path }

func (o *origin) connections() (all, open int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests), o.open
}

// untilClosed waits until the edge hangs up.
func untilClosed(c net.Conn) { io.Copy(io.Discard, c) }

// until waits for a signal, or for the end of the connection.
func until(c net.Conn, signal <-chan struct{}) {
	gone := make(chan struct{})
	go func() {
		untilClosed(c)
		close(gone)
	}()
	select {
	case <-signal:
	case <-gone:
	}
}

const (
	frameBytes   = 417 // MPEG-1 layer III, 128 kbit/s, 44.1 kHz, not padded
	frameSamples = 1152
	frameRate    = 44100
)

// mp3 is n frames; each holds its number and filler that looks like nothing.
func mp3(n int) []byte {
	var b []byte
	for i := range n {
		f := bytes.Repeat([]byte{0x55}, frameBytes)
		copy(f, []byte{0xff, 0xfb, 0x90, 0x64})
		binary.BigEndian.PutUint32(f[4:], uint32(i))
		b = append(b, f...)
	}
	return b
}

// adts is n frames of 200 bytes at 44.1 kHz.
func adts(n int) []byte {
	var b []byte
	for range n {
		f := bytes.Repeat([]byte{0x33}, 200)
		copy(f, []byte{0xff, 0xf1, 0x50, 0x80, 200 >> 3, 200&7<<5 | 0x1f, 0xfc})
		b = append(b, f...)
	}
	return b
}

// framesTime is what n frames of mp3 are worth.
func framesTime(n int) time.Duration {
	return time.Duration(int64(n) * frameSamples * int64(time.Second) / frameRate)
}

// block is a metadata block as an origin sends it.
func block(text string) []byte {
	l := (len(text) + 15) / 16
	return append([]byte{byte(l)}, append([]byte(text), make([]byte, 16*l-len(text))...)...)
}

// interleaved puts blocks between audio; titles maps an index of the block to its text.
func interleaved(audio []byte, interval int, titles map[int]string) []byte {
	var b []byte
	for i := 0; ; i++ {
		n := min(interval, len(audio))
		b = append(b, audio[:n]...)
		if audio = audio[n:]; n < interval {
			return b
		}
		b = append(b, block(titles[i])...)
	}
}

// told is one block that a player found, and how much audio came before it.
type told struct {
	at   int
	text string
}

// untangle is a player's view of a body with metadata: the second de-framer.
func untangle(t *testing.T, body []byte, interval int) (audio []byte, blocks []told) {
	t.Helper()
	r := bytes.NewReader(body)
	for {
		n, err := io.CopyN(writerTo{&audio}, r, int64(interval))
		if err != nil || n < int64(interval) {
			return audio, blocks
		}
		l, err := r.ReadByte()
		if err != nil {
			return audio, blocks
		}
		text := make([]byte, 16*int(l))
		if _, err := io.ReadFull(r, text); err != nil {
			return audio, blocks
		}
		blocks = append(blocks, told{len(audio), string(bytes.TrimRight(text, "\x00"))})
	}
}

type writerTo struct{ b *[]byte }

func (w writerTo) Write(p []byte) (int, error) {
	*w.b = append(*w.b, p...)
	return len(p), nil
}

const icecastHead = "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Type: audio/mpeg\r\nicy-br:128\r\nicy-name:Test FM\r\nicy-metaint:%d\r\nAccess-Control-Allow-Origin: *\r\nice-password: hackme\r\n\r\n"

// newRelay makes a Relay that is shut down with the test. Sources stay, unless it is said how long.
func newRelay(t testing.TB, opt Options) *Relay {
	t.Helper()
	if opt.Linger == 0 {
		opt.Linger = time.Hour
	}
	r := New(opt)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return r
}

func newBook() *listen.Book { return listen.NewBook(listen.Options{Edge: "test"}, "boot") }

func account(b *listen.Book, id string) *listen.Account {
	return b.Account(listen.Who{Key: session.Key{ID: session.ID(id), Group: "kpcc"}, Kind: session.ICY})
}

// player is the far end of a listener's connection.
type player struct {
	conn    net.Conn
	account *listen.Account
	left    chan listen.Reason

	reading sync.WaitGroup
	mu      sync.Mutex
	body    []byte
	ended   bool
}

// pair is both ends of a TCP connection over loopback.
func pair(t testing.TB) (edge, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// join lets a player join over TCP. He reads all along, unless he is lazy.
func join(t testing.TB, h *Hub, a *listen.Account, metaInt int) *player {
	t.Helper()
	edge, far := pair(t)
	p := joinOn(t, h, a, metaInt, edge, far)
	p.read()
	return p
}

func joinOn(t testing.TB, h *Hub, a *listen.Account, metaInt int, edge, far net.Conn) *player {
	t.Helper()
	p := &player{conn: far, account: a, left: make(chan listen.Reason, 2)}
	err := h.Join(Join{Conn: edge, MetaInt: metaInt, Account: a, Stream: "kpcc", OnLeave: func(l Left) { p.left <- l.Reason }})
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	t.Cleanup(func() {
		far.Close()
		p.reading.Wait()
	})
	return p
}

func (p *player) read() {
	p.reading.Go(func() {
		b := make([]byte, 32<<10)
		for {
			n, err := p.conn.Read(b)
			p.mu.Lock()
			p.body = append(p.body, b[:n]...)
			p.ended = err != nil
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

func (p *player) received() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.body)
}

func (p *player) has(n int) func() bool {
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.body) >= n
	}
}

// leave closes the player's end and waits for the relay to notice.
func (p *player) leave(t testing.TB) listen.Reason {
	t.Helper()
	p.conn.Close()
	return p.reason(t)
}

func (p *player) reason(t testing.TB) listen.Reason {
	t.Helper()
	select {
	case r := <-p.left:
		return r
	case <-time.After(patience):
		t.Fatal("the relay has not noticed that the listener is gone")
		return ""
	}
}

// open opens a hub and expects it to work.
func open(t testing.TB, h *Hub) Info {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	info, err := h.Open(ctx)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return info
}

// station is an Icecast-like origin that sends body at once and then stays silent until it is let go.
func station(t testing.TB, interval int, body []byte) *origin {
	return newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, interval)
		c.Write(body)
		untilClosed(c)
	})
}

// gauged sums the values of a metric whose labels hold label.
func gauged(t *testing.T, reg *prometheus.Registry, name, label string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
