package e2e

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// villain is an origin that answers each path as badly as it was told to, byte by byte.
type villain struct {
	host string
	acts map[string]act // by the first element of the path

	mu    sync.Mutex
	asked []string // request targets as they came
}

// act answers one request. The connection is closed when it returns.
type act func(c net.Conn, r *http.Request)

func startVillain(t testing.TB, acts map[string]act) *villain {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	v := &villain{host: l.Addr().String(), acts: acts}
	go acceptAll(l, v.serve)
	return v
}

func (v *villain) serve(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReaderSize(c, 128<<10))
	if err != nil {
		return
	}
	v.mu.Lock()
	v.asked = append(v.asked, r.RequestURI)
	v.mu.Unlock()
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if do := v.acts[name]; do != nil {
		do(c, r)
		return
	}
	fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
}

// targets are what was asked for so far.
func (v *villain) targets() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.asked...)
}

const hlsType = "application/vnd.apple.mpegurl"

// says answers with exactly this.
func says(answer string) act {
	return func(c net.Conn, _ *http.Request) { _, _ = io.WriteString(c, answer) }
}

// badStatus answers with a status and a page about it.
func badStatus(code int) act {
	return says(fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>no</html", code, http.StatusText(code)))
}

// wholeBody answers 200 with a body and its true length.
func wholeBody(contentType, body string) act {
	return says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body))
}

// claims answers 200 with a length that is not the body's.
func claims(contentType string, length int, body string) act {
	return says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, length, body))
}

// redirects sends to where to says.
func redirects(to func(r *http.Request) string) act {
	return func(c net.Conn, r *http.Request) {
		fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to(r))
	}
}

// silent takes the request and never answers.
func silent(c net.Conn, _ *http.Request) { _, _ = io.Copy(io.Discard, c) }

// breaksOff begins a chunked body and closes before its end.
func breaksOff(contentType, body string) act {
	return says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", contentType, len(body), body))
}

// endless is a playlist of so many bytes, made as it is sent: encoding is "length", "chunked" or "gzip".
func endless(encoding string, total int) act {
	line := strings.Repeat("#EXT-X-NONSENSE:abcdefghijklmnopqrstuvwxyz\n", 1500)
	return func(c net.Conn, _ *http.Request) {
		head := "HTTP/1.1 200 OK\r\nContent-Type: " + hlsType + "\r\n"
		var w io.WriteCloser = nopCloser{c}
		switch encoding {
		case "length":
			head += fmt.Sprintf("Content-Length: %d\r\n", total)
		case "chunked":
			head += "Transfer-Encoding: chunked\r\n"
			w = chunkWriter{c}
		case "gzip":
			head += "Content-Encoding: gzip\r\nConnection: close\r\n"
			w = gzip.NewWriter(c)
		}
		if _, err := io.WriteString(c, head+"\r\n"); err != nil {
			return
		}
		_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
		_, err := io.WriteString(w, "#EXTM3U\n")
		for sent := 8; sent < total && err == nil; sent += len(line) {
			_, err = io.WriteString(w, line[:min(len(line), total-sent)])
		}
		_ = w.Close()
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// chunkWriter writes a chunked body.
type chunkWriter struct{ io.Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	if _, err := fmt.Fprintf(c.Writer, "%x\r\n%s\r\n", len(p), p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c chunkWriter) Close() error {
	_, err := io.WriteString(c.Writer, "0\r\n\r\n")
	return err
}
