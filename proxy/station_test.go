package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"

	"earshot/gate"
	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// station is a data plane with ICY mounts before an Icecast of the test's own.
type station struct {
	t     *testing.T
	addr  string
	proxy *Proxy
	relay *relay.Relay
	book  *listen.Book
	table *session.Table
	reg   *prometheus.Registry
	log   string // path of the access log
}

// broadcast answers each request with a head and MP3 until the listener leaves. It waits for ready, if that is not nil, before it says
// anything. A path that ends in "none" is not there.
func broadcast(t *testing.T, ready <-chan struct{}) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	over := make(chan struct{})
	t.Cleanup(func() { close(over); ln.Close(); served.Wait() })
	frame := append([]byte{0xff, 0xfb, 0x90, 0x64}, bytes.Repeat([]byte{0x55}, 413)...)
	serve := func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if ready != nil {
			<-ready
		}
		if strings.HasSuffix(r.URL.Path, "none") {
			fmt.Fprint(c, "HTTP/1.0 404 Not Found\r\n\r\n")
			return
		}
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-br:128, 128\r\nicy-name:A & \"B\" <\xe9>\r\nicy-genre:Talk\r\n"+
			"icy-description:]]></annotation>\r\nicy-url:http://radio.example/?a&b\r\nicy-pub:0\r\n"+
			"ice-audio-info: ice-samplerate=44100;ice-bitrate=128;ice-channels=2;listenurl=7\r\n\r\n")
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := c.Write(bytes.Repeat(frame, 8)); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}
	served.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() { serve(c) })
		}
	})
	return "http://" + ln.Addr().String()
}

// tuned is a stream with a path.
func tuned(key, path, origin string) *Stream {
	return &Stream{Key: key, Path: path, ICY: []string{origin}, Mount: relay.Mount{Linger: time.Hour}}
}

// named is a stream with a pattern.
func named(key, pattern, origin string) *Stream {
	return &Stream{Key: key, Match: regexp.MustCompile(pattern), ICY: []string{origin}, Mount: relay.Mount{Linger: time.Hour}}
}

// newStation serves the streams. wrap, if not nil, is put on its listener.
func newStation(t *testing.T, opt Options, wrap func(net.Listener) net.Listener, streams ...*Stream) *station {
	t.Helper()
	s := &station{t: t, table: session.NewTable(1000), reg: prometheus.NewRegistry(), log: filepath.Join(t.TempDir(), "access.log")}
	spill, err := listen.OpenSpill(filepath.Join(t.TempDir(), "spill"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	s.book = listen.NewBook(listen.Options{Edge: "e", Recorder: listen.NewRecorder(nil, spill, nil, nil)}, "test")
	s.relay = relay.New(relay.Options{})
	opt.Streams, opt.Signer, opt.Book, opt.Relay = streams, signer, s.book, s.relay
	opt.Gate, opt.Metrics = gate.New(gate.Options{Table: s.table}), NewMetrics(s.reg)
	opt.Server, opt.Edge = "Earshot/test", "here"
	if opt.AccessLog, err = OpenAccessLog(s.log, opt.Log, opt.Metrics); err != nil {
		t.Fatal(err)
	}
	s.proxy = New(opt)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	listening := Listen(l)
	if wrap != nil {
		listening = wrap(listening)
	}
	server := &http.Server{Handler: s.proxy, ConnContext: ConnContext, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listening) }() // always returns an error, of Close
	running, stop := context.WithCancel(context.Background())
	settled := make(chan struct{})
	go func() { defer close(settled); s.book.Run(running) }()
	t.Cleanup(func() {
		server.Close()
		<-done
		if err := s.relay.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		opt.AccessLog.Close()
		s.proxy.Close()
		stop()
		<-settled
	})
	return s
}

// overTLS lets a station speak TLS, and HTTP/2 with who can.
func overTLS(l net.Listener) net.Listener {
	some := httptest.NewTLSServer(nil)
	some.Close()
	return tls.NewListener(l, &tls.Config{Certificates: some.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}})
}

// http2Client speaks HTTP/2 over one connection to a station with TLS.
func http2Client(t *testing.T) *http.Client {
	way := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(way.CloseIdleConnections)
	return &http.Client{Transport: way, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// loopback are the tests' own trusted proxies.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// raw sends a request as it stands and reads the answer to its end; of audio the head and the first bytes.
func (s *station) raw(request string) string {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		s.t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	body, err := io.ReadAll(io.LimitReader(c, 4000))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// ask asks with fields, given as names and values, and reads the whole answer.
func (s *station) ask(method, path string, fields ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
		req.Header.Set(fields[i], fields[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

// tune listens until it is let go, and has heard something by then.
func (s *station) tune(path string) (leave func()) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", path, resp.Status)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 2000)); err != nil {
		s.t.Fatal(err)
	}
	return func() { resp.Body.Close() }
}

// lines waits until the file has so many lines, and returns them.
func (s *station) lines(file string, n int) []string {
	s.t.Helper()
	var all []string
	s.eventually(fmt.Sprint(n, " lines in ", file), func() bool {
		text, err := os.ReadFile(file)
		all = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		return err == nil && len(text) > 0 && len(all) >= n
	})
	if len(all) != n {
		s.t.Fatalf("%d lines, want %d:\n%s", len(all), n, strings.Join(all, "\n"))
	}
	return all
}

func (s *station) eventually(what string, ok func() bool) {
	s.t.Helper()
	eventually(s.t, what, ok)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// counted is the sum of a counter.
func counted(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
