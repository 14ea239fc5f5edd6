package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/listen"
	"earshot/session"
)

// edge is a Handler before a real Book.
type edge struct {
	*Handler
	book  *listen.Book
	table *session.Table
	reg   *prometheus.Registry
}

func newEdge(opt Options) *edge {
	reg := prometheus.NewRegistry()
	e := &edge{reg: reg, table: session.NewTable(1000),
		book: listen.NewBook(listen.Options{Edge: "here", Metrics: listen.NewMetrics(reg)}, "boot")}
	opt.Book, opt.Table, opt.Version = e.book, e.table, "1.2.3"
	opt.Registerer, opt.Gatherer = reg, reg
	e.Handler = New(opt)
	return e
}

// ServeHTTP holds what is answered against the document.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operators.watched(e.Handler).ServeHTTP(w, r)
}

// serve starts a server and returns its address.
func (e *edge) serve(t *testing.T) string {
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	return srv.URL
}

func who(kind session.Kind, group, id string) listen.Who {
	return listen.Who{Key: session.Key{ID: session.ID(id), Group: group}, Kind: kind}
}

// hear meters a body of n bytes that holds the first media of the stream, and leaves it on its way.
func (e *edge) hear(w listen.Who, stream string, n int64, media time.Duration) *listen.Transfer {
	live := listen.NewLive(1, 0)
	tr := e.book.Account(w).Open(listen.Body{Stream: stream, Length: -1, Placer: live})
	live.Wrote(n, int64(media))
	tr.Wrote(n)
	return tr
}

// get asks as a client would, and reads the whole answer.
func get(t *testing.T, method, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func wantProblem(t *testing.T, resp *http.Response, body string, status int, code string) {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("no problem document: %v\n%s", err, body)
	}
	if resp.StatusCode != status || p["status"] != float64(status) || p["code"] != code {
		t.Errorf("got %d %v, want %d and code %q", resp.StatusCode, p, status, code)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if p["type"] != "about:blank" || p["title"] != http.StatusText(status) || p["detail"] == "" {
		t.Errorf("incomplete problem: %v", p)
	}
}

func TestRoutes(t *testing.T) {
	url := newEdge(Options{}).serve(t)
	for _, tc := range []struct{ path, kind, holds string }{
		{"/", "application/json", `"path":"/admin/v1/sessions"`},
		{"/", "application/json", `"version":"1.2.3"`},
		{"/metrics", "text/plain", "earshot_build_info"},
		{"/healthz", "text/plain", "ok\n"},
		{"/readyz", "application/json", `{"ready":true,"checks":[]}`},
		{"/admin/v1/listeners", "application/json", `"listeners":[]`},
		{"/admin/v1/sessions", "application/json", `{"sessions":[],"next":""}`},
		{"/debug/pprof/", "text/html", "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "text/plain", "goroutine profile"},
		{"/debug/pprof/cmdline", "text/plain", "admin.test"},
		{"/debug/pprof/symbol", "text/plain", "num_symbols"},
		{"/debug/pprof/profile?seconds=1", "application/octet-stream", ""},
		{"/debug/pprof/trace?seconds=0.01", "application/octet-stream", ""},
	} {
		t.Run(tc.path, func(t *testing.T) {
			resp, body := get(t, "GET", url+tc.path)
			if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), tc.kind) ||
				!strings.Contains(body, tc.holds) {
				t.Errorf("got %s, %s:\n%.500s", resp.Status, resp.Header.Get("Content-Type"), body)
			}
			wantHeaders(t, resp)
		})
	}
}

func wantHeaders(t *testing.T, resp *http.Response) {
	t.Helper()
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", resp.Header)
	}
}

func TestUnknownPath(t *testing.T) {
	url := newEdge(Options{}).serve(t)
	for _, path := range []string{"/nothing", "/admin/v1/sessions/", "//metrics", "/admin/../metrics", "/debug/pprof/nothing", "/debug/pprof"} {
		resp, body := get(t, "GET", url+path)
		wantProblem(t, resp, body, http.StatusNotFound, "not-found")
		wantHeaders(t, resp)
	}
}

func TestMethods(t *testing.T) {
	url := newEdge(Options{}).serve(t)
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/admin/v1/listeners", "/admin/v1/sessions", "/debug/pprof/symbol"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			resp, body := get(t, method, url+path)
			wantProblem(t, resp, body, http.StatusMethodNotAllowed, "method-not-allowed")
			if got := resp.Header.Get("Allow"); got != "GET, HEAD" {
				t.Errorf("%s %s: Allow %q", method, path, got)
			}
		}
		if resp, body := get(t, "HEAD", url+path); resp.StatusCode != http.StatusOK || body != "" {
			t.Errorf("HEAD %s: %s, %q", path, resp.Status, body)
		}
	}
}

func TestToken(t *testing.T) {
	url := newEdge(Options{Token: "s3cret"}).serve(t)
	open := []string{"/metrics", "/healthz", "/readyz"}
	for _, path := range append(open, "/", "/admin/v1/listeners", "/admin/v1/sessions", "/debug/pprof/", "/nothing") {
		for _, tc := range []struct{ name, authorization, code string }{
			{"none", "", "token-required"},
			{"other scheme", "Basic czNjcmV0OnMzY3JldA==", "token-required"},
			{"bare", "s3cret", "token-required"},
			{"empty", "Bearer", "token-invalid"},
			{"wrong", "Bearer s3creT", "token-invalid"},
			{"longer", "Bearer s3cret!", "token-invalid"},
			{"right", "Bearer s3cret", ""},
			{"right in lower case", "bearer  s3cret", ""},
		} {
			t.Run(path+" "+tc.name, func(t *testing.T) {
				resp, body := get(t, "GET", url+path, "Authorization", tc.authorization)
				wantHeaders(t, resp)
				switch {
				case tc.code != "" && !slices.Contains(open, path):
					wantProblem(t, resp, body, http.StatusUnauthorized, tc.code)
					if got := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="`) {
						t.Errorf("WWW-Authenticate %q", got)
					}
				case path == "/nothing":
					wantProblem(t, resp, body, http.StatusNotFound, "not-found")
				case resp.StatusCode != http.StatusOK:
					t.Errorf("got %s: %s", resp.Status, body)
				}
			})
		}
	}
}

func TestIndexListsWhatAnswers(t *testing.T) {
	e := newEdge(Options{})
	url := e.serve(t)
	_, body := get(t, "GET", url+"/")
	var index struct {
		Routes []struct{ Path, About string }
	}
	if err := json.Unmarshal([]byte(body), &index); err != nil {
		t.Fatal(err)
	}
	if n := len(e.routes); len(index.Routes) != n {
		t.Errorf("%d routes shown, %d there are", len(index.Routes), n)
	}
	for _, rt := range index.Routes {
		if strings.Contains(rt.Path, "{") {
			continue // those are asked for in streams_test.go
		}
		if resp, _ := get(t, "GET", url+rt.Path); resp.StatusCode != http.StatusOK || rt.About == "" {
			t.Errorf("%s: %s, about %q", rt.Path, resp.Status, rt.About)
		}
	}
}
