package e2e

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// TestBadInputAborts: five thousand requests of every kind are broken off, by a reset and by a hang-up, before and within the answer.
// Nothing of them is left.
func TestBadInputAborts(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	v := startVillain(t, map[string]act{"slow": slowBody})
	e := startEdgeAt(t, edgeConfig, t.TempDir(), g.streams()+hlsStream("evil", "/evil/", "http://"+v.host+"/"), "new_sessions_per_address: 100000\n")
	c := startCrowd(t, e)
	goroutines, files := e.value(t, "go_goroutines"), e.value(t, "process_open_fds")
	paths := []string{"/good/master.m3u8", "/good/hi/index.m3u8", "/good/hi/1.ts", "/radio.mp3", "/evil/slow/1.ts", "/evil/slow/x.m3u8"}
	const aborts, workers = 5000, 16
	atOneTime(workers, func(worker int) {
		for n := range aborts / workers {
			abort(t, e, paths[(n+worker)%len(paths)], n)
		}
	})
	eventually(t, 25*time.Second, "what the aborted requests held is let go", func() error {
		// Idle connections to origins stay for a while: one for each that was asking at a time, with two goroutines.
		nowG, nowF := e.value(t, "go_goroutines"), e.value(t, "process_open_fds")
		if nowG > goroutines+2*workers+20 || nowF > files+workers+20 {
			return fmt.Errorf("%v goroutines and %v files, %v and %v before", nowG, nowF, goroutines, files)
		}
		return nil
	})
	t.Logf("%v goroutines and %v files before, %v and %v after", goroutines, files, e.value(t, "go_goroutines"), e.value(t, "process_open_fds"))
	c.undisturbed(t)
	e.unharmed(t, 250<<20)
}

// slowBody sends a little, and the rest after a while.
func slowBody(c net.Conn, _ *http.Request) {
	fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n#EXTM3U\n")
	time.Sleep(2 * time.Second)
}

// abort sends a request and leaves: at once or after the first bytes of the answer, with a reset or without.
func abort(t testing.TB, e *edge, path string, n int) {
	c := rawDialQuietly(e)
	if c == nil {
		t.Error("the edge takes no connections")
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nUser-Agent: abort-%d\r\n\r\n", path, n%50)
	if n%2 == 0 {
		b := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, _ = c.Read(b) // whether there is an answer is all the same
	}
	if tcp, ok := c.(*net.TCPConn); ok && n%3 == 0 {
		_ = tcp.SetLinger(0)
	}
	runtime.Gosched()
}

// TestBadInputSlowloris: connections that say nothing, or never finish their requests, are closed; those who have finished theirs
// do not wait for them.
func TestBadInputSlowloris(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdge(t, g.streams())
	c := startCrowd(t, e)
	files := e.value(t, "process_open_fds")
	const slow = 300
	began := time.Now()
	atOneTime(slow, func(n int) { dawdle(t, e, n) })
	t.Logf("%d slow connections were closed within %v", slow, time.Since(began).Round(time.Second))
	eventually(t, 10*time.Second, "their descriptors are closed", func() error {
		if now := e.value(t, "process_open_fds"); now > files+20 {
			return fmt.Errorf("%v, and %v before", now, files)
		}
		return nil
	})
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
}

// dawdle sends a byte of a request now and then until the edge has had enough.
func dawdle(t testing.TB, e *edge, n int) {
	c := rawDialQuietly(e)
	if c == nil {
		t.Error("the edge takes no connections")
		return
	}
	defer c.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b := make([]byte, 512)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}()
	if n%3 > 0 {
		fmt.Fprint(c, "GET /good/master.m3u8 HTTP/1.1\r\nHost: x\r\n")
	}
	for end := time.After(25 * time.Second); ; {
		select {
		case <-gone:
			return
		case <-end:
			t.Error("a connection that does not finish its request is still open after 25 s")
			return
		case <-time.After(time.Second):
			if n%3 > 1 {
				fmt.Fprint(c, "X: y\r\n")
			}
		}
	}
}

func rawDialQuietly(e *edge) net.Conn {
	c, err := net.DialTimeout("tcp", e.listen[len("http://"):], 20*time.Second)
	if err != nil {
		return nil
	}
	return c
}
