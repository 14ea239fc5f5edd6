package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenSecret signs the tokens of users.
const tokenSecret = "a-secret-that-signs-the-tokens-of-users"

// tokenOf is a user's token; device may be empty.
func tokenOf(t testing.TB, user, device string) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}
	if device != "" {
		claims["device"] = device
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fan is a listener as his requests show him. He asks the edges in turn.
type fan struct {
	agent, address, token string
	edges                 []*outpost
	turn                  int
	media                 *url.URL      // playlist that the master named
	piece                 string        // of media, that he took last
	longest               time.Duration // that he waited while this machine ran
}

// answer is what he was told.
type answer struct {
	status int
	code   string
	detail string
	body   []byte
	header http.Header
	url    *url.URL
}

func (a answer) String() string { return fmt.Sprintf("%d %s (%s)", a.status, a.code, a.detail) }

// ok tells whether he got what he asked for.
func (a answer) ok() bool { return a.status == http.StatusOK }

// fanClient keeps connections, as players do; an edge that stalls for so long has failed.
var fanClient = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 5 * time.Second}}

func (f *fan) request(method, target string) (*http.Request, error) {
	req, err := http.NewRequest(method, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", f.agent)
	req.Header.Set("X-Forwarded-For", f.address)
	return req, nil
}

// next is the edge that he asks next.
func (f *fan) next() *outpost {
	f.turn++
	return f.edges[f.turn%len(f.edges)]
}

// get asks for a path, with its query.
func (f *fan) get(path string) answer {
	req, err := f.request(http.MethodGet, f.next().listen+path)
	if err != nil {
		return answer{detail: err.Error()}
	}
	began := lived()
	res, err := fanClient.Do(req)
	if err != nil {
		return answer{detail: err.Error()}
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header, url: res.Request.URL}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return answer{detail: err.Error()}
	}
	f.longest = max(f.longest, lived()-began)
	if !a.ok() {
		var p struct{ Code, Detail string }
		_ = json.Unmarshal(a.body, &p) // without a code the test says what it is
		a.code, a.detail = p.Code, p.Detail
	}
	return a
}

// open begins to play a show.
func (f *fan) open(show, query string) answer {
	a := f.get("/" + show + "/master.m3u8?token=" + f.token + query)
	if !a.ok() {
		return a
	}
	m, err := readManifest(a.url, string(a.body))
	if err != nil || len(m.variants) == 0 {
		return answer{detail: fmt.Sprintf("master: %v", err)}
	}
	f.media, f.piece = m.variants[hi], ""
	return f.goOn()
}

// goOn reloads the playlist and takes the pieces that are new in it.
func (f *fan) goOn() answer {
	a := f.get(f.media.RequestURI())
	if !a.ok() {
		return a
	}
	m, err := readManifest(a.url, string(a.body))
	if err != nil || len(m.segments) == 0 {
		return answer{detail: fmt.Sprintf("media playlist: %v", err)}
	}
	from := 1 + slices.IndexFunc(m.segments, func(p piece) bool { return p.url.Path == f.piece })
	if from == 0 {
		from = len(m.segments) / 2
	}
	for _, p := range m.segments[from:] {
		f.piece = p.url.Path
		if b := f.get(p.url.RequestURI()); !b.ok() {
			return b
		}
	}
	return a
}

// session is the id that the edge has given him.
func (f *fan) session() string { return f.media.Query().Get("X-Playback-Session-Id") }

// wireless is a connection to a mount.
type wireless struct {
	answer
	heard  atomic.Int64 // bytes
	closed chan struct{}
	end    func()
}

// tune connects to /radio.mp3 and listens until the edge closes the connection, or end is called.
func (f *fan) tune(t testing.TB, query string) *wireless {
	t.Helper()
	req, err := f.request(http.MethodGet, f.next().listen+"/radio.mp3?token="+f.token+query)
	if err != nil {
		t.Fatal(err)
	}
	began := lived()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return &wireless{answer: answer{detail: err.Error()}, end: func() {}}
	}
	f.longest = max(f.longest, lived()-began)
	r := &wireless{answer: answer{status: res.StatusCode, header: res.Header}, closed: make(chan struct{}), end: func() { res.Body.Close() }}
	if !r.ok() {
		r.body, _ = io.ReadAll(res.Body) // what it says decides
		res.Body.Close()
		var p struct{ Code, Detail string }
		_ = json.Unmarshal(r.body, &p)
		r.code, r.detail = p.Code, p.Detail
		return r
	}
	go r.listen(res.Body)
	t.Cleanup(func() { r.end(); <-r.closed })
	return r
}

func (r *wireless) listen(body io.Reader) {
	defer close(r.closed)
	for buf := make([]byte, 4096); ; {
		n, err := body.Read(buf)
		r.heard.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// plays tells whether the connection stands, and something comes.
func (r *wireless) plays(t testing.TB) {
	t.Helper()
	before := r.heard.Load()
	eventually(t, 15*time.Second, "the radio plays", func() error {
		select {
		case <-r.closed:
			t.Fatal("the edge has closed the connection")
		default:
		}
		if r.heard.Load() == before {
			return fmt.Errorf("nothing comes after %d bytes", before)
		}
		return nil
	})
}

// cut waits for the edge to close the connection.
func (r *wireless) cut(t testing.TB, limit time.Duration) {
	t.Helper()
	if !within(limit, r.closed) {
		t.Errorf("the connection still stands after %v", limit)
	}
}

// call speaks to an API in JSON, and returns the status and the body.
func call(t testing.TB, method, target, bearer string, body any) (int, map[string]any) {
	t.Helper()
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	req, err := http.NewRequest(method, target, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := make(map[string]any)
	raw, _ := io.ReadAll(res.Body)
	_ = json.Unmarshal(raw, &out) // 204 has none
	return res.StatusCode, out
}

// mustCall is call for what must be answered so.
func mustCall(t testing.TB, want int, method, target, bearer string, body any) map[string]any {
	t.Helper()
	status, out := call(t, method, target, bearer, body)
	if status != want {
		t.Fatalf("%s %s: %d %v, want %d", method, target, status, out, want)
	}
	return out
}
