package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// gated is an edge with a gate that asks, which the tests configure, restart and operate.
type gated struct {
	*edge
	config string
	base   string   // of the configuration: edgeConfig or one made of it
	also   []string // further entries of listen
}

// Keys of the door's configuration. Seats are held for so long: enough for a player on a busy machine, short enough to wait for.
const (
	doorSecret  = "a secret of tokens, 32 bytes long"
	doorAppKey  = "an-apps-own-bearer-token"
	doorSeatTTL = 4 * time.Second

	doorSeats  = "seat_ttl: 4s\n"
	doorBrief  = "seat_ttl: 2s\n" // where nobody contends for a seat
	briefTTL   = 2 * time.Second
	doorJWT    = "  jwt: {secret: '" + doorSecret + "', leeway: 1s}\n"
	doorTokens = "auth:\n" + doorJWT
	doorGrants = "key: 0123456789abcdef0123456789abcdef"
)

// startDoor starts an edge in front of the streams, with keys after them. also are further entries of listen.
func startDoor(t testing.TB, streams, keys string, also ...string) *gated {
	t.Helper()
	return startDoorAs(t, unhurried, streams, keys, also...)
}

// startDoorAs is startDoor with another base.
func startDoorAs(t testing.TB, base, streams, keys string, also ...string) *gated {
	t.Helper()
	dir := t.TempDir()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	d := &gated{base: base, also: also, config: filepath.Join(dir, "earshot.yaml"),
		edge: &edge{listen: "http://" + listen, admin: "http://" + admin, data: filepath.Join(dir, "data")}}
	d.configure(t, streams, keys)
	d.run(t, "serve", "-config", d.config)
	return d
}

// configure writes the configuration. It counts when the edge is started again.
func (d *gated) configure(t testing.TB, streams, keys string) {
	t.Helper()
	d.configureSecret(t, streams, keys, doorGrants)
}

// configureSecret is configure with a secret of one's own: the key and value that stand in the configuration.
func (d *gated) configureSecret(t testing.TB, streams, keys, secret string) {
	t.Helper()
	host := func(u string) string { return strings.TrimPrefix(u, "http://") }
	text := fmt.Sprintf(d.base, host(d.listen), host(d.admin), d.data, streams) + "secrets: [{id: one, " + secret + "}]\n" + keys
	if d.also != nil {
		first := fmt.Sprintf("listen: %q", host(d.listen))
		text = strings.Replace(text, first, fmt.Sprintf("listen: [%s]", strings.Join(append(d.also, fmt.Sprintf("{addr: %q}", host(d.listen))), ", ")), 1)
	}
	if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// restart ends the edge as an operator would, and starts it again on the same data and addresses.
func (d *gated) restart(t testing.TB) {
	t.Helper()
	d.endNow(t)
	d.run(t, "serve", "-config", d.config)
}

// apiAnswer is what one of the edge's APIs said.
type apiAnswer struct {
	status int
	header http.Header
	text   string
}

func (s apiAnswer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.text), v); err != nil {
		t.Fatalf("%v in %.500q", err, s.text)
	}
}

// operate asks the operator API. body is nil, or becomes JSON. The answer has the status wanted.
func (d *gated) operate(t testing.TB, method, path string, body any, want int) apiAnswer {
	t.Helper()
	return callAPI(t, method, d.admin+"/admin/v1"+path, "", body, want)
}

// app asks the app API with a bearer token.
func (d *gated) app(t testing.TB, method, path, bearer string, body any, want int) apiAnswer {
	t.Helper()
	return callAPI(t, method, d.listen+"/api/v1"+path, bearer, body, want)
}

func callAPI(t testing.TB, method, u, bearer string, body any, want int) apiAnswer {
	t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, u, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := slowClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d: %s", method, u, res.Status, want, got)
	}
	return apiAnswer{res.StatusCode, res.Header, string(got)}
}

// kick ends a session as an operator does.
func (d *gated) kick(t testing.TB, id string) {
	t.Helper()
	d.operate(t, http.MethodDelete, "/sessions/"+id, nil, http.StatusNoContent)
}

// seats are the seats of a user, or all.
func (d *gated) seats(t testing.TB, user string) (ids []string) {
	t.Helper()
	var page struct {
		Seats []struct {
			ID   string `json:"session_id"`
			User string `json:"user_id"`
		}
	}
	d.operate(t, http.MethodGet, "/seats?limit=500", nil, http.StatusOK).into(t, &page)
	for _, s := range page.Seats {
		if user == "" || s.User == user {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// credited is what the books have of a session, in bytes, so far.
func (d *gated) credited(t testing.TB, id string) (bytes int64) {
	t.Helper()
	if err := d.database(t).QueryRow(`SELECT coalesce(sum(bytes), 0) FROM listen_events WHERE session_id = ?`, id).Scan(&bytes); err != nil {
		t.Fatal(err)
	}
	return bytes
}

// waitCredited waits until the books have something of each of the sessions.
func (d *gated) waitCredited(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		eventually(t, 15*time.Second, "what session "+id+" was sent is in the books", func() error {
			if d.credited(t, id) == 0 {
				return fmt.Errorf("nothing yet")
			}
			return nil
		})
	}
}

// token is a user's, good for an hour unless more says otherwise.
func token(t testing.TB, user string, more ...map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}
	for _, m := range more {
		maps.Copy(claims, m)
	}
	return signed(t, doorSecret, claims)
}

func signed(t testing.TB, secret string, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
