package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"earshot/auth"
	"earshot/gate"
	"earshot/listen"
	"earshot/origin"
	"earshot/relay"
	"earshot/session"
)

// doorway is an edge with a gate before an origin: /news/ and /live.mp3 are guarded, /free/ is not.
type doorway struct {
	t     *testing.T
	gate  *gate.Gate
	table *session.Table
	proxy *Proxy
	url   string
}

const doorSecret = "0123456789abcdef0123456789abcdef"

func byToken() *auth.Options { return &auth.Options{JWT: &auth.JWT{Secret: doorSecret}} }

func newDoorway(t *testing.T, opt gate.Options, who *auth.Options, extra ...*Stream) *doorway {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(doorOrigin))
	t.Cleanup(up.Close)
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	spill, err := listen.OpenSpill(filepath.Join(t.TempDir(), "spill"))
	if err != nil {
		t.Fatal(err)
	}
	d := &doorway{t: t, table: session.NewTable(100)}
	opt.Table, opt.Signer = d.table, signer
	var credentials []string
	challenge := ""
	var background sync.WaitGroup
	running, stop := context.WithCancel(context.Background())
	if who != nil {
		a, err := auth.New(*who)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		opt.Auth, credentials, challenge = a, a.Params(), a.Challenge()
		background.Go(func() { a.Run(running) })
	}
	d.gate = gate.New(opt)
	book := listen.NewBook(listen.Options{Recorder: listen.NewRecorder(nil, spill, nil, nil)}, "test")
	client, radio := origin.New(origin.Options{}), relay.New(relay.Options{})
	d.proxy = New(Options{Signer: signer, Gate: d.gate, Book: book, Origin: client, Relay: radio, Credentials: credentials, Challenge: challenge, Apps: len(opt.Tokens) > 0, Streams: append([]*Stream{
		{Group: "news", Path: "/news/", HLS: []string{up.URL + "/"}},
		{Group: "free", Path: "/free/", HLS: []string{up.URL + "/free/"}, Open: true},
		{Key: "live", Path: "/live.mp3", ICY: []string{up.URL + "/live.mp3"}}}, extra...)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.url = "http://" + l.Addr().String()
	server := &http.Server{Handler: d.proxy, ConnContext: ConnContext}
	go server.Serve(Listen(l))
	background.Go(func() { book.Run(running) })
	background.Go(func() { d.gate.Run(running) })
	t.Cleanup(func() {
		radio.Shutdown(context.Background())
		server.Close()
		stop()
		background.Wait()
		d.proxy.Close()
		client.Close()
	})
	return d
}

func doorOrigin(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/master.m3u8"):
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		io.WriteString(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8\n")
	case r.URL.Path == "/moved.m3u8":
		http.Redirect(w, r, "/there/defined.m3u8?v=1", http.StatusFound)
	case r.URL.Path == "/there/defined.m3u8":
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		io.WriteString(w, "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"v\"\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{$v}.ts\n")
	case strings.HasSuffix(r.URL.Path, "/media.m3u8"):
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n1.ts\n#EXTINF:6,\n2.ts\n")
	case strings.HasSuffix(r.URL.Path, ".ts"):
		w.Header().Set("Content-Type", "video/mp2t")
		w.Write(make([]byte, 1000))
	case r.URL.Path == "/live.mp3":
		w.Header().Set("Content-Type", "audio/mpeg")
		for frame := append([]byte{0xff, 0xfb, 0x90, 0}, make([]byte, 413)...); ; time.Sleep(10 * time.Millisecond) {
			if _, err := w.Write(frame); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	default:
		http.NotFound(w, r)
	}
}

func doorToken(t *testing.T, user string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(doorSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ask is a request; fields are names and values of its header.
func (d *doorway) ask(method, path string, fields ...string) (int, string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (d *doorway) want(status int, method, path string, fields ...string) string {
	d.t.Helper()
	got, body := d.ask(method, path, fields...)
	if got != status {
		d.t.Fatalf("%s %s: %d, want %d\n%s", method, path, got, status, body)
	}
	return body
}

var doorChild = regexp.MustCompile(`(?m)^[^#\n]+`)

// firstURI is the URI in a playlist.
func firstURI(t *testing.T, prefix, text string) string {
	t.Helper()
	uri := doorChild.FindString(text)
	if uri == "" {
		t.Fatalf("no URI in\n%s", text)
	}
	if strings.HasPrefix(uri, "/") {
		return uri
	}
	return prefix + uri
}

// TestDoorMaster: the token of the first request is enough for all that follows, and the session is the user's.
func TestDoorMaster(t *testing.T) {
	d := newDoorway(t, gate.Options{Limits: []gate.Limit{{Per: gate.PerUser, Max: 1}}}, byToken())
	master := d.want(200, "GET", "/news/master.m3u8?token="+doorToken(t, "ann"))
	media := d.want(200, "GET", firstURI(t, "/news/", master))
	d.want(200, "GET", firstURI(t, "/news/", media))
	d.want(403, "GET", "/news/master.m3u8?token="+doorToken(t, "ann"), "User-Agent", "another")
	d.want(401, "GET", "/news/master.m3u8")
	d.want(401, "GET", "/news/1.ts")
	d.want(401, "HEAD", "/news/1.ts")
	d.want(401, "GET", "/live.mp3")
	d.want(401, "HEAD", "/live.mp3")
}

// TestDoorMoved: who is sent on for the sake of a playlist's variables takes his token along.
func TestDoorMoved(t *testing.T) {
	d := newDoorway(t, gate.Options{}, byToken())
	d.want(200, "GET", "/news/moved.m3u8?token="+doorToken(t, "ann"))
}

// TestDoorOthersID: an id is no authority. Who uses another user's has a session of his own, whatever he asks for, and without a token none.
func TestDoorOthersID(t *testing.T) {
	d := newDoorway(t, gate.Options{Limits: []gate.Limit{{Per: gate.PerUser, Max: 1}}}, byToken())
	id := "the-one-and-only"
	ann, bob := doorToken(t, "ann"), doorToken(t, "bob")
	d.want(200, "GET", "/news/media.m3u8?token="+ann, "X-Playback-Session-Id", id)
	for _, path := range []string{"/news/media.m3u8", "/news/1.ts", "/live.mp3", "/news/./1.ts", "/news/%31.ts", "//news/1.ts", "/NEWS/1.ts", "/news/1.ts;x"} {
		if status, _ := d.ask("GET", path+"?X-Playback-Session-Id="+id, "X-Playback-Session-Id", id); status != 401 && status != 404 {
			t.Errorf("%s without a token: %d", path, status)
		}
	}
	d.want(200, "GET", "/news/1.ts?X-Playback-Session-Id="+id, "Authorization", "Bearer "+bob)
	users := map[string]int{}
	d.table.Each(func(s *session.Session) bool {
		users[s.Listener().UserID]++
		if s.Key.ID == session.ID(id) && s.Listener().UserID != "ann" {
			t.Errorf("the id is %s's", s.Listener().UserID)
		}
		return true
	})
	if users["ann"] != 1 || users["bob"] != 1 || len(users) != 2 {
		t.Errorf("sessions: %v", users)
	}
}

// TestDoorGrantElsewhere: a grant opens what it was given for, to whom it was given, and no more.
func TestDoorGrantElsewhere(t *testing.T) {
	d := newDoorway(t, gate.Options{}, byToken())
	free := firstURI(t, "/free/", d.want(200, "GET", "/free/media.m3u8"))
	d.want(200, "GET", free)
	_, query, _ := strings.Cut(free, "?")
	d.want(403, "GET", "/news/1.ts?"+query)
	d.want(403, "GET", "/live.mp3?"+query)
	own := firstURI(t, "/news/", d.want(200, "GET", "/news/media.m3u8?token="+doorToken(t, "ann")))
	d.want(200, "GET", own)
	d.want(403, "GET", strings.Replace(own, "Session-Id=", "Session-Id=x", 1))
	d.want(403, "GET", own[:len(own)-1]+"_")
	d.want(401, "GET", strings.Replace(own, "earshot=", "Earshot=", 1))
	d.want(200, "GET", strings.Replace(own, "/news/", "/free/", 1)) // there is nothing to guard
}

// TestDoorEnded: what is ended stays so, by whichever road its listener comes; a rule that comes meets those who play.
func TestDoorEnded(t *testing.T) {
	d := newDoorway(t, gate.Options{}, byToken())
	token := doorToken(t, "ann")
	media := firstURI(t, "/news/", d.want(200, "GET", "/news/master.m3u8?token="+token))
	segment := firstURI(t, "/news/", d.want(200, "GET", media))
	d.want(200, "GET", segment)
	var id session.ID
	d.table.Each(func(s *session.Session) bool { id = s.Key.ID; return true })
	if n, err := d.gate.End(t.Context(), id); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, path := range []string{segment, media, segment + "&token=" + token, "/news/1.ts?token=" + token + "&X-Playback-Session-Id=" + string(id)} {
		d.want(410, "GET", path)
		d.want(410, "HEAD", path)
		d.table.Remove(session.Key{ID: id, Group: "news"}) // as where another edge is asked
		d.want(410, "GET", path)
	}
	d.want(200, "GET", "/news/media.m3u8?token="+token)
	if _, err := d.gate.Ban(t.Context(), gate.Ban{User: "ann", Until: time.Now().Add(time.Hour)}, ""); err != nil {
		t.Fatal(err)
	}
	d.want(403, "GET", "/news/media.m3u8?token="+token)
	d.want(403, "GET", "/live.mp3?token="+token)
	d.want(200, "GET", "/news/media.m3u8?token="+doorToken(t, "bob"))
}

// TestDoorRemoved: whoever answers for listeners is told of each end by the id that he was asked by.
func TestDoorRemoved(t *testing.T) {
	var mu sync.Mutex
	open, ends := map[string]int{}, 0
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch id := r.FormValue("client"); r.FormValue("action") {
		case "listener_add":
			open[id]++
		case "listener_remove":
			open[id]--
			ends++
		}
		w.Header().Set("icecast-auth-user", "1")
	}))
	defer backend.Close()
	d := newDoorway(t, gate.Options{}, &auth.Options{Callback: &auth.Callback{URL: backend.URL, Style: "icecast"}})
	for range 3 {
		d.want(200, "GET", "/news/media.m3u8") // he polls
		d.want(200, "GET", "/news/media.m3u8", "X-Playback-Session-Id", "own")
	}
	d.want(200, "GET", "/news/master.m3u8")
	d.want(200, "HEAD", "/free/master.m3u8")
	d.want(404, "GET", "/news/other/none.key")
	const sessions = 4
	d.gate.Sweep(func(*session.Session) bool { return true })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		told, left := ends, 0
		for _, n := range open {
			left += max(n, -n)
		}
		mu.Unlock()
		if told == sessions {
			if left != 0 || len(open) != sessions {
				t.Errorf("he was asked more often than he was told, or by other ids: %v", open)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("he was told of %d ends: %v", told, open)
		}
	}
}
