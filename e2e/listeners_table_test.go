package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// visitors are players of every kind: HTTP/1.1 and HTTP/2, plain and under TLS, straight and through a proxy that says who they are.
func (d *doors) visitors(t testing.TB) (all []*visitor) {
	for i, kind := range []struct {
		name              string
		straight, proxied door
		proto             int
	}{{"h1-plain", d.plain, d.plainProxied, 1}, {"h1-tls", d.sealed, d.sealedProxied, 1}, {"h2", d.sealed, d.sealedProxied, 2}} {
		all = append(all, kind.straight.visit(t, kind.name, kind.proto, 0, "127.0.0.1"),
			kind.proxied.visit(t, kind.name+"-v1", kind.proto, 1, fmt.Sprintf("203.0.113.%d", 10+i)),
			kind.proxied.visit(t, kind.name+"-v2", kind.proto, 2, fmt.Sprintf("2001:db8::%d", 10+i)))
	}
	return all
}

// TestListenersBooks: over every kind of connection a playlist is spliced, segments and ranges are what the origin has, the radio plays;
// the edge's books hold exactly the bytes that each player got, and the address he has.
func TestListenersBooks(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t)+icyStream("radio", "/radio.mp3", startTransmitter(t, 200).url()))
	var players sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int64{}
	from := map[string]string{}
	note := func(v *visitor, agent string, n int64) {
		mu.Lock()
		defer mu.Unlock()
		got[agent], from[agent] = n, v.source
	}
	began := time.Now()
	var enough sync.WaitGroup // of all
	for _, v := range d.visitors(t) {
		enough.Add(2)
		players.Go(func() {
			defer enough.Done()
			note(v, v.agent, watchVOD(t, v))
		})
		players.Go(func() {
			once := sync.OnceFunc(enough.Done)
			defer once()
			note(v, v.agent+"-icy", tuneIn(t, v, once))
		})
	}
	enough.Wait()
	time.Sleep(time.Until(began.Add(4 * time.Second))) // which is two slices
	d.proc.signal(syscall.SIGTERM)
	players.Wait()
	if err := d.proc.wait(t, 20*time.Second); err != nil {
		t.Errorf("the edge, asked to stop: %v\n%s", err, d.proc.output(t))
	}
	for agent, n := range got {
		booked, address := d.booked(t, agent)
		if booked != n || address != from[agent] {
			t.Errorf("%s got %d bytes at %s; the books say %d at %s", agent, n, from[agent], booked, address)
		}
		if n < 64<<10 {
			t.Errorf("%s got only %d bytes", agent, n)
		}
	}
	t.Logf("%d players", len(got))
}

// watchVOD fetches the playlist and what it names, some of it in ranges, and returns how many bytes of media came.
func watchVOD(t testing.TB, v *visitor) (n int64) {
	list := string(v.read(t, "/vod/index.m3u8", nil))
	var segments sync.WaitGroup // at once, so that HTTP/2 mixes them
	var total [16]int64
	i := 0
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !strings.Contains(line, "X-Playback-Session-Id=") {
			t.Errorf("%s: not spliced: %s", v.agent, line)
		}
		number := i
		segments.Go(func() {
			body := v.read(t, "/vod/"+line, nil)
			if string(body) != string(vodContent(number)) {
				t.Errorf("%s: segment %d is not the origin's: %d bytes", v.agent, number, len(body))
			}
			part := v.read(t, "/vod/"+line, func(r *http.Request) { r.Header.Set("Range", "bytes=10-59") })
			if string(part) != string(vodContent(number)[10:60]) {
				t.Errorf("%s: range of segment %d: %d bytes", v.agent, number, len(part))
			}
			total[number] = int64(len(body) + len(part))
		})
		i++
	}
	segments.Wait()
	for _, k := range total {
		n += k
	}
	return n
}

// tuneIn listens until the edge ends, and returns how many bytes came. It says when they are enough.
func tuneIn(t testing.TB, v *visitor, enough func()) int64 {
	res := v.ask(t, "/radio.mp3", func(r *http.Request) {
		r.Header.Set("User-Agent", v.agent+"-icy")
		r.Header.Set("Icy-MetaData", "1")
	})
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "audio/mpeg" || res.Header.Get("Icy-Metaint") != "16000" {
		t.Errorf("%s: radio: %s, %v", v.agent, res.Status, res.Header)
	}
	n, err := io.CopyN(io.Discard, res.Body, 64<<10)
	if enough(); err == nil {
		var more int64
		more, err = io.Copy(io.Discard, res.Body)
		n += more
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: radio: after %d bytes: %v", v.agent, n, err)
	}
	return n
}

// TestListenersCurl: curl speaks HTTP/2 with the edge, and the PROXY protocol.
func TestListenersCurl(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t))
	var agents []string
	for _, c := range []struct {
		door door
		args []string
		want string
	}{
		{d.plain, nil, "1.1"},
		{d.sealed, []string{"--http1.1"}, "1.1"},
		{d.sealed, []string{"--http2"}, "2"},
		{d.sealedProxied, []string{"--http2", "--haproxy-protocol"}, "2"},
		{d.plainProxied, []string{"--haproxy-protocol"}, "1.1"},
		{d.sealed, []string{"--http2", "--tls-max", "1.2"}, "2"},
	} {
		scheme := "http://"
		if c.door.tls {
			scheme = "https://"
		}
		agent := "curl" + strings.Join(c.args, "") + c.door.addr
		args := append([]string{"-sS", "-k", "-A", agent, "-o", filepath.Join(t.TempDir(), "body"), "-w", "%{http_version} %{size_download}"}, c.args...)
		out := run(t, 20*time.Second, "curl", append(args, scheme+c.door.addr+"/vod/0.ts")...)
		if want := fmt.Sprintf("%s %d", c.want, vodSizes[0]); out != want {
			t.Errorf("curl %v: %q, want %q", c.args, out, want)
		}
		agents = append(agents, agent)
	}
	for _, agent := range agents {
		eventually(t, 15*time.Second, agent, func() error {
			if n, _ := d.booked(t, agent); n != int64(vodSizes[0]) {
				return fmt.Errorf("the books say %d bytes, not %d", n, vodSizes[0])
			}
			return nil
		})
	}
}

// TestListenersRefusals: over HTTP/2 a refusal is what it is over HTTP/1, and none of them ends the connection.
func TestListenersRefusals(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t))
	v := d.sealed.visit(t, "refused", 2, 0, "")
	for _, c := range []struct {
		path   string
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"/nowhere", nil, http.StatusNotFound, "not-found"},
		{"/vod/none.ts", nil, http.StatusNotFound, "not-found"},
		{"/vod/0.ts", func(r *http.Request) { r.Method = http.MethodDelete }, http.StatusMethodNotAllowed, "method-not-allowed"},
		{"/vod/0.ts", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("body")), 4 },
			http.StatusBadRequest, "body-not-allowed"},
	} {
		res := v.ask(t, c.path, c.edit)
		var p problemSeen
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != c.status || p.Code != c.code {
			t.Errorf("%s: %s, %+v, %v", c.path, res.Status, p, err)
		}
		if !strings.HasPrefix(res.Header.Get("Server"), "Earshot/") || res.Header.Get("Connection") != "" {
			t.Errorf("%s: %v", c.path, res.Header)
		}
	}
	res := v.ask(t, "/vod/0.ts", func(r *http.Request) { r.Method = http.MethodHead })
	if res.ContentLength != int64(vodSizes[0]) {
		t.Errorf("HEAD: %v", res.Header)
	}
}
