package origin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is an origin without a socket, so that time may be made up (testing/synctest).
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// script is an origin that is a handler. It counts what it is asked.
type script struct {
	mu   sync.Mutex
	seen []*http.Request
	http.HandlerFunc
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	if resp.ContentLength < 0 && resp.StatusCode != http.StatusNotModified {
		resp.ContentLength = int64(w.Body.Len())
	}
	if r.Method == http.MethodHead || resp.StatusCode == http.StatusNotModified {
		resp.Body = http.NoBody
	}
	return resp, nil
}

func (s *script) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// bubble runs f with a client of the origin h, in made-up time.
func bubble(t *testing.T, opt Options, h http.HandlerFunc, f func(t *testing.T, c *Client, s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{HandlerFunc: h}
		opt.Transport = s
		c := New(opt)
		f(t, c, s)
		c.Close()
		empty(t, c)
	})
}

// empty checks that a closed client holds nothing.
func empty(t *testing.T, c *Client) {
	t.Helper()
	if n, m := c.cache.memory.used.Load(), c.cache.disk.used.Load(); n != 0 || m != 0 || len(c.cache.objects) != 0 {
		t.Errorf("closed, it holds %d bytes in memory, %d on disk, and %d objects", n, m, len(c.cache.objects))
	}
	if n := c.opt.Room.Files(); n != 0 {
		t.Errorf("closed, it has %d files open", n)
	}
}

// got is an answer, read to its end.
type got struct {
	*Media
	body []byte
	err  error
}

const thing = "http://origin.example/a/1.ts"

// ask asks for u with header fields in pairs, and reads the answer.
func ask(ctx context.Context, c *Client, method string, src Source, fields ...string) got {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	m, err := c.Open(ctx, method, src, h)
	if err != nil {
		return got{err: err}
	}
	defer m.Body.Close()
	body, err := read(m.Body)
	return got{m, body, err}
}

// read reads a body as the proxy does.
func read(body io.Reader) ([]byte, error) {
	var buf bytes.Buffer
	if w, ok := body.(io.WriterTo); ok {
		_, err := w.WriteTo(&buf)
		return buf.Bytes(), err
	}
	_, err := buf.ReadFrom(body)
	return buf.Bytes(), err
}

func obtain(t *testing.T, c *Client, u string, fields ...string) got {
	t.Helper()
	return ask(t.Context(), c, http.MethodGet, one(u), fields...)
}

// bytesOf makes a body that tells where in it one is.
func bytesOf(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7+i>>8*13+i>>16*31) ^ seed
	}
	return b
}

// after waits, in made-up time.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// answerOf is an answer without a body.
func answerOf(r *http.Request, status int, fields ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: http.NoBody, Request: r}
	for i := 0; i < len(fields); i += 2 {
		resp.Header.Set(fields[i], fields[i+1])
	}
	return resp
}

// bubbleSlow is bubble for an origin that makes its own bodies.
func bubbleSlow(t *testing.T, answer func(*http.Request) *http.Response, f func(t *testing.T, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return answer(r), nil })})
		f(t, c)
		c.Close()
		empty(t, c)
	})
}
