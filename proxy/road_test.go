package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"earshot/gate"
	"earshot/listen"
	"earshot/origin"
	"earshot/session"
)

// road is a data plane in front of an origin that a test writes, with the book it counts in.
type road struct {
	came atomic.Int64 // requests, so far

	t      *testing.T
	up     string // the origin
	url    string
	addr   string
	book   *listen.Book
	signer *session.Signer
	opt    Options                                 // besides what front sets
	wrap   func(net.Listener, *Proxy) net.Listener // nil: Listen
}

const segmentSize = 400_000

// newRoad serves /news/ from an origin with these handlers by path; segments of ten seconds are served without being named.
func newRoad(t *testing.T, paths map[string]http.HandlerFunc) *road {
	t.Helper()
	r := &road{t: t}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if h, ok := paths[req.URL.Path]; ok {
			h(w, req)
			return
		}
		if strings.HasSuffix(req.URL.Path, ".ts") {
			http.ServeContent(w, req, "x.ts", time.Time{}, bytes.NewReader(make([]byte, segmentSize)))
			return
		}
		http.NotFound(w, req)
	}))
	t.Cleanup(up.Close)
	r.up = up.URL
	r.front(r.up)
	return r
}

// cold puts an edge that has seen nothing before the origin.
func (r *road) cold() {
	r.t.Helper()
	r.front(r.up)
}

// front puts another edge with the same secrets before the same origin.
func (r *road) front(up string) {
	r.t.Helper()
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: make([]byte, 32)}})
	if err != nil {
		r.t.Fatal(err)
	}
	spill, err := listen.OpenSpill(filepath.Join(r.t.TempDir(), "spill"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.signer = signer
	r.book = listen.NewBook(listen.Options{Edge: "e", Recorder: listen.NewRecorder(nil, spill, nil, nil)}, "test")
	client := origin.New(origin.Options{})
	opt := r.opt
	opt.Streams, opt.Signer, opt.Book = []*Stream{{Group: "news", Path: "/news/", HLS: []string{up + "/"}}}, signer, r.book
	opt.Gate, opt.Origin = gate.New(gate.Options{Table: session.NewTable(100)}), client
	p := New(opt)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	listening := Listen(l)
	if r.wrap != nil {
		listening = r.wrap(l, p)
	}
	counted := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.came.Add(1)
		p.ServeHTTP(w, req)
	})
	server := &http.Server{Handler: counted, ConnContext: ConnContext, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listening) // always returns an error, of Close
	}()
	running, stop := context.WithCancel(context.Background())
	settled := make(chan struct{})
	book := r.book
	go func() { defer close(settled); book.Run(running) }()
	r.t.Cleanup(func() {
		server.Close()
		<-done
		p.Close()
		client.Close()
		stop()
		<-settled
	})
	r.addr = l.Addr().String()
	r.url = "http://" + r.addr + "/news/"
}

func (r *road) get(path string) (*http.Response, string) {
	r.t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(body)
}

// uris are the URI lines of a playlist.
func uris(text string) (out []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// grantOf reads the grant in a URI.
func (r *road) grantOf(uri string) session.Grant {
	r.t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		r.t.Fatal(err)
	}
	q := u.Query()
	g, err := r.signer.Verify(q.Get("earshot"), session.ID(q.Get("X-Playback-Session-Id")))
	if err != nil {
		r.t.Fatalf("%s: %v", uri, err)
	}
	return g
}

// heard waits until all sent to the one session is settled, and returns it.
func (r *road) heard() listen.Snapshot {
	r.t.Helper()
	var s listen.Snapshot
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n := 0
		r.book.Each(func(a *listen.Account) bool { n++; s = a.Snapshot(); return true })
		if n == 1 && s.Transfers == 0 {
			return s
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d sessions, the last %+v", n, s)
		}
	}
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

func media(n int) string {
	return "#EXTM3U\n#EXT-X-TARGETDURATION:10\n" + numbered(n)
}

func numbered(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf("#EXTINF:10,\n%d.ts\n", i)
	}
	return s
}

const masterText = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"
v.m3u8
`

var uriAttribute = regexp.MustCompile(`URI="([^"]*)"`)

