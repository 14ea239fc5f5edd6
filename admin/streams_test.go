package admin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/listen"
	"earshot/relay"
	"earshot/session"
)

// air is a relay before a source of MP3, and who hears it.
type air struct {
	t      *testing.T
	relay  *relay.Relay
	origin string
}

func newAir(t *testing.T) *air {
	t.Helper()
	a := &air{t: t, relay: relay.New(relay.Options{Linger: time.Hour})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.origin = "http://" + ln.Addr().String() + "/"
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() { serveAir(c) })
		}
	})
	t.Cleanup(func() {
		if err := a.relay.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		ln.Close()
		served.Wait()
	})
	return a
}

func serveAir(c net.Conn) {
	defer c.Close()
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: Kä\r\nicy-br: 128\r\nicy-metaint: 417\r\n\r\n")
	frame := append([]byte{0xff, 0xfb, 0x90, 0x64}, bytes.Repeat([]byte{0x55}, 413)...)
	title := append([]byte{2}, []byte("StreamTitle='One - <two>';      ")...)
	c.Write(append(append(frame, title...), bytes.Repeat(append(frame, 0), 20)...)) // if the edge has gone, the next line returns
	_, _ = io.Copy(io.Discard, c)
}

// hear lets a session hear a mount over a connection of its own. It returns the listener's end.
func (a *air) hear(e *edge, key, id string) net.Conn {
	a.t.Helper()
	hub := a.relay.Hub(relay.Mount{Key: key, Origins: []string{a.origin}})
	if _, err := hub.Open(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { far.Close() })
	near, err := ln.Accept()
	if err != nil {
		a.t.Fatal(err)
	}
	w := who(session.ICY, key, id)
	w.IP, w.UserAgent, w.UserID = "192.0.2.7", "Tuner", "ann"
	if err := hub.Join(relay.Join{Conn: near, Account: e.book.Account(w), Stream: key}); err != nil {
		a.t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 4000)); err != nil {
		a.t.Fatal(err)
	}
	return far
}

type streamsAnswer struct {
	Streams []map[string]any
	Next    string
}

type hearersAnswer struct {
	Listeners []map[string]any
	Next      string
}

