package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"earshot/auth"
	"earshot/gate"
	"earshot/listen"
	"earshot/session"
)

const (
	appToken  = "the-apps-own-token-0123456789abcdef"
	jwtSecret = "0123456789abcdef0123456789abcdef"
	annsPath  = "/api/v1/users/ann/media_play_sessions"
)

// house is an App before a real gate.
type house struct {
	t       testing.TB
	handler http.Handler
	app     *App
	gate    *gate.Gate
	live    session.Live
	book    *listen.Book
	reg     *prometheus.Registry
}

func newHouse(t testing.TB, opt gate.Options) *house {
	t.Helper()
	h := &house{t: t, live: opt.Live, book: listen.NewBook(listen.Options{}, "boot"), reg: prometheus.NewRegistry()}
	if h.live == nil {
		h.live = session.NewMemory(1000)
	}
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
	if err != nil {
		t.Fatal(err)
	}
	opt.Table, opt.Live, opt.Signer = session.NewTable(1000), h.live, signer
	opt.Tokens = map[string]string{"app": appToken}
	if opt.Auth, err = auth.New(auth.Options{JWT: &auth.JWT{Secret: jwtSecret}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opt.Auth.Close)
	h.gate = gate.New(opt)
	h.app = NewApp(AppOptions{Gate: h.gate, Book: h.book, Registerer: h.reg,
		Trusted: func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() },
		Outward: func(r *http.Request) string { return "https://" + r.Host }})
	h.handler = apps.watched(h.app)
	return h
}

// userToken is a token of the user's own.
func userToken(t testing.TB, user string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answer is what an app was answered.
type answer struct {
	*httptest.ResponseRecorder
	body map[string]any
}

// data is the resource, or the list of them.
func (a answer) data() map[string]any { v, _ := a.body["data"].(map[string]any); return v }

func (a answer) id() string { v, _ := a.data()["id"].(string); return v }

func (a answer) attribute(name string) any {
	v, _ := a.data()["attributes"].(map[string]any)
	return v[name]
}

func (a answer) ids() (ids []string) {
	list, _ := a.body["data"].([]any)
	for _, one := range list {
		ids = append(ids, one.(map[string]any)["id"].(string))
	}
	return ids
}

// ask asks with the app's token, unless fields say Authorization. A body of JSON is said to be that.
func (h *house) ask(method, path, body string, fields ...string) answer {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host, r.RemoteAddr = "edge.example", "192.0.2.1:9"
	r.Header.Set("Authorization", "Bearer "+appToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(fields); i += 2 {
		switch fields[i] {
		case "from":
			r.RemoteAddr = fields[i+1]
		default:
			r.Header.Set(fields[i], fields[i+1])
		}
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	h.handler.ServeHTTP(a, r)
	if a.Body.Len() > 0 {
		if err := json.Unmarshal(a.Body.Bytes(), &a.body); err != nil {
			h.t.Fatalf("%s %s: %d: %v: %s", method, path, a.Code, err, a.Body)
		}
	}
	return a
}

// want asks for success.
func (h *house) want(status int, method, path, body string, fields ...string) answer {
	h.t.Helper()
	a := h.ask(method, path, body, fields...)
	if a.Code != status {
		h.t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, a.Code, status, a.Body)
	}
	return a
}

// refused asks for a failure: both of its forms, alike.
func (h *house) refused(status int, code, method, path, body string, fields ...string) answer {
	h.t.Helper()
	a := h.want(status, method, path, body, fields...)
	list, _ := a.body["errors"].([]any)
	if len(list) != 1 {
		h.t.Fatalf("%s", a.Body)
	}
	one := list[0].(map[string]any)
	if one["code"] != code || a.body["code"] != code || one["status"] != fmt.Sprint(status) || one["title"] != a.body["title"] || one["title"] == "" ||
		one["detail"] != a.body["details"] || one["detail"] == "" || one["id"] != a.body["id"] || one["id"] == "" {
		h.t.Errorf("%s %s %s: want %s: %s", method, path, body, code, a.Body)
	}
	return a
}
