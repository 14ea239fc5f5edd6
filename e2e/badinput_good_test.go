package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// goodOrigin is an origin that behaves: a live HLS group and an ICY mount, both of which say with each piece which one it is, so that a
// listener notices whatever is missing.
type goodOrigin struct {
	hls   *httptest.Server
	icy   net.Listener
	began time.Duration // lived: while this machine stands still there is nothing new
}

const (
	goodSegment = 500 * time.Millisecond
	goodWindow  = 40
	goodBytes   = 16 << 10 // of a segment

	// An MP3 frame at 128 kbit/s and 44.1 kHz, not padded: header, its number in decimal, zeros.
	frameBytes    = 417
	frameDigits   = 12
	frameDuration = 1152 * time.Second / 44100
)

var frameHead = []byte{0xff, 0xfb, 0x90, 0x00}

func startGood(t testing.TB) *goodOrigin {
	t.Helper()
	g := &goodOrigin{began: lived() - goodWindow*goodSegment}
	g.hls = httptest.NewServer(g)
	t.Cleanup(g.hls.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g.icy = l
	go acceptAll(l, g.radio)
	return g
}

// streams are the configuration's entries for it.
func (g *goodOrigin) streams() string {
	return hlsStream("good", "/good/", g.hls.URL+"/") + icyStream("radio", "/radio.mp3", "http://"+g.icy.Addr().String()+"/radio.mp3")
}

// acceptAll serves connections until the listener is closed.
func acceptAll(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

func (g *goodOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch name := r.URL.Path; {
	case name == "/master.m3u8":
		goodPlaylist(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=262144\nhi/index.m3u8\n")
	case name == "/hi/index.m3u8":
		goodPlaylist(w, g.window())
	default:
		var n int64
		if _, err := fmt.Sscanf(name, "/hi/%d.ts", &n); err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "video/mp2t")
		_, _ = w.Write(goodContent(n)) // an error means that the edge has gone
	}
}

func goodPlaylist(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", hlsType)
	_, _ = w.Write([]byte(text)) // an error means that the edge has gone
}

func (g *goodOrigin) window() string {
	last := int64((lived() - g.began) / goodSegment)
	first := last - goodWindow + 1
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n", first)
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "#EXTINF:%.3f,\n%d.ts\n", goodSegment.Seconds(), n)
	}
	return b.String()
}

// goodContent is the body of segment n.
func goodContent(n int64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%016d", n), goodBytes/16)
}

// radio sends frames in real time, the first few seconds at once.
func (g *goodOrigin) radio(c net.Conn) {
	if !readRequest(c) {
		return
	}
	fmt.Fprint(c, "ICY 200 OK\r\ncontent-type: audio/mpeg\r\nicy-name: Good Radio\r\n\r\n")
	_ = sendFrames(c, 100, time.Hour) // ends when the edge lets the source go
}

// sendFrames sends numbered frames for a time, so many of them ahead.
func sendFrames(c net.Conn, ahead int64, limit time.Duration) error {
	began := time.Now()
	for sent := int64(0); time.Since(began) < limit; time.Sleep(50 * time.Millisecond) {
		for due := ahead + int64(time.Since(began)/frameDuration); sent < due; sent++ {
			if _, err := c.Write(goodFrame(sent)); err != nil {
				return err
			}
		}
	}
	return nil
}

// goodFrame is the n-th frame of the mount.
func goodFrame(n int64) []byte {
	f := make([]byte, frameBytes)
	copy(f[copy(f, frameHead):], fmt.Sprintf("%0*d", frameDigits, n))
	return f
}

// readRequest reads up to the blank line.
func readRequest(c net.Conn) bool {
	var got []byte
	b := make([]byte, 1024)
	for !bytes.Contains(got, []byte("\r\n\r\n")) {
		n, err := c.Read(b)
		if err != nil || len(got) > 1<<20 {
			return false
		}
		got = append(got, b[:n]...)
	}
	return true
}