// All mounts are listed: those nobody has asked for, those on air, and those of a pattern.
func TestStreams(t *testing.T) {
	a := newAir(t)
	e := newEdge(Options{Relay: a.relay, Mounts: []Mount{{"kpcc", "/kpcc.mp3"}, {"quiet", "/quiet.mp3"}}})
	a.hear(e, "kpcc", "one")
	a.relay.Hub(relay.Mount{Key: "radio/x", Transient: true})
	got := read[streamsAnswer](t, e, "/admin/v1/streams")
	if len(got.Streams) != 3 || got.Next != "" {
		t.Fatalf("%v", got)
	}
	on, quiet, some := got.Streams[0], got.Streams[1], got.Streams[2]
	for key, want := range map[string]any{"stream": "kpcc", "path": "/kpcc.mp3", "state": "up", "listeners": 1., "listener_peak": 1.,
		"title": "One - <two>", "origin": 1., "content_type": "audio/mpeg", "codec": "mp3"} {
		if on[key] != want {
			t.Errorf("%s is %v, want %v", key, on[key], want)
		}
	}
	if on["since"] == nil || on["received_bytes"].(float64) < 5000 {
		t.Errorf("%v", on)
	}
	want := map[string]any{"stream": "quiet", "path": "/quiet.mp3", "state": "idle", "since": nil, "listeners": 0., "listener_peak": 0., "title": "",
		"origin": 0., "connected": nil, "content_type": "", "codec": "", "received_bytes": 0.}
	if !reflect.DeepEqual(quiet, want) {
		t.Errorf("got  %v\nwant %v", quiet, want)
	}
	if some["stream"] != "radio/x" || some["since"] == nil {
		t.Errorf("%v", some)
	}
	var paged []string
	for next := ""; ; {
		p := read[streamsAnswer](t, e, "/admin/v1/streams?limit=1&after="+next)
		for _, s := range p.Streams {
			paged = append(paged, s["stream"].(string))
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if strings.Join(paged, " ") != "kpcc quiet radio/x" {
		t.Errorf("paged: %v", paged)
	}
}

func TestStream(t *testing.T) {
	a := newAir(t)
	e := newEdge(Options{Relay: a.relay, Mounts: []Mount{{"a/b c", "/a.mp3"}, {"quiet", "/quiet.mp3"}}})
	a.hear(e, "a/b c", "one")
	got := read[map[string]any](t, e, "/admin/v1/streams/a%2Fb%20c")
	if got["stream"] != "a/b c" || got["path"] != "/a.mp3" || !reflect.DeepEqual(got["source"], map[string]any{"icy-name": "Kä", "icy-br": "128"}) {
		t.Errorf("%v", got)
	}
	for _, key := range []string{"titles", "held_seconds", "held_bytes", "state"} {
		if got[key] == nil {
			t.Errorf("no %s in %v", key, got)
		}
	}
	if got := read[map[string]any](t, e, "/admin/v1/streams/quiet"); got["state"] != "idle" || len(got["titles"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
	url := e.serve(t)
	for _, path := range []string{"none", "none/listeners", "a/b%20c", "", "%ff"} {
		resp, body := get(t, "GET", url+"/admin/v1/streams/"+path)
		wantProblem(t, resp, body, http.StatusNotFound, "not-found")
	}
	resp, body := get(t, "GET", url+"/admin/v1/streams/quiet?limit=1")
	wantProblem(t, resp, body, http.StatusBadRequest, "bad-query")
	if !strings.Contains(body, `there is no parameter \"limit\": this path has none`) {
		t.Error(body)
	}
	resp, body = get(t, "POST", url+"/admin/v1/streams/quiet")
	wantProblem(t, resp, body, http.StatusMethodNotAllowed, "method-not-allowed")
}

// A session is one row, by however many connections it hears the mount.
func TestStreamListeners(t *testing.T) {
	a := newAir(t)
	e := newEdge(Options{Relay: a.relay, Mounts: []Mount{{"quiet", "/quiet.mp3"}}})
	for _, id := range []string{"b", "a/1", "b"} {
		a.hear(e, "kpcc", id)
	}
	got := read[hearersAnswer](t, e, "/admin/v1/streams/kpcc/listeners")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if len(got.Listeners) != 2 {
			t.Fatalf("%v", got)
		}
		counted := got.Listeners[0]["bytes"].(float64) >= 4000 && got.Listeners[1]["bytes"].(float64) >= 8000
		if counted || time.Now().After(deadline) { // what is written is counted just after
			break
		}
		got = read[hearersAnswer](t, e, "/admin/v1/streams/kpcc/listeners")
	}
	first, both := got.Listeners[0], got.Listeners[1]
	if first["session_id"] != "a/1" || first["ip"] != "192.0.2.7" || first["user_agent"] != "Tuner" || first["user_id"] != "ann" ||
		first["connections"] != 1. || first["bytes"].(float64) < 4000 || first["behind_seconds"] == nil || first["leaving"] != false {
		t.Errorf("%v", first)
	}
	if both["session_id"] != "b" || both["connections"] != 2. || both["bytes"].(float64) < 8000 {
		t.Errorf("%v", both)
	}
	page := read[hearersAnswer](t, e, "/admin/v1/streams/kpcc/listeners?limit=1")
	next := read[hearersAnswer](t, e, "/admin/v1/streams/kpcc/listeners?limit=1&after="+page.Next)
	if len(page.Listeners) != 1 || len(next.Listeners) != 1 || next.Listeners[0]["session_id"] != "b" || next.Next != "" {
		t.Errorf("%v then %v", page, next)
	}
	if none := read[hearersAnswer](t, e, "/admin/v1/streams/quiet/listeners"); len(none.Listeners) != 0 {
		t.Errorf("%v", none)
	}
}

// DELETE ends a session's connections to the mount, and nobody else's.
func TestKick(t *testing.T) {
	a := newAir(t)
	e := newEdge(Options{Relay: a.relay, Mounts: []Mount{{"quiet", "/quiet.mp3"}}})
	kicked, stays := a.hear(e, "kpcc", "a/1"), a.hear(e, "kpcc", "b")
	url := e.serve(t)
	for _, path := range []string{"/admin/v1/streams/kpcc/listeners/none", "/admin/v1/streams/none/listeners/b", "/admin/v1/streams/quiet/listeners/b"} {
		resp, body := get(t, "DELETE", url+path)
		wantProblem(t, resp, body, http.StatusNotFound, "not-found")
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
		resp, body := get(t, method, url+"/admin/v1/streams/kpcc/listeners/b")
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "DELETE" {
			t.Errorf("%s: %s %s", method, resp.Status, body)
		}
	}
	if resp, body := get(t, "DELETE", url+"/admin/v1/streams/kpcc/listeners/a%2F1"); resp.StatusCode != http.StatusNoContent || body != "" {
		t.Fatalf("%s %s", resp.Status, body)
	}
	kicked.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, kicked); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("not ended: %v", err)
	}
	hub, _ := a.relay.Find("kpcc")
	for deadline := time.Now().Add(10 * time.Second); hub.Status().Listeners != 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d listeners", hub.Status().Listeners)
		}
	}
	if hub.End("b", listen.Kicked) != 1 {
		t.Error("the other has gone too")
	}
	stays.Close()
}

