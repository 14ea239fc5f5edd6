package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/relay"
)

// heard are the sessions of a station: in the live table, and with an account.
func (s *station) heard() string { return fmt.Sprint(s.table.Len(), " live, ", s.book.Len(), " open") }

// Who finds a mount full is refused, or sent elsewhere, and leaves nothing behind.
func TestFullMount(t *testing.T) {
	up := broadcast(t, nil)
	full, over, many := tuned("a", "/a.mp3", up+"/a"), tuned("b", "/b.mp3", up+"/b"), named("m-${n}", `^/m/(?P<n>[^/]+)$`, up+"/${n}")
	for _, m := range []*Stream{full, over, many} {
		m.Mount.MaxListeners = 1
	}
	over.Overflow, many.Overflow = "https://other.example/b.mp3?from=here", "https://other.example/${n}?n=${n}"
	s := newStation(t, Options{}, nil, full, over, many)
	for _, path := range []string{"/a.mp3", "/b.mp3", "/m/d&e"} {
		defer s.tune(path)()
	}
	before := s.heard()
	resp, body := s.ask("GET", "/a.mp3")
	var p map[string]any
	if err := json.Unmarshal([]byte(body), &p); err != nil || resp.StatusCode != http.StatusForbidden || p["code"] != "too-many-sessions" {
		t.Errorf("%s %s", resp.Status, body)
	}
	for path, want := range map[string]string{
		"/b.mp3?token=secret": "https://other.example/b.mp3?from=here", // what is the listener's own goes to nobody else
		"/m/d&e":              "https://other.example/d&e?n=d%26e",
	} {
		resp, _ = s.ask("GET", path)
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != want || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, %v", path, resp.Status, resp.Header)
		}
	}
	if got := s.heard(); got != before {
		t.Errorf("%s, before %s", got, before)
	}
	lines := s.lines(s.log, 3)
	if !strings.Contains(lines[0], `" 403 `) || !strings.Contains(lines[1], `" 302 `) {
		t.Errorf("%s", lines)
	}
}

// Many who wait for the source at once find one place. All but one are told so, each in an answer of his own, although their connections
// had been taken over already.
func TestLastPlace(t *testing.T) {
	for _, c := range []struct {
		name     string
		overflow string
		status   string
		tls      bool
	}{
		{"refused", "", "403 Forbidden", false},
		{"sent elsewhere", "http://other.example/a.mp3", "302 Found", false},
		{"refused over HTTP/2", "", "403 Forbidden", true},
		{"sent elsewhere over HTTP/2", "http://other.example/a.mp3", "302 Found", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready := make(chan struct{})
			one := tuned("a", "/a.mp3", broadcast(t, ready)+"/a")
			one.Mount.MaxListeners, one.Overflow = 1, c.overflow
			wrap, scheme := overTLS, "https"
			if !c.tls {
				wrap, scheme = nil, "http"
			}
			s := newStation(t, Options{}, wrap, one)
			client := http2Client(t)
			if resp, err := client.Head(scheme + "://" + s.addr + "/a.mp3"); err != nil { // the connection that all share over HTTP/2
				t.Fatal(err)
			} else {
				resp.Body.Close()
			}
			const all = 40
			var told sync.WaitGroup
			var mu sync.Mutex
			count := make(map[string]int)
			leave := make(chan struct{})
			for range all {
				told.Go(func() {
					resp, err := client.Get(scheme + "://" + s.addr + "/a.mp3")
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					mu.Lock()
					count[strings.TrimSpace(resp.Status)]++
					mu.Unlock()
					if resp.StatusCode == http.StatusOK {
						<-leave
						return
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil || !strings.Contains(string(body), `"code":"too-many-sessions"`) ||
						resp.Header.Get("Location") != c.overflow || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
						t.Errorf("%v, %v: %s", err, resp.Header, body)
					}
				})
			}
			time.Sleep(300 * time.Millisecond) // nobody counts who waits; were it too short the test would be weaker, not wrong
			close(ready)
			s.eventually("all are told", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return count["200 OK"]+count[c.status] == all
			})
			if count["200 OK"] != 1 {
				t.Errorf("%v", count)
			}
			s.eventually("one session, not "+s.heard(), func() bool { return s.heard() == "1 live, 1 open" })
			s.lines(s.log, all) // the HEAD's, and those of all but one
			close(leave)
			told.Wait()
		})
	}
}

