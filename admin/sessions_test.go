package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"earshot/listen"
	"earshot/session"
)

type sessionsAnswer struct {
	Sessions []map[string]any
	Next     string
}

func (a sessionsAnswer) ids() (ids []string) {
	for _, s := range a.Sessions {
		ids = append(ids, s["session_id"].(string))
	}
	return ids
}

// local is a request from this host.
func local(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:9", "127.0.0.1:8081"
	return r
}

// read asks without a socket and decodes the answer.
func read[T any](t testing.TB, h http.Handler, target string) (v T) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, local("GET", target))
	if rec.Code != http.StatusOK || !utf8.Valid(rec.Body.Bytes()) {
		t.Fatalf("%s: %d %s", target, rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s: %v\n%s", target, err, rec.Body)
	}
	return v
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which starts at 2000-01-01T00:00:00Z
		e := newEdge(Options{})
		w := who(session.HLS, "news", "id-1")
		w.UserID, w.IP, w.UserAgent = "u-1", "192.0.2.7", "VLC/3.0"
		tr := e.hear(w, "news/low", 64_000, 4*time.Second)
		time.Sleep(1500 * time.Millisecond)
		tr.Arrived()
		time.Sleep(59 * time.Second)
		want := map[string]any{"session_id": "id-1", "kind": "hls", "group": "news", "stream": "news/low", "user_id": "u-1", "device_id": "", "device_type": "",
			"ip": "192.0.2.7", "user_agent": "VLC/3.0", "started": "2000-01-01T00:00:00Z", "last": "2000-01-01T00:00:01.5Z",
			"bytes": 64000., "duration_seconds": 4., "listening": true}
		got := read[sessionsAnswer](t, e, "/admin/v1/sessions")
		if len(got.Sessions) != 1 || !reflect.DeepEqual(got.Sessions[0], want) || got.Next != "" {
			t.Errorf("got %v\nwant %v", got, want)
		}
		time.Sleep(time.Second)
		if got := read[sessionsAnswer](t, e, "/admin/v1/sessions"); got.Sessions[0]["listening"] != false {
			t.Errorf("a minute after its last byte: %v", got)
		}
	})
}