// TestRoles: a rendition is one whatever directives its URL carries, wherever the origin redirects, and on an edge that has
// not seen the master.
func TestRoles(t *testing.T) {
	paths := map[string]http.HandlerFunc{"/master.m3u8": text(masterText), "/v.m3u8": text(media(3)), "/moved.m3u8": text(media(3)),
		"/audio.m3u8": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/moved.m3u8", http.StatusFound) }}
	r := newRoad(t, paths)
	_, master := r.get("master.m3u8")
	audio, video := uriAttribute.FindStringSubmatch(master)[1], uris(master)[0]
	if g := r.grantOf(audio); g != r.grantOf(video) || g.Role != session.RoleMaster || g.Playlist != "master.m3u8" {
		t.Errorf("grants of one master differ: %+v", g)
	}
	for _, suffix := range []string{"", "&_HLS_msn=3", "&_HLS_msn=3&_HLS_part=1"} {
		_, list := r.get(audio + suffix)
		if g := r.grantOf(uris(list)[0]); g.Role != 1 || g.Playlist != "audio.m3u8" {
			t.Errorf("rendition with %q: %+v", suffix, g)
		}
	}
	_, list := r.get(video)
	if g := r.grantOf(uris(list)[0]); g.Role != 0 || g.Playlist != "v.m3u8" {
		t.Errorf("variant: %+v", g)
	}
}

// TestQueryIsNoName: what differs between listeners in a query is no other playlist; where the master tells variants apart by it, it is.
func TestQueryIsNoName(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{
		"/master.m3u8": text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8?q=lo\n#EXT-X-STREAM-INF:BANDWIDTH=2\nv.m3u8?q=hi\n"), "/v.m3u8": text(media(3))})
	_, master := r.get("master.m3u8")
	_, list := r.get(uris(master)[1])
	if g := r.grantOf(uris(list)[0]); !g.ByQuery || g.Playlist != "v.m3u8?q=hi" {
		t.Errorf("%+v", g)
	}
	_, list = r.get("v.m3u8?token=1")
	if g := r.grantOf(uris(list)[0]); g.ByQuery || g.Playlist != "v.m3u8?token=1" || lineName(g.Playlist, g.ByQuery) != "v.m3u8" {
		t.Errorf("%+v", g)
	}
}

// TestChunkedAndCut: of a segment whose length nobody told and that is cut off, no more time counts than what was seen of others allows.
func TestChunkedAndCut(t *testing.T) {
	chunk := func(n int, abort bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for range n / 40_000 {
				w.Write(make([]byte, 40_000))
				w.(http.Flusher).Flush()
			}
			if abort {
				panic(http.ErrAbortHandler)
			}
		}
	}
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(media(4)),
		"/0.ts": chunk(40_000, true), "/1.ts": chunk(segmentSize, false), "/2.ts": chunk(80_000, true)})
	_, list := r.get("v.m3u8")
	segments := uris(list)
	cut := func(uri string) {
		resp, err := http.Get(r.url + uri)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("%d bytes that look whole", n)
		}
	}
	cut(segments[0])
	if s := r.heard(); s.Bytes != 40_000 || s.Media != 0 {
		t.Errorf("cut off before anything was known: %d bytes, %v", s.Bytes, s.Media)
	}
	r.get(segments[1])
	if s := r.heard(); s.Media != 10*time.Second {
		t.Errorf("a whole one: %v", s.Media)
	}
	cut(segments[2])
	if s := r.heard(); s.Bytes != 40_000+segmentSize+80_000 || s.Media != 12*time.Second {
		t.Errorf("a fifth of one: %d bytes, %v", s.Bytes, s.Media)
	}
}

// TestPipelined: who asks for three segments at once, reads little and resets has not received them.
func TestPipelined(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(media(4))})
	_, list := r.get("v.m3u8")
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetReadBuffer(2048)
	for _, uri := range uris(list)[:3] {
		fmt.Fprintf(c, "GET /news/%s HTTP/1.1\r\nHost: x\r\n\r\n", uri)
	}
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if s := r.heard(); s.Bytes > segmentSize/2 {
		t.Errorf("%d bytes counted; the client's buffer holds a few kB", s.Bytes)
	}
}

// TestOddRequests: a body is refused without being waited for; a range beyond the end is answered and the connection lives; HEAD and OPTIONS
// count nothing.
func TestOddRequests(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(media(4))})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(c, "GET /news/0.ts HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatalf("a request with a body: %v, %v", resp, err)
	}
	for _, what := range []struct{ method, header, value string }{{"GET", "Range", "bytes=999999-"}, {"HEAD", "", ""}, {"OPTIONS", "", ""}} {
		req, err := http.NewRequest(what.method, r.url+"0.ts", nil)
		if err != nil {
			t.Fatal(err)
		}
		if what.header != "" {
			req.Header.Set(what.header, what.value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Errorf("%s: %s, %v", what.method, resp.Status, err)
		}
	}
	if n := r.book.Len(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestColdEdge: a segment is counted in time on an edge that never saw its playlist, which the origin gives late.
func TestColdEdge(t *testing.T) {
	late := make(chan struct{})
	first := true
	paths := map[string]http.HandlerFunc{"/v.m3u8": func(w http.ResponseWriter, r *http.Request) {
		if !first {
			<-late
		}
		first = false
		io.WriteString(w, media(4))
	}}
	r := newRoad(t, paths)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if h, ok := paths[req.URL.Path]; ok {
			h(w, req)
			return
		}
		w.Write(make([]byte, segmentSize))
	}))
	defer up.Close()
	_, list := r.get("v.m3u8")
	r.front(up.URL) // a cold one
	r.get(uris(list)[0])
	var s listen.Snapshot
	for deadline := time.Now().Add(5 * time.Second); s.Bytes < segmentSize && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r.book.Each(func(a *listen.Account) bool { s = a.Snapshot(); return true })
	}
	if s.Bytes != segmentSize || s.Media != 0 {
		t.Errorf("before the playlist: %d bytes, %v", s.Bytes, s.Media)
	}
	close(late)
	if s := r.heard(); s.Bytes != segmentSize || s.Media != 10*time.Second {
		t.Errorf("after it: %d bytes, %v", s.Bytes, s.Media)
	}
}
