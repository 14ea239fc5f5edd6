package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"earshot/auth"
	"earshot/gate"
)

// TestDoorOpenKeepsSecrets: what shows who a listener is goes no further than the edge, also where nobody asks for it; unless the origin itself asks by that name.
func TestDoorOpenKeepsSecrets(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.RequestURI())
		mu.Unlock()
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		w.Header().Set("Cache-Control", "max-age=3600")
		io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n1.ts\n#EXT-X-ENDLIST\n")
	}))
	t.Cleanup(up.Close)
	who := byToken()
	who.SignedURL = &auth.SignedURL{Key: doorSecret}
	d := newDoorway(t, gate.Options{}, who,
		&Stream{Group: "shut", Path: "/shut/", HLS: []string{up.URL + "/shut/"}, Query: []string{"token", "lang"}},
		&Stream{Group: "house", Path: "/house/", HLS: []string{up.URL + "/house/"}, Open: true},
		&Stream{Group: "theirs", Path: "/theirs/", HLS: []string{up.URL + "/theirs/"}, Open: true, Query: []string{"token"}})
	ann, bob := doorToken(t, "ann"), doorToken(t, "bob")
	d.want(200, "GET", "/shut/a.m3u8?lang=de&token="+ann)
	for _, token := range []string{ann, bob} {
		d.want(200, "GET", "/house/a.m3u8?lang=de&user=ann&expires=1&sig=00&token="+token)
	}
	d.want(200, "GET", "/theirs/a.m3u8?lang=de&token=its-own")
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(asked)
	// One for both: they are one entry of the cache.
	if want := []string{"/house/a.m3u8?lang=de", "/shut/a.m3u8?lang=de", "/theirs/a.m3u8?token=its-own"}; !slices.Equal(asked, want) {
		t.Errorf("the origin was asked for %s, want %s", asked, want)
	}
}

// TestDoorChallenge: a backend of Icecast's dialect knows users by name and password, and what players send only to whom asks for it must be asked for.
func TestDoorChallenge(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("user") != "ann" || r.PostFormValue("pass") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("icecast-auth-user", "1")
	}))
	t.Cleanup(backend.Close)
	both := byToken()
	both.Callback = &auth.Callback{URL: backend.URL, Style: "icecast"}
	for name, c := range map[string]struct {
		who  *auth.Options
		want string
	}{
		"icecast":           {&auth.Options{Callback: both.Callback}, "Basic"},
		"icecast and token": {both, "Bearer"},
		"json":              {&auth.Options{Callback: &auth.Callback{URL: backend.URL}}, "Bearer"},
		"token":             {byToken(), "Bearer"},
	} {
		d := newDoorway(t, gate.Options{}, c.who)
		for _, path := range []string{"/news/media.m3u8", "/live.mp3"} {
			resp, err := http.Get(d.url + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Values("WWW-Authenticate"); resp.StatusCode != 401 || len(got) != 1 || !strings.HasPrefix(got[0], c.want+` realm="earshot"`) {
				t.Errorf("%s: %s: %d, WWW-Authenticate %q", name, path, resp.StatusCode, got)
			}
		}
		if c.want == "Basic" { // and who answers it may listen
			u, err := url.Parse(d.url + "/news/media.m3u8")
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword("ann", "secret")
			resp, err := http.Get(u.String())
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("%s: with user and password %d", name, resp.StatusCode)
			}
		}
	}
}

// TestDoorPages: a page on another origin may name the session to end, and may read when to try again.
func TestDoorPages(t *testing.T) {
	d := newDoorway(t, gate.Options{}, byToken())
	req, err := http.NewRequest(http.MethodOptions, d.url+"/news/master.m3u8", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://page.example")
	req.Header.Set("Access-Control-Request-Method", "GET")
	req.Header.Set("Access-Control-Request-Headers", "x-terminate")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, terminateHeader) {
		t.Errorf("a page may send %s", got)
	}
	resp, err = http.Get(d.url + "/news/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "Retry-After") {
		t.Errorf("a page may read %s", got)
	}
}