func TestSessionFilters(t *testing.T) {
	e := newEdge(Options{})
	for _, s := range []struct{ id, group, stream, user, ip string }{
		{"a", "news", "news/low", "ann", "192.0.2.1"},
		{"b", "news", "news/high", "bob", "2001:db8::1"},
		{"c", "sport", "news/high", "ann", "192.0.2.2"},
	} {
		w := who(session.HLS, s.group, s.id)
		w.UserID, w.IP = s.user, s.ip
		e.hear(w, s.stream, 1, time.Second).Arrived()
	}
	e.hear(who(session.ICY, "kpcc", "d"), "kpcc", 1, time.Second).Arrived()
	for query, want := range map[string]string{
		"":                             "d a b c",
		"kind=icy":                     "d",
		"kind=hls":                     "a b c",
		"stream=news":                  "a b",
		"stream=news%2Fhigh":           "b c",
		"stream=kpcc&kind=hls":         "",
		"user=ann":                     "a c",
		"user=ann&stream=sport":        "c",
		"ip=192.0.2.2":                 "c",
		"ip=::ffff:192.0.2.1":          "a",
		"ip=2001:DB8:0::1":             "b",
		"ip=192.0.2.9":                 "",
		"address=192.0.2.2":            "c",
		"id=b":                         "b",
		"id=b&user=ann":                "",
		"user=ann&limit=1":             "a",
		"stream=&kind=&user=&ip=":      "d a b c",
		"limit=&after=&stream=news":    "a b",
		"user=ann&after=" + after("a"): "c",
	} {
		if got := strings.Join(read[sessionsAnswer](t, e, "/admin/v1/sessions?"+query).ids(), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// after is the cursor that follows the session of that id in group "news".
func after(id string) string { return (&page[int]{list: "s"}).cursor(place{"news", id}) }

func TestBadQuery(t *testing.T) {
	srv := newEdge(Options{}).serve(t)
	for query, says := range map[string]string{
		"limit=0":                            `limit is "0": write a whole number from 1 to 1000`,
		"limit=1001":                         `limit is "1001": write a whole number from 1 to 1000`,
		"limit=-1":                           `limit is "-1": write a whole number from 1 to 1000`,
		"limit=ten":                          `limit is "ten": write a whole number from 1 to 1000`,
		"limit=1e2":                          `limit is "1e2"`,
		"limit=%00%ff":                       `limit is "\x00\xff"`,
		"after=!":                            `after is "!": write the "next" of the page before as it stands`,
		"after=bA":                           `after is "bA"`,  // a cursor of the other list, without a place
		"after=cwk":                          `after is "cwk"`, // "s", then a length of 9 with nothing behind it
		"after=c____________w":               `after is "c____________w"`,
		"after=" + strings.Repeat("A", 9000): `after is "` + strings.Repeat("A", 64) + `…"`,
		"usr=ann":                            `there is no parameter "usr": write id, stream, kind, user, ip, address, limit, after`,
		"limit=1&limit=2":                    "limit stands 2 times: write it once",
		"limit=%zz":                          "the query cannot be read",
		"kind=aac":                           `kind is "aac": write hls or icy`,
		"ip=192.0.2.0/24":                    `ip is "192.0.2.0/24": write one address`,
		"address=here":                       `address is "here": write one address`,
		"address=192.0.2.1&ip=192.0.2.1":     `ip and address are two names of one thing: write one of them`,
	} {
		resp, body := get(t, "GET", srv+"/admin/v1/sessions?"+query)
		wantProblem(t, resp, body, http.StatusBadRequest, "bad-query")
		var p problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || !strings.Contains(p.Detail, says) {
			t.Errorf("%s: detail %q, want %q", query, p.Detail, says)
		}
	}
	for _, query := range []string{"limit=0", "after=cwBh", "kind=hls"} {
		resp, body := get(t, "GET", srv+"/admin/v1/listeners?"+query)
		wantProblem(t, resp, body, http.StatusBadRequest, "bad-query")
	}
}

func TestHostileTexts(t *testing.T) {
	e := newEdge(Options{})
	e.book = listen.NewBook(listen.Options{}, "boot") // without metrics, whose labels take no group that is not UTF-8
	e.Handler.book = e.book
	shown := map[string]string{ // what comes in, and what JSON can say of it
		`"quotes" and \back\slashes`:        `"quotes" and \back\slashes`,
		"new\r\nlines,\ttabs, \x00\x1f\x7f": "new\r\nlines,\ttabs, \x00\x1f\x7f",
		"</script><!-- & --> \u2028\u2029":  "</script><!-- & --> \u2028\u2029",
		"\xff":                              "\ufffd",
		"\xfe":                              "\ufffd",
		"cut \xe2\x82":                      "cut \ufffd\ufffd",
		"\xed\xa0\x80 lone surrogate":       "\ufffd\ufffd\ufffd lone surrogate",
		"日本語 🎧":                             "日本語 🎧",
	}
	for in := range shown {
		w := who(session.HLS, "group "+in, in)
		w.UserID, w.UserAgent = in, in
		e.hear(w, "stream "+in, 1, time.Second).Arrived()
	}
	seen := make(map[string]int)
	for next := ""; ; {
		got := read[sessionsAnswer](t, e, "/admin/v1/sessions?limit=1&after="+next)
		for _, s := range got.Sessions {
			id := s["session_id"].(string)
			seen[id]++
			if s["user_id"] != id || s["user_agent"] != id || s["group"] != "group "+id || s["stream"] != "stream "+id {
				t.Errorf("not all alike: %v", s)
			}
		}
		if next = got.Next; next == "" {
			break
		}
	}
	want := make(map[string]int)
	for _, out := range shown {
		want[out]++
	}
	if !maps.Equal(seen, want) {
		t.Errorf("got %v\nwant %v", seen, want)
	}
	for in := range shown {
		got := read[sessionsAnswer](t, e, "/admin/v1/sessions?user="+url.QueryEscape(in))
		if len(got.Sessions) != 1 || got.Sessions[0]["session_id"] != shown[in] {
			t.Errorf("user %q: %v", in, got)
		}
	}
}

// Sessions come while the pages are read; each that was there before is met once, and in order.
func TestPagesWhileSessionsCome(t *testing.T) {
	e := newEdge(Options{})
	var want []string
	for i := range 1234 {
		id := fmt.Sprintf("%04d", i*7919%10000)
		e.book.Account(who(session.HLS, "g"+id[3:], id))
		want = append(want, "g"+id[3:]+" "+id)
	}
	slices.Sort(want)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := range 3000 { // bounded, so that the reader comes to an end
			select {
			case <-stop:
				return
			default:
				e.hear(who(session.HLS, fmt.Sprint("g", i%10), fmt.Sprint("new-", i)), "v", 1, time.Second).Arrived()
			}
		}
	}()
	var got []string
	for next := ""; ; {
		a := read[sessionsAnswer](t, e, "/admin/v1/sessions?limit=100&after="+next)
		for _, s := range a.Sessions {
			if id := s["session_id"].(string); !strings.HasPrefix(id, "new-") {
				got = append(got, s["group"].(string)+" "+id)
			}
		}
		if next = a.Next; next == "" {
			break
		}
	}
	close(stop)
	<-stopped
	if !slices.Equal(got, want) {
		t.Errorf("met %d sessions, want %d in order", len(got), len(want))
	}
}

func BenchmarkSessionsPage(b *testing.B) {
	e := newEdge(Options{})
	for i := range 100_000 {
		e.book.Account(who(session.HLS, "news", fmt.Sprint(i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		e.guard = newGuard("") // nobody asks that often
		e.ServeHTTP(httptest.NewRecorder(), local("GET", "/admin/v1/sessions?limit=100"))
	}
}
