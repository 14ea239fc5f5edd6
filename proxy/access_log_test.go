package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/listen"
)

// logLine is what Icecast 2.4.4 writes, as AWStats and Webalizer read it.
var logLine = regexp.MustCompile(`^(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "([^"]*)" (\d{3}) (\d+) "([^"]*)" "([^"]*)" (\d+)$`)

// A listener has his line when he leaves, with what he was sent and how long he was there.
func TestAccessLogOfListener(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	began := time.Now()
	req, _ := http.NewRequest("GET", "http://"+s.addr+"/a.mp3?token=secret", nil)
	req.Header.Set("User-Agent", "Tuner/1.0")
	req.Header.Set("Referer", "http://radio.example/page")
	req.Header.Set("X-Playback-Session-Id", "me")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(1200*time.Millisecond, func() {
		hub, _ := s.relay.Find("a")
		hub.End("me", listen.Kicked)
	})
	n, _ := io.Copy(io.Discard, resp.Body) // ends with the connection, however that does
	resp.Body.Close()
	m := logLine.FindStringSubmatch(s.lines(s.log, 1)[0])
	if m == nil {
		t.Fatal(s.lines(s.log, 1))
	}
	if m[1] != "127.0.0.1" || m[2] != "-" || m[4] != "GET /a.mp3 HTTP/1.1" || m[5] != "200" || m[7] != "http://radio.example/page" || m[8] != "Tuner/1.0" {
		t.Errorf("%q", m)
	}
	at, err := time.ParseInLocation("02/Jan/2006:15:04:05 -0700", m[3], time.Local)
	if err != nil || at.Before(began.Truncate(time.Second)) || at.After(time.Now()) || at.Format("-0700") != began.Local().Format("-0700") {
		t.Errorf("time %s, began %v: %v", m[3], began, err)
	}
	if m[6] != strconv.FormatInt(n, 10) || n < 10_000 || m[9] != "1" {
		t.Errorf("%s bytes in %s s, %d came", m[6], m[9], n)
	}
}

// What is over at once has its line at once: a HEAD, a refusal, a playlist, the state of the mounts.
func TestAccessLogAtOnce(t *testing.T) {
	up := broadcast(t, nil)
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", up+"/a"), tuned("gone", "/gone.mp3", up+"/none"))
	var want []string
	for _, c := range []struct{ method, path, line string }{
		{"HEAD", "/a.mp3?x=1", `"HEAD /a.mp3 HTTP/1.1" 200 0 `},
		{"GET", "/gone.mp3", `"GET /gone.mp3 HTTP/1.1" 502 `},
		{"GET", "/a.mp3.m3u?token=t", `"GET /a.mp3.m3u HTTP/1.1" 200 `},
		{"GET", "/status-json.xsl", `"GET /status-json.xsl HTTP/1.1" 200 `},
		{"POST", "/a.mp3", `"POST /a.mp3 HTTP/1.1" 405 `},
	} {
		_, body := s.ask(c.method, c.path)
		want = append(want, c.line)
		line := s.lines(s.log, len(want))[len(want)-1]
		m := logLine.FindStringSubmatch(line)
		if m == nil || !strings.Contains(line, c.line) || m[6] != strconv.Itoa(len(body)) || m[9] != "0" {
			t.Errorf("%s %s with %d bytes: %s", c.method, c.path, len(body), line)
		}
	}
	s.ask("GET", "/nothing")
	s.ask("GET", "/a.mp3.pls")
	s.lines(s.log, len(want)+1) // what is no mount's has none
}

// Nothing a client sends ends a field or a line.
func TestAccessLogForged(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	for request, want := range map[string]string{
		"HEAD /a.mp3 HTTP/1.0\r\nUser-Agent: x\" 200 1 \"-\" \"\\\r\nReferer: e\t\xe9\"\r\n\r\n": `"HEAD /a.mp3 HTTP/1.0" 200 0 "e..." "x. 200 1 .-. .." 0`,
		"HEAD http://h/a.mp3?t=1 HTTP/1.0\r\n\r\n":                                               `"HEAD http://h/a.mp3 HTTP/1.0" 200 0 "-" "-" 0`,
		"HEAD http://me:secret@h/a.mp3 HTTP/1.0\r\n\r\n":                                         `"HEAD http://h/a.mp3 HTTP/1.0" 200 0 "-" "-" 0`,
		"HEAD /a.mp3 HTTP/1.0\r\nUser-Agent: " + strings.Repeat("x", 9000) + "\r\n\r\n":          `"HEAD /a.mp3 HTTP/1.0" 200 0 "-" "` + strings.Repeat("x", maxLogField) + `" 0`,
	} {
		before, _ := os.ReadFile(s.log)
		s.raw(request)
		n := strings.Count(string(before), "\n") + 1
		line := s.lines(s.log, n)[n-1]
		if !strings.HasSuffix(line, want) || !logLine.MatchString(line) {
			t.Errorf("%.60q: got\n%s\nwant\n%s", request, line, want)
		}
	}
}

func TestAccessLogPrivacy(t *testing.T) {
	for policy, want := range map[IPPolicy]string{FullIP: "192.0.2.7 - - [", TruncateIP: "192.0.2.0 - - [", NoIP: "- - - ["} {
		trusted := TrustedProxies{Prefixes: loopback, Header: "X-Forwarded-For"}
		s := newStation(t, Options{IP: policy, Trusted: trusted}, nil, tuned("a", "/a.mp3", "http://127.0.0.1:1/"))
		s.ask("HEAD", "/a.mp3", "X-Forwarded-For", "192.0.2.7")
		if line := s.lines(s.log, 1)[0]; !strings.HasPrefix(line, want) {
			t.Errorf("%s: %s", policy, line)
		}
	}
}

