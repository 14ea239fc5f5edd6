package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113, 6).
const (
	headersFrame, resetFrame, settingsFrame = 1, 3, 4
	endStream, endHeaders                   = 1, 4
	initialWindow                           = 4
)

func frameOf(kind, flags byte, stream uint32, body string) string {
	n := len(body)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return string(binary.BigEndian.AppendUint32(head, stream)) + body
}

// askShut asks for a path over HTTP/2 and opens no window for the answer.
func askShut(t *testing.T, addr, path string) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	field := func(index byte, value string) string { return string([]byte{index, byte(len(value))}) + value } // HPACK, 6.2.2
	request := "\x82\x87" + field(4, path) + field(1, "x")                                                    // GET, https
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frameOf(settingsFrame, 0, 0, "\x00"+string([]byte{initialWindow, 0, 0, 0, 0}))+
		frameOf(headersFrame, endStream|endHeaders, 1, request))
	return c
}

// TestShutWindow: one who asks for what is short over HTTP/2 and opens no window for it does not hold the request for ever.
func TestShutWindow(t *testing.T) {
	const take = time.Second
	r := sealedRoad(t, take, nil)
	c := askShut(t, r.addr, "/nowhere")
	began := time.Now()
	for answered := false; ; {
		var head [9]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Fatalf("answered: %v; then %v", answered, err)
		}
		if _, err := io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			t.Fatal(err)
		}
		switch head[3] {
		case headersFrame:
			answered = true
		case resetFrame:
			if took := time.Since(began); !answered || took < take/2 || took > 8*take {
				t.Errorf("answered: %v; reset after %v", answered, took)
			}
			return
		}
	}
}

// TestStreamDeadline: the relay's deadline breaks a write that is not over, and says that it did; it does nothing to a stream on which nothing
// is being written.
func TestStreamDeadline(t *testing.T) {
	t.Parallel()
	const wait = 1500 * time.Millisecond
	type end struct {
		n    int
		err  error
		took time.Duration
	}
	ends := make(chan end, 2)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := newStream(w, nil)
		defer s.done()
		s.SetWriteDeadline(time.Now().Add(wait))
		s.WriteHeader(http.StatusOK)
		s.Flush()
		time.Sleep(2 * wait)
		s.SetWriteDeadline(time.Now().Add(wait))
		for range 2 {
			began := time.Now()
			n, err := s.Write(make([]byte, 4*frame))
			ends <- end{n, err, time.Since(began)}
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := askShut(t, server.Listener.Addr().String(), "/")
	defer c.Close()
	if e := <-ends; e.n != 0 || !errors.Is(e.err, os.ErrDeadlineExceeded) || e.took < wait/2 || e.took > 20*wait {
		t.Errorf("the write that was due: %+v", e)
	}
	if e := <-ends; !errors.Is(e.err, os.ErrDeadlineExceeded) || e.took > wait {
		t.Errorf("the next: %+v", e)
	}
}
