package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/gate"
	"earshot/listen"
	"earshot/origin"
	"earshot/session"
)

// serveStream is a data plane in front of one HLS origin, on a real socket.
func serveStream(t *testing.T, base string, takeWithin time.Duration, opt Options) (addr string) {
	t.Helper()
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	spill, err := listen.OpenSpill(filepath.Join(t.TempDir(), "spill"))
	if err != nil {
		t.Fatal(err)
	}
	opt.Streams = []*Stream{{Group: "news", Path: "/news/", HLS: []string{base + "/"}}}
	opt.Signer, opt.Gate = signer, gate.New(gate.Options{Table: session.NewTable(100)})
	opt.Book = listen.NewBook(listen.Options{Recorder: listen.NewRecorder(nil, spill, nil, nil)}, "test")
	p := New(opt)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p, ConnContext: ConnContext}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener{Listener: l, limits: limits{take: takeWithin}}) // always returns an error, of Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
		p.Close()
		opt.Origin.Close()
	})
	return l.Addr().String()
}

// TestStalledListener: one who asks for a segment and does not read it holds the origin's connection for no longer than he is
// allowed to take nothing; one who reads slowly is served.
func TestStalledListener(t *testing.T) {
	t.Parallel()
	const stall = 2500 * time.Millisecond // longer than a busy machine stands still
	let := make(chan struct{}, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { let <- struct{}{} }()
		for b := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}))
	defer up.Close()
	registry := prometheus.NewRegistry()
	addr := serveStream(t, up.URL, stall, Options{Metrics: NewMetrics(registry),
		Origin: origin.New(origin.Options{Metrics: origin.NewMetrics(registry)})})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /news/1.ts HTTP/1.1\r\nHost: x\r\n\r\n")
	began := time.Now()
	for b := make([]byte, 16<<10); time.Since(began) < 2*stall; time.Sleep(stall / 50) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("a slow listener is cut: %v", err)
		}
	}
	select {
	case <-let:
		t.Fatal("a slow listener's segment is let go")
	default:
	}
	select {
	case <-let:
	case <-time.After(10 * stall):
		t.Fatal("a listener who takes nothing still holds the origin")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "earshot_responses_cut_total" && f.GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Error("the cut is not counted")
		}
		if f.GetName() == "earshot_origin_fetches_total" {
			for _, m := range f.GetMetric() {
				if strings.Contains(m.String(), `"broken"`) && m.GetCounter().GetValue() != 0 {
					t.Error("the origin is blamed for it")
				}
			}
		}
	}
}

// TestNoStream: a path that is nobody's is refused in a way that scripts can read.
func TestNoStream(t *testing.T) {
	addr := serveStream(t, "http://127.0.0.1:1", time.Minute, Options{Origin: origin.New(origin.Options{})})
	res, err := http.Get("http://" + addr + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s, %v", res.Status, res.Header)
	}
}
