package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// doorOrigin is an origin that behaves, and remembers whatever reached it. Of HLS it has live channels (/live/<any>/) and one that is on
// demand (/vod/), of ICY as many mounts as are asked for.
type doorOrigin struct {
	good *goodOrigin
	hls  *httptest.Server
	icy  net.Listener

	mu   sync.Mutex
	seen []string // requests: the line and the head
}

func startDoorOrigin(t testing.TB) *doorOrigin {
	t.Helper()
	o := &doorOrigin{good: &goodOrigin{began: lived() - goodWindow*goodSegment}}
	o.hls = httptest.NewServer(o)
	t.Cleanup(o.hls.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o.icy = l
	go acceptAll(l, o.radio)
	return o
}

func (o *doorOrigin) note(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, text)
}

// heard is what was asked for so far.
func (o *doorOrigin) heard() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.seen...)
}

func (o *doorOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.note(r.Method + " " + r.RequestURI + " " + fmt.Sprint(r.Header))
	dir, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch dir {
	case "vod":
		o.vod(w, r, rest)
	case "live":
		_, rest, _ = strings.Cut(rest, "/")
		inside := r.Clone(r.Context())
		inside.URL.Path = "/" + rest
		o.good.ServeHTTP(w, inside)
	default:
		http.NotFound(w, r)
	}
}

// vodSegments are the segments of what is on demand, of ten seconds each.
const vodSegments = 60

func (o *doorOrigin) vod(w http.ResponseWriter, r *http.Request, name string) {
	switch name {
	case "master.m3u8":
		goodPlaylist(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=262144\nhi/index.m3u8\n")
	case "hi/index.m3u8":
		var b strings.Builder
		b.WriteString("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:10\n")
		for n := range vodSegments {
			fmt.Fprintf(&b, "#EXTINF:10,\n%d.ts\n", n)
		}
		b.WriteString("#EXT-X-ENDLIST\n")
		goodPlaylist(w, b.String())
	default:
		var n int64
		if _, err := fmt.Sscanf(name, "hi/%d.ts", &n); err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "video/mp2t")
		_, _ = w.Write(goodContent(n)) // an error means that the edge has gone
	}
}

// radio is a mount: frames in real time, whatever its path.
func (o *doorOrigin) radio(c net.Conn) {
	head, ok := readHead(c)
	if !ok {
		return
	}
	o.note(head)
	fmt.Fprint(c, "ICY 200 OK\r\ncontent-type: audio/mpeg\r\nicy-name: Door\r\n\r\n")
	_ = sendFrames(c, 100, time.Hour) // ends when the edge lets the source go
}

// readHead reads a request up to its blank line.
func readHead(c net.Conn) (string, bool) {
	var got strings.Builder
	b := make([]byte, 1024)
	for !strings.Contains(got.String(), "\r\n\r\n") {
		n, err := c.Read(b)
		if err != nil || got.Len() > 1<<20 {
			return "", false
		}
		got.Write(b[:n])
	}
	return got.String(), true
}

// live, vod and mount are entries of the configuration. more are further keys of the entry.
func (o *doorOrigin) live(group string, more ...string) string {
	return doorEntry("group: "+group, "path: /"+group+"/", "hls: '"+o.hls.URL+"/live/"+group+"/'", more)
}

func (o *doorOrigin) onDemand(group string, more ...string) string {
	return doorEntry("group: "+group, "path: /"+group+"/", "hls: '"+o.hls.URL+"/vod/'", more)
}

func (o *doorOrigin) mount(stream string, more ...string) string {
	return doorEntry("stream: "+stream, "path: /"+stream+".mp3", "icy: 'http://"+o.icy.Addr().String()+"/"+stream+"'", more)
}

func doorEntry(key, path, origin string, more []string) string {
	return "  - {" + strings.Join(append([]string{key, path, origin}, more...), ", ") + "}\n"
}