// What changes something is never done for another site's page, nor for who has no token from elsewhere.
func TestChangesAreGuarded(t *testing.T) {
	const path = "/admin/v1/streams/kpcc/listeners/a"
	for _, c := range []struct {
		name, token, from, host string
		fields                  []string
		status                  int
		code                    string
	}{
		{"plain", "", "127.0.0.1:9", "127.0.0.1:8081", nil, 404, "not-found"},
		{"localhost", "", "[::1]:9", "localhost:8081", nil, 404, "not-found"},
		{"IPv6", "", "[::1]:9", "[::1]:8081", nil, 404, "not-found"},
		{"own page", "", "127.0.0.1:9", "127.0.0.1:8081", []string{"Origin", "http://127.0.0.1:8081"}, 404, "not-found"},
		{"own page, new browser", "", "127.0.0.1:9", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "same-origin"}, 404, "not-found"},
		{"other page", "", "127.0.0.1:9", "127.0.0.1:8081", []string{"Origin", "http://evil.example"}, 403, "cross-site"},
		{"other page's sandbox", "", "127.0.0.1:9", "127.0.0.1:8081", []string{"Origin", "null"}, 403, "cross-site"},
		{"other page, new browser", "", "127.0.0.1:9", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross-site"},
		{"other port of this host", "", "127.0.0.1:9", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "same-site"}, 403, "cross-site"},
		{"name that leads here", "", "127.0.0.1:9", "evil.example:8081", []string{"Origin", "http://evil.example:8081"}, 403, "cross-site"},
		{"from elsewhere", "", "192.0.2.7:9", "10.0.0.1:8081", nil, 401, "token-required"},
		{"no token", "s3cret", "127.0.0.1:9", "127.0.0.1:8081", nil, 401, "token-required"},
		{"token, from elsewhere", "s3cret", "192.0.2.7:9", "edge.example", []string{"Authorization", "Bearer s3cret"}, 404, "not-found"},
		{"token, other page", "s3cret", "192.0.2.7:9", "edge.example", []string{"Authorization", "Bearer s3cret", "Origin", "http://evil.example"}, 403, "cross-site"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdge(Options{Token: c.token})
			r := httptest.NewRequest("DELETE", path, nil)
			r.RemoteAddr, r.Host = c.from, c.host
			for i := 0; i < len(c.fields); i += 2 {
				r.Header.Set(c.fields[i], c.fields[i+1])
			}
			rec := httptest.NewRecorder()
			e.ServeHTTP(rec, r)
			wantProblem(t, rec.Result(), rec.Body.String(), c.status, c.code)
		})
	}
}
