package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shoutcast is a server of Shoutcast 1 in its manners: its own status line, header fields without a space, HTML to browsers, streams that
// begin in the middle of a frame. It plays a recording of 128 kbit/s round and round, in real time.
type shoutcast struct {
	listener net.Listener
	audio    []byte
	began    time.Time
	conns    sync.WaitGroup
	done     chan struct{}

	mu        sync.Mutex
	agents    []string
	strangers int // requests of what it does not have, or by a browser
}

// Its head, as one was seen, with what a careless operator can paste into a form.
const shoutcastHead = "ICY 200 OK\r\n" +
	"icy-notice1:<BR>This stream requires <a href=\"http://www.winamp.com/\">Winamp</a><BR>\r\n" +
	"icy-notice2:SHOUTcast Distributed Network Audio Server/Linux v1.9.8<BR>\r\n" +
	"icy-name:Old\x07 Radio\x1b\x01\r\nicy-genre:Oldies\x00\r\nicy-url:http://radio.example/\r\n" +
	"content-type:audio/mpeg\r\nicy-pub:1\r\nicy-br:128\r\n"

const shoutcastTitle = "Don't Stop Me Now"

func startShoutcast(t testing.TB, audio []byte) *shoutcast {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &shoutcast{listener: l, audio: audio, began: time.Now().Add(-5 * time.Second), done: make(chan struct{})}
	s.conns.Go(s.accept)
	t.Cleanup(func() {
		close(s.done)
		l.Close()
		s.conns.Wait()
	})
	return s
}

func (s *shoutcast) url(path string) string { return "http://" + s.listener.Addr().String() + path }

func (s *shoutcast) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.conns.Go(func() {
			defer c.Close()
			s.serve(c)
		})
	}
}

func (s *shoutcast) serve(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // what follows fails if it cannot be set
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	has := slices.Contains([]string{"/;", "/;stream.nsv"}, r.URL.Path)
	browser := strings.HasPrefix(r.UserAgent(), "Mozilla")
	s.note(r.UserAgent(), !has || browser)
	switch {
	case browser:
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\ncontent-type:text/html\r\n\r\n<HTML><HEAD><TITLE>SHOUTcast Administrator</TITLE></HEAD></HTML>")
	case !has:
		fmt.Fprint(c, "ICY 404 Resource Not Found\r\n")
	default:
		s.stream(c, r.Header.Get("Icy-MetaData") == "1")
	}
}

func (s *shoutcast) note(agent string, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = append(s.agents, agent)
	if stranger {
		s.strangers++
	}
}

// at is how many bytes it has played by now.
func (s *shoutcast) at() int { return int(time.Since(s.began).Seconds() * byteRate) }

func (s *shoutcast) stream(c net.Conn, metadata bool) {
	head := shoutcastHead
	if metadata {
		head += fmt.Sprintf("icy-metaint:%d\r\n", sourceInt)
	}
	if _, err := fmt.Fprint(c, head+"\r\n"); err != nil {
		return
	}
	tick := time.NewTicker(70 * time.Millisecond)
	defer tick.Stop()
	at := max(0, s.at()-2*byteRate)
	out := interleaver{left: sourceInt}
	for {
		for until := s.at(); at < until; at++ {
			b := s.audio[at%len(s.audio) : at%len(s.audio)+1]
			if metadata {
				out.add(b, shoutcastTitle)
			} else {
				out.buf = append(out.buf, b...)
			}
		}
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) // else a write may wait for ever, and the test with it
		if _, err := c.Write(out.buf); err != nil {
			return
		}
		out.buf = out.buf[:0]
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
	}
}
