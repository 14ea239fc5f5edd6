package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sealedRoad is a road whose listener speaks TLS, and HTTP/2 with who can.
func sealedRoad(t *testing.T, take time.Duration, paths map[string]http.HandlerFunc) *road {
	t.Helper()
	some := httptest.NewTLSServer(nil)
	some.Close()
	r := newRoad(t, paths)
	r.wrap = func(l net.Listener, _ *Proxy) net.Listener {
		speaks := &tls.Config{Certificates: some.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, DynamicRecordSizingDisabled: true}
		return tls.NewListener(listener{Listener: l, limits: limits{take: take, header: headerWithin}}, speaks)
	}
	r.cold()
	return r
}

// wire is a client's TCP connection that counts what comes over it.
type wire struct {
	net.Conn
	read *atomic.Int64
	most *atomic.Int64 // that may come, if it is not 0; then nothing is read any more
	over chan struct{} // closed by reset
}

// reset breaks the connection, for both sides.
func (w wire) reset() {
	w.Conn.(*net.TCPConn).SetLinger(0)
	w.Conn.Close()
	close(w.over)
}

func (w wire) Read(p []byte) (int, error) {
	if most := w.most.Load(); most > 0 && w.read.Load() >= most {
		<-w.over
		return 0, net.ErrClosed
	}
	n, err := w.Conn.Read(p)
	w.read.Add(int64(n))
	return n, err
}

// sealedClient speaks HTTP/2 or 1.1 over one connection, with so large a buffer in the kernel. What came over it is counted.
func sealedClient(t *testing.T, r *road, proto, buffer int) (c *http.Client, on wire) {
	t.Helper()
	d := net.Dialer{}
	nc, err := d.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.(*net.TCPConn).SetReadBuffer(buffer)
	on = wire{nc, new(atomic.Int64), new(atomic.Int64), make(chan struct{})}
	way := &http.Transport{ForceAttemptHTTP2: proto == 2, MaxConnsPerHost: 1, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) { return on, nil }}
	t.Cleanup(way.CloseIdleConnections)
	t.Cleanup(func() { nc.Close() })
	return &http.Client{Transport: way}, on
}

func (r *road) start(c *http.Client, path string) *http.Response {
	r.t.Helper()
	resp, err := c.Get("https://" + r.addr + "/news/" + path)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp
}

const longSize = 8 << 20

func long(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "8388608")
	for b := make([]byte, 64<<10); ; {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// TestStreamReset: a player who leaves a stream and keeps the connection is charged what was given to the connection before, to
// within a frame, and the stream beside it goes on.
func TestStreamReset(t *testing.T) {
	r := sealedRoad(t, TakeWithin, map[string]http.HandlerFunc{"/v.m3u8": text(media(4)), "/0.ts": long})
	c, on := sealedClient(t, r, 2, 64<<10)
	resp := r.start(c, "v.m3u8")
	list, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatalf("%s, %v", resp.Proto, err)
	}
	segments := uris(string(list))
	before := on.read.Load()
	resp = r.start(c, segments[0])
	if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() // RST_STREAM
	s := r.heard()
	came := on.read.Load() - before
	if s.Bytes < 1<<20-frame || s.Bytes > longSize/2 || s.Bytes > came || s.Bytes < came-came/100-2*frame {
		t.Errorf("%d bytes counted, %d came over the wire", s.Bytes, came)
	}
	t.Logf("%d bytes counted, %d came over the wire", s.Bytes, came)
	resp = r.start(c, segments[1])
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil || n != segmentSize {
		t.Errorf("the next one: %d bytes, %v", n, err)
	}
	if after := r.heard(); after.Bytes != s.Bytes+segmentSize {
		t.Errorf("%d bytes counted, after %d", after.Bytes, s.Bytes)
	}
}