// GET and HEAD say the same of a mount: what Icecast says of it, and CORS.
func TestMountHeaders(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	defer s.tune("/a.mp3")()
	heads := make(map[string]map[string]string)
	for _, method := range []string{"GET", "HEAD"} {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%s /a.mp3 HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n", method)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		text := make([]byte, 0, 4096)
		for b := make([]byte, 1); !strings.HasSuffix(string(text), "\r\n\r\n"); text = append(text, b[0]) {
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatalf("%v after %s", err, text)
			}
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\r\n")
		if lines[0] != "HTTP/1.0 200 OK" {
			t.Errorf("%s: %s", method, lines[0])
		}
		heads[method] = make(map[string]string)
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ": ")
			heads[method][name] = value
		}
		delete(heads[method], "Date")
	}
	want := map[string]string{"Server": "Earshot/test", "Connection": "close", "Content-Type": "audio/mpeg", "Cache-Control": "no-cache, no-store",
		"Expires": longAgo, "Pragma": "no-cache", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": corsExpose,
		"Timing-Allow-Origin": "*", "icy-metaint": "16000", "icy-name": "A & \"B\" <\xe9>", "icy-genre": "Talk", "icy-br": "128, 128",
		"icy-description": "]]></annotation>", "icy-url": "http://radio.example/?a&b", "icy-pub": "0",
		"ice-audio-info": "ice-samplerate=44100;ice-bitrate=128;ice-channels=2;listenurl=7"}
	for method, got := range heads {
		for name, value := range want {
			if got[name] != value && (method != "HEAD" || name != "Connection") { // which HTTP/1.0 closes anyway
				t.Errorf("%s: %s is %q, want %q", method, name, got[name], value)
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok && (method != "HEAD" || name != "Connection") {
				t.Errorf("%s: also %s: %s", method, name, got[name])
			}
		}
	}
}

// Ogg carries its titles itself: no block stands in it, whoever asks for some.
func TestNoBlocksInOgg(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.ogg", "http://127.0.0.1:1/"), tuned("b", "/b.mp3", "http://127.0.0.1:1/"))
	for path, want := range map[string]string{"/a.ogg": "", "/b.mp3": "16000"} {
		resp, _ := s.ask("HEAD", path, "Icy-MetaData", "1")
		if got := resp.Header.Get("Icy-Metaint"); got != want {
			t.Errorf("%s: icy-metaint %q, want %q", path, got, want)
		}
	}
	for kind, want := range map[string]bool{"application/ogg": true, "Audio/Ogg; codecs=opus": true, "video/webm": true, "audio/mpeg": false, "audio/flac": false, "": false} {
		if (relay.Info{ContentType: kind}).Metadata() == want {
			t.Errorf("%s: %v", kind, !want)
		}
	}
}

// A mount that is always on has a hub before anybody listens; a pattern's has none.
func TestConnect(t *testing.T) {
	on, off, many := tuned("on", "/on", "http://127.0.0.1:1/"), tuned("off", "/off", "http://127.0.0.1:1/"), named("m", "^/m$", "http://127.0.0.1:1/")
	on.Mount.AlwaysOn, many.Mount.AlwaysOn = true, true
	s := newStation(t, Options{}, nil, on, off, many)
	s.proxy.Connect()
	for key, want := range map[string]bool{"on": true, "off": false, "m": false} {
		if _, got := s.relay.Find(key); got != want {
			t.Errorf("%s: %v", key, got)
		}
	}
}
