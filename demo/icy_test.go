package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of one-ended sockets in memory, which a synctest bubble can hold.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// onAir serves a new origin to the connections that dial makes.
func onAir(t *testing.T) (o *Origin, dial func(request string) net.Conn) {
	o = NewOrigin(time.Now())
	l := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: o}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = o.Close(); _ = server.Close(); <-ended })
	return o, func(request string) net.Conn {
		near, far := net.Pipe()
		l.conns <- far
		if _, err := io.WriteString(near, strings.ReplaceAll(request, "\n", "\r\n")+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = near.Close() })
		return near
	}
}

// hear reads a connection for so long and returns the head of the answer and its body.
func hear(t *testing.T, conn net.Conn, length time.Duration) (string, []byte) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(length)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") {
		t.Fatal(err)
	}
	head, body, ok := bytes.Cut(all, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("no end of the head in %d bytes", len(all))
	}
	return string(head), body
}

type mark struct {
	at    int // audio bytes before it
	title string
}

// unframe takes metadata blocks out of a body.
func unframe(t *testing.T, body []byte) (audio []byte, marks []mark) {
	t.Helper()
	for len(body) > metaint {
		audio, body = append(audio, body[:metaint]...), body[metaint:]
		n := 16 * int(body[0])
		if len(body) < 1+n {
			break
		}
		block := strings.TrimRight(string(body[1:1+n]), "\x00")
		body = body[1+n:]
		if n == 0 {
			continue
		}
		title, ok := strings.CutPrefix(block, "StreamTitle='")
		title, end := strings.CutSuffix(title, "';")
		if !ok || !end || n-len(block) >= 16 {
			t.Fatalf("metadata block %q of %d bytes", block, n)
		}
		marks = append(marks, mark{len(audio), title})
	}
	return append(audio, body...), marks
}

func TestHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := onAir(t)
		for _, tt := range []struct {
			request string
			metaint bool
		}{
			{"GET /radio.mp3 HTTP/1.1\nHost: demo", false},
			{"GET /radio.mp3 HTTP/1.1\nHost: demo\nIcy-MetaData: 1", true},
			{"GET /radio.mp3 HTTP/1.1\nHost: demo\nRange: bytes=0-1\nIcy-MetaData: 1", true},
			{"GET /radio.mp3 HTTP/1.0\nIcy-MetaData:  2", true},
			{"GET /radio.mp3 HTTP/1.0\nIcy-MetaData: 0", false},
			{"GET /radio.mp3 HTTP/1.0\nIcy-MetaData: yes", false},
			{"HEAD /radio.mp3 HTTP/1.0\nIcy-MetaData: 1", true},
		} {
			head, body := hear(t, dial(tt.request), time.Second)
			if !strings.Contains(head, " 200 OK\r\n") || !strings.Contains(head, "\r\nicy-br: 128") ||
				!strings.Contains(head, "\r\nicy-name: Earshot demo radio") || !strings.Contains(head, "Content-Type: audio/mpeg") ||
				strings.Contains(head, "Transfer-Encoding") || strings.Contains(head, "Content-Range") {
				t.Errorf("%q:\n%s", tt.request, head)
			}
			if got := strings.Contains(head, "\r\nicy-metaint: 16000"); got != tt.metaint {
				t.Errorf("%q: metaint %v", tt.request, got)
			}
			if silent := len(body) == 0; silent != strings.HasPrefix(tt.request, "HEAD") {
				t.Errorf("%q: a body of %d bytes", tt.request, len(body))
			}
		}
	})
}

// A hundred seconds with titles and without are the same audio: the clip from a burst before the moment of connecting,
// each title with the music it belongs to.
func TestTitles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, dial := onAir(t)
		time.Sleep(7 * time.Second)
		first := o.live() - burstFrames
		_, body := hear(t, dial("GET /radio.mp3 HTTP/1.1\nHost: demo\nIcy-MetaData: 1"), 100*time.Second)
		audio, marks := unframe(t, body)
		for i := 0; i+frameBytes <= len(audio); i += frameBytes {
			if !bytes.Equal(audio[i:i+frameBytes], o.station.frame(first+uint64(i/frameBytes))) {
				t.Fatalf("another frame at byte %d", i)
			}
		}
		var titles []string
		for i, m := range marks {
			titles = append(titles, m.title)
			frame := first + uint64(m.at-1)/frameBytes
			if want := o.station.title(frame); m.title != want {
				t.Errorf("%q at frame %d, want %q", m.title, frame, want)
			}
			if i > 1 && (m.at-marks[i-1].at < 14*16000 || m.at-marks[i-1].at > 17*16000) {
				t.Errorf("%d bytes between titles", m.at-marks[i-1].at)
			}
		}
		if len(titles) < 7 || !slices.ContainsFunc(titles, func(s string) bool { return strings.Contains(s, "'") }) ||
			!slices.Contains(titles, "Earshot demo — 夜のラジオ") || marks[0].at != metaint {
			t.Errorf("titles %q, the first after %d bytes", titles, marks[0].at)
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := onAir(t)
		for _, length := range []time.Duration{time.Second / 10, 5 * time.Second, time.Minute, 10 * time.Minute} {
			_, body := hear(t, dial("GET /radio.mp3 HTTP/1.1\nHost: demo"), length)
			want := burstFrames*frameBytes + int(length/time.Millisecond)*16
			if late := want - len(body); late < 0 || late > int(pace/time.Millisecond)*16+frameBytes {
				t.Errorf("%v: %d bytes, want %d", length, len(body), want)
			}
		}
	})
}

// A listener who reads nothing is dropped. (His pipe holds nothing; a socket would hold some seconds more.)
func TestStuckListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := onAir(t)
		conn := dial("GET /radio.mp3 HTTP/1.1\nHost: demo")
		time.Sleep(stuck + time.Second)
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
	})
}

// One who could not be written to for a while goes on near the live edge, his metadata interval intact.
func TestHeldUpListener(t *testing.T) {
	o := NewOrigin(time.Now())
	l := listener{station: &o.station, meta: true, left: metaint}
	body := bytes.Clone(l.until(200))
	body = append(body, l.until(100_000)...)
	if len(body) > 3*burstFrames*frameBytes {
		t.Errorf("%d bytes at once", len(body))
	}
	if _, marks := unframe(t, body); len(marks) == 0 || marks[len(marks)-1].title != o.station.title(99_950) {
		t.Errorf("titles %v", marks)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, dial := onAir(t)
		time.AfterFunc(3*time.Second, func() { _ = o.Close(); _ = o.Close() })
		began := time.Now()
		hear(t, dial("GET /radio.mp3 HTTP/1.1\nHost: demo"), time.Hour)
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("ended after %v", d)
		}
		if w := get(o, "/radio.mp3"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d after Close", w.Code)
		}
		fetch(t, o, "/live/hi/index.m3u8")
	})
}

// A listener who leaves frees the goroutine that served him: the server's Close waits for none, goleak sees them all.
func TestListenersLeave(t *testing.T) {
	server := httptest.NewServer(NewOrigin(time.Now()))
	for range 20 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /radio.mp3 HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(conn).Peek(1000); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	server.Close() // blocks until every request has ended
}
