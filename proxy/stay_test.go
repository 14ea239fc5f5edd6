package proxy

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"earshot/gate"
	"earshot/session"
)

// TestStayKeepsNoRequest: a listener stays for hours. What he asked with, a token of some kilobytes, is not held as long.
func TestStayKeepsNoRequest(t *testing.T) {
	const listeners = 60
	d := newDoorway(t, gate.Options{Limits: []gate.Limit{{Per: gate.PerUser, Max: 3}}}, byToken())
	d.listens(t, "first", "") // what the first request makes once does not count
	held := func(group, padding string) (each int) {
		before := heap()
		for i := range listeners / 2 {
			d.listens(t, fmt.Sprint(group, i), padding)
		}
		return (heap() - before) / (listeners / 2)
	}
	short := held("short", "")
	long := held("long", strings.Repeat("x", 6<<10))
	t.Logf("%d bytes for a listener, both ends of his connection; %d for one who came with 6 KiB more", short, long)
	if long-short > 2<<10 {
		t.Error("the 6 KiB are held")
	}
	if n := d.table.Len(); n != listeners+1 {
		t.Errorf("%d listen", n)
	}
}

// listens opens a connection that goes on until the test is over.
func (d *doorway) listens(t *testing.T, user, padding string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /live.mp3?%s=%s&token=%s&padding=%s HTTP/1.1\r\nHost: radio.example\r\n\r\n", "X-Playback-Session-Id", session.NewID(), doorToken(t, user), padding)
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c, head); err != nil || !strings.HasSuffix(string(head), " 200") {
		t.Fatalf("the answer is %q, %v", head, err)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC() // what pools held over the first is let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
