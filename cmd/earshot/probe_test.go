package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/config"
	"earshot/origin"
)

// configured writes a configuration of the streams and returns its file.
func configured(t *testing.T, streams string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(file, []byte("streams:\n"+streams), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// saying is the URL of an origin that gives each request the answer, as it is.
func saying(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.ReadAtLeast(c, make([]byte, 4096), 1)
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestProbeKeepsTheTerminal: what an origin writes into its answers does not steer the operator's terminal.
func TestProbeKeepsTheTerminal(t *testing.T) {
	const steering = "\x1b[31m\u009b31m\u202e\x9b31m"
	radio := saying(t, "ICY 200 OK\r\ncontent-type: audio/mpeg\r\nicy-name: Test "+steering+"FM\r\n\r\n"+strings.Repeat("\xff\xfb\x90\x64", 4096))
	hls := saying(t, "HTTP/1.1 404 none"+steering+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	moved := saying(t, "HTTP/1.1 302 Found\r\nLocation: http://user:hunter2@x"+steering+"/?Policy=SECRET\r\nContent-Length: 0\r\n\r\n")
	file := configured(t, "  - stream: radio\n    path: /radio\n    icy: "+radio+"/radio\n"+
		"  - group: hls\n    path: /hls/\n    hls: "+hls+"/\n  - group: moved\n    path: /moved/\n    hls: "+moved+"/\n")
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{"check", "-probe", "-config", file, "/hls/x.m3u8"}, &stdout, &stderr)
	said := stdout.String() + stderr.String()
	for _, want := range []string{"icy-name Test ", `says 404 none\x1b[31m\u009b31m\u202e\x9b31m` + "\n", "FAILED: master.m3u8: the origin's answer"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	for _, bad := range []string{"\x1b", "\u009b", "\u202e", "\x9b3", "hunter2", "SECRET"} {
		if strings.Contains(said, bad) {
			t.Errorf("%q in\n%q", bad, said)
		}
	}
}

func TestPresentable(t *testing.T) {
	for line, want := range map[string]string{
		"film at http://o/film/":            "film at http://o/film/",
		`Get "http://u:p@o/a?b=c&d=e": EOF`: `Get "http://o/a?…": EOF`,
		"http://o/a?b=c: it breaks off":     "http://o/a?…: it breaks off",
		"http://u:p@w@o/a, http://v@o/b@c":  "http://o/a, http://o/b@c",
		"What? Radio Zürich 日本":             "What? Radio Zürich 日本",
		"a\nb\r\tc\x7f\x00":                 `a\nb\r\tc\x7f\x00`,
		"\u2028\u00a0\u2066\xff\ufffd":      `\u2028\u00a0\u2066\xff` + "\ufffd",
	} {
		if got := presentable(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// master is a master playlist of n media playlists, 0.m3u8 and so on.
func master(n int) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	for i := range n {
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=1\n%d.m3u8\n", i)
	}
	return b.String()
}

// TestProbeAsksAtOnce: the children of a master are asked for together, and not all of them at once.
func TestProbeAsksAtOnce(t *testing.T) {
	var now, most atomic.Int32
	var reached sync.Once
	full := make(chan struct{})
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/master.m3u8" {
			io.WriteString(w, master(3*probeAtOnce))
			return
		}
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == probeAtOnce {
			reached.Do(func() { close(full) })
		}
		select {
		case <-full:
			io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n1.ts\n")
		case <-time.After(5 * time.Second):
			http.Error(w, "alone", http.StatusInternalServerError)
		}
	}))
	defer o.Close()
	var stdout, stderr bytes.Buffer
	file := configured(t, "  - group: g\n    path: /g/\n    hls: "+o.URL+"/\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if code := run(ctx, []string{"check", "-probe", "-config", file}, &stdout, &stderr); code != exitOK || most.Load() != probeAtOnce {
		t.Fatalf("%d, %d at once\n%s%s", code, most.Load(), &stdout, &stderr)
	}
	for _, want := range []string{"a master of 24 playlists, 24 segments", "every URI is mounted, in 25 playlists read"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
}

// TestProbeEnds: an origin has one time for all that it is asked for.
func TestProbeEnds(t *testing.T) {
	over := make(chan struct{})
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/master.m3u8" {
			io.WriteString(w, master(3*probeAtOnce))
			return
		}
		<-over
	}))
	defer o.Close()
	defer close(over)
	cfg, err := config.Load(configured(t, "  - group: g\n    path: /g/\n    hls: "+o.URL+"/\n"))
	if err != nil {
		t.Fatal(err)
	}
	client := origin.New(origin.Options{HeaderTimeout: probeEach})
	defer client.Close()
	p := newProber(cfg, client, nil)
	defer p.proxy.Close()
	p.limit = 3 * time.Second // for what it has time to read, too
	began := time.Now()
	found := p.probe(t.Context())
	if took := time.Since(began); took > 3*p.limit || len(found) != 1 {
		t.Fatalf("%v for %d origins", took, len(found))
	}
	if err := p.relay.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	said := found[0].text.String()
	if n := strings.Count(said, ".m3u8: the origin does not answer in time: not within 3s\n"); n != 3*probeAtOnce {
		t.Errorf("%d children out of time\n%s", n, said)
	}
	if !strings.Contains(said, "  1 of 25 playlists read: whether every URI is mounted is not known\n") {
		t.Errorf("after failures it says\n%s", said)
	}
}