// Over HTTP/2 a listener has a line as any.
func TestAccessLogHTTP2(t *testing.T) {
	s := newStation(t, Options{}, overTLS, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	c := http2Client(t)
	resp, err := c.Get("https://" + s.addr + "/a.mp3")
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatalf("%v, %v", resp, err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if line := s.lines(s.log, 1)[0]; !strings.Contains(line, `"GET /a.mp3 HTTP/2.0" 200 `) || !logLine.MatchString(line) {
		t.Error(line)
	}
}

// Who rotates the log renames it and has it opened again: no line is lost, and none goes to both.
func TestAccessLogRotated(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", "http://127.0.0.1:1/"))
	s.ask("HEAD", "/a.mp3?1")
	s.lines(s.log, 1)
	if err := os.Rename(s.log, s.log+".1"); err != nil {
		t.Fatal(err)
	}
	s.ask("HEAD", "/a.mp3?2")
	s.lines(s.log+".1", 2) // not asked to yet
	s.proxy.opt.AccessLog.Reopen()
	s.eventually("the new file", func() bool { _, err := os.Stat(s.log); return err == nil })
	s.ask("HEAD", "/a.mp3?3")
	s.lines(s.log, 1)
	s.lines(s.log+".1", 2)
	if info, err := os.Stat(s.log); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("it holds addresses, and everybody may read it: %v, %v", info.Mode(), err)
	}
}

// What was added before it is closed is written, what comes later is counted.
func TestAccessLogClosed(t *testing.T) {
	reg := prometheus.NewRegistry()
	path := filepath.Join(t.TempDir(), "log")
	l, err := OpenAccessLog(path, nil, NewMetrics(reg))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		l.add([]byte("line\n"))
	}
	l.Close()
	l.Close()
	l.add([]byte("late\n"))
	if text, err := os.ReadFile(path); err != nil || string(text) != strings.Repeat("line\n", 1000) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if got := counted(t, reg, "earshot_access_log_dropped_total"); got != 1 {
		t.Errorf("%v counted", got)
	}
}

// A disk that is full is warned of once; lines are counted; nothing stops.
func TestAccessLogDiskFull(t *testing.T) {
	var out bytes.Buffer
	reg := prometheus.NewRegistry()
	l, err := OpenAccessLog("/dev/full", slog.New(slog.NewTextHandler(&out, nil)), NewMetrics(reg))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		l.add([]byte("a\n"))
		time.Sleep(time.Millisecond)
	}
	l.Close()
	if got := counted(t, reg, "earshot_access_log_dropped_total"); got != 10 || strings.Count(out.String(), "WARN") != 1 {
		t.Errorf("%v counted; logged\n%s", got, &out)
	}
}

// A disk that hangs holds nobody up.
func TestAccessLogHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // who does not read
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	l, err := OpenAccessLog(path, nil, NewMetrics(reg))
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	began := time.Now()
	for range 2 * maxQueued {
		l.add(line)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("adding took %v", took)
	}
	if got := counted(t, reg, "earshot_access_log_dropped_total"); got < maxQueued/2 {
		t.Errorf("%v counted", got)
	}
	var read sync.WaitGroup
	read.Go(func() { _, _ = io.Copy(io.Discard, reader) }) // ends when it is closed
	l.Close()
	reader.Close()
	read.Wait()
}

// A disk that hangs for good does not keep the program from its end.
func TestAccessLogHangsAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // who does not read yet
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l, err := OpenAccessLog(path, slog.New(slog.NewTextHandler(&out, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.patience = 50 * time.Millisecond
	for range maxQueued {
		l.add([]byte(strings.Repeat("x", 1023) + "\n"))
	}
	closed := make(chan struct{})
	go func() { defer close(closed); l.Close() }()
	select {
	case <-closed:
		if !strings.Contains(out.String(), "WARN") {
			t.Errorf("logged %s", &out)
		}
	case <-time.After(5 * time.Second):
		t.Error("not closed")
	}
	var read sync.WaitGroup
	read.Go(func() { _, _ = io.Copy(io.Discard, reader) }) // ends when it is closed
	<-l.done
	<-closed
	reader.Close()
	read.Wait()
}

// A pipe that nobody reads is an error, and not waited for.
func TestAccessLogUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, err := OpenAccessLog(path, nil, nil)
		opened <- err
	}()
	select {
	case err := <-opened:
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it is waited for")
	}
}

// A line that went in part is ended before the next.
func TestAccessLogTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("half a li"); err != nil {
		t.Fatal(err)
	}
	l := &AccessLog{file: file, torn: true, buf: []byte("whole\n")}
	l.flush()
	if text, _ := os.ReadFile(path); string(text) != "half a li\nwhole\n" || l.torn {
		t.Errorf("%q", text)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	l, err := OpenAccessLog(filepath.Join(b.TempDir(), "log"), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	v := &visit{log: l, address: "192.0.2.7 - - ", request: `"GET /a.mp3 HTTP/1.1" `, agent: ` "-" "Tuner/1.0" `}
	b.ReportAllocs()
	for b.Loop() {
		v.over(200, 123456, time.Hour)
	}
}
