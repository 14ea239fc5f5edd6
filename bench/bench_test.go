//go:build linux

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain is the origin too: the test's program starts itself, as the program does.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == originCommand {
		must(serveOrigin(os.Stdout, os.Stdin))
		return
	}
	if len(os.Args) == 3 && os.Args[1] == stationCommand {
		must(serveStation(os.Args[2], os.Stdout, os.Stdin))
		return
	}
	os.Exit(m.Run())
}

// The bench works: both servers answer what is asked of them with the origin's bytes, and there is a ratio. Whether the ratio is good is
// for a quiet machine to say.
func TestOneCell(t *testing.T) {
	opt := defaultEdge()
	opt.rounds, opt.length, opt.ramp, opt.conns = 1, 300*time.Millisecond, 50*time.Millisecond, conns{8}
	opt.gates = gates{gateRedis, gateOff}
	opt.only = `^(media playlist, 10|segment 64 KiB), `
	var out strings.Builder
	if err := edgePart(context.Background(), &out, &opt); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "** |"); n < 2 || strings.Contains(out.String(), "no outcome") {
		t.Errorf("%d cells with a ratio:\n%s", n, out.String())
	}
}

func TestMemory(t *testing.T) {
	opt := defaultEdge()
	opt.crowd = 50
	var out strings.Builder
	if err := memoryPart(context.Background(), &out, &opt); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "\n| 50 "); n != 3 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// A reply is the same however it is cut into pieces.
func TestReply(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
	const plain = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
	for _, text := range []string{chunked, plain} {
		for size := 1; size <= len(text); size++ {
			var r reply
			r.begin(true)
			for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
				if r.done() {
					t.Fatalf("%d bytes at a time: done before %q", size, rest)
				}
				if err := r.feed([]byte(rest[:min(size, len(rest))])); err != nil {
					t.Fatalf("%d bytes at a time: %v", size, err)
				}
			}
			if !r.done() || r.status != 200 || string(r.body) != "hello world" || r.size != 11 || r.gzip != (text == chunked) {
				t.Errorf("%d bytes at a time: %+v", size, r)
			}
		}
	}
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "nonsense\r\n\r\n", plain + "!", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1",
		strings.Replace(chunked, "hello\r\n", "hello!\r\n", 1),
	} {
		var r reply
		r.begin(false)
		if err := r.feed([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// A playlist is taken only if each of its URIs carries the session, and is the origin's without.
func TestImpersonal(t *testing.T) {
	s := &server{name: "x", param: "sid", grant: "&g="}
	got, err := s.impersonal([]byte("#EXTM3U\na.ts?sid=7&g=1\n#EXTINF:6,\nb.ts?sid=7&g=2\n"), "7")
	if err != nil || string(got) != "#EXTM3U\na.ts\n#EXTINF:6,\nb.ts\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, uri := range []string{"a.ts", "a.ts?sid=8&g=1", "a.ts?sid=7"} {
		if _, err := s.impersonal([]byte("#EXTM3U\n"+uri+"\n"), "7"); err == nil {
			t.Errorf("%q passes", uri)
		}
	}
}

// A wrong status, length or body is not an answer.
func TestCheck(t *testing.T) {
	const name = "/live/v0/seg-2680.ts"
	right := content()[name]
	wrong := append([]byte{right[0] ^ 1}, right[1:]...)
	for _, c := range []struct {
		status int
		body   []byte
		good   bool
	}{{200, right, true}, {206, right, false}, {200, right[1:], false}, {200, wrong, false}} {
		v := &visitor{server: &server{name: "x"}, asked: name + "?sid=7", kind: segment64K}
		v.reply = reply{keep: true, status: c.status, body: c.body, size: int64(len(c.body))}
		if err := v.check(); (err == nil) != c.good {
			t.Errorf("status %d, %d bytes: %v", c.status, len(c.body), err)
		}
	}
}