// TestSealedBreak: when the connection breaks, what the kernel still held is not counted, whether one body was on it or several.
func TestSealedBreak(t *testing.T) {
	for name, proto := range map[string]int{"h1": 1, "h2": 2} {
		t.Run(name, func(t *testing.T) {
			r := sealedRoad(t, TakeWithin, map[string]http.HandlerFunc{"/v.m3u8": text(media(4)), "/0.ts": long, "/1.ts": long})
			c, on := sealedClient(t, r, proto, 32<<10)
			resp := r.start(c, "v.m3u8")
			list, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			before := on.read.Load()
			var begun []*http.Response
			for _, uri := range uris(string(list))[:proto] {
				begun = append(begun, r.start(c, uri))
			}
			on.most.Store(max(before+1<<20, on.read.Load())) // then he reads nothing more, and the kernels fill up
			var bodies sync.WaitGroup
			for _, resp := range begun {
				bodies.Go(func() { io.Copy(io.Discard, resp.Body); resp.Body.Close() })
			}
			for last := int64(-1); last != on.read.Load(); time.Sleep(300 * time.Millisecond) {
				last = on.read.Load()
			}
			on.reset()
			bodies.Wait()
			s, came := r.heard(), on.read.Load()-before
			slack := int64(20 << 10)
			if proto == 2 {
				slack = 6 * frame // of frames under way
			}
			t.Logf("%d bytes counted, %d came over the wire", s.Bytes, came)
			if s.Bytes > came+80<<10 || s.Bytes < came-came/100-slack {
				t.Errorf("%d bytes counted, %d came over the wire", s.Bytes, came)
			}
		})
	}
}

// TestStreamStalled: a stream whose window its listener leaves shut is broken, and what it holds of the origin's let go, while
// the connection lives; one that is read slowly is not.
func TestStreamStalled(t *testing.T) {
	t.Parallel()
	const take = 2500 * time.Millisecond // longer than a busy machine stands still
	gone := make(chan struct{}, 2)
	origin := func(w http.ResponseWriter, r *http.Request) {
		long(w, r)
		gone <- struct{}{}
	}
	r := sealedRoad(t, take, map[string]http.HandlerFunc{"/slow.ts": origin, "/shut.ts": origin})
	c, _ := sealedClient(t, r, 2, 256<<10)
	slow, shut := r.start(c, "slow.ts"), r.start(c, "shut.ts")
	defer slow.Body.Close()
	defer shut.Body.Close()
	began := time.Now()
	for b := make([]byte, 32<<10); time.Since(began) < 2*take; time.Sleep(take / 125) {
		if _, err := io.ReadFull(slow.Body, b); err != nil {
			t.Fatalf("a slow listener is cut: %v", err)
		}
	}
	select {
	case <-gone:
	case <-time.After(5 * take):
		t.Fatal("a listener who takes nothing still holds the origin")
	}
	if _, err := io.ReadFull(slow.Body, make([]byte, 100_000)); err != nil {
		t.Errorf("the other went with it: %v", err)
	}
	if _, err := io.Copy(io.Discard, shut.Body); err == nil {
		t.Error("what was cut looks whole")
	}
}

func TestMarks(t *testing.T) {
	var m marks
	m.begin(100)
	m.add(300, 150) // 50 of others'
	m.add(300, 10)
	m.add(1000, 100)
	for position, want := range map[int64]int64{0: 260, 100: 260, 140: 260, 141: 259, 299: 101, 300: 100, 900: 100, 950: 50, 1000: 0, 2000: 0} {
		if got := m.beyond(position); got != want {
			t.Errorf("beyond %d: %d, want %d", position, got, want)
		}
	}
	m = marks{}
	for i := range int64(10 * maxMarks) {
		m.add(i+1, 1)
	}
	if got, all := m.beyond(10*maxMarks-5), m.beyond(-1); got != 5 || all != 10*maxMarks || len(m.list) > maxMarks {
		t.Errorf("beyond the last: %d; in all: %d; %d marks", got, all, len(m.list))
	}
}
