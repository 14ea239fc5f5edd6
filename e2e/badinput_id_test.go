package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// badIDs are what no session may be called, by how they come. "b.….…" is the form of ids that the edge gives to who says nothing.
var badIDs = map[string]string{
	"long":     strings.Repeat("x", 10_000),
	"longer":   strings.Repeat("é", 65),
	"newline":  "a\nX-Evil: 1",
	"crlf":     "a\r\n\r\n#EXTINF:1,\r\nhttp://evil.example/",
	"nul":      "a\x00b",
	"escape":   "a\x1b[31m",
	"notutf8":  "a\xff\xfeb",
	"bidi":     "a\u202eb",
	"newlines": "\u2028",
	"bare":     "b.AAAAAAAAAAAAAAAA.zzz",
}

// oddIDs are legal and strange.
var oddIDs = map[string]string{
	"quotes":    `he said "hi", it's 'fine'`,
	"commas":    "a,b;c=d&e=f?g#h/../i",
	"percent":   "100%25 %zz %",
	"html":      "</script><script>alert(1)</script>",
	"sql":       "'; DROP TABLE listen_events; --",
	"label":     `a="b"} 1` + `\n`,
	"tag":       "#EXT-X-ENDLIST",
	"emoji":     "радио 📻",
	"backslash": `\\\"`,
	"longest":   strings.Repeat("z", 128),
}

// header values cannot hold these, so that they come in the query only.
func fitsHeader(id string) bool {
	return !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' })
}

// TestBadInputSessionIDs: whatever a client calls itself, the stream plays, and nobody's books are broken by it.
func TestBadInputSessionIDs(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdge(t, g.streams())
	c := startCrowd(t, e)
	for _, by := range []string{"query", "header", "cmcd"} {
		for name, id := range badIDs {
			if by == "query" || fitsHeader(id) {
				t.Run(name+" "+by, func(t *testing.T) {
					e.moves(t, 1, func() { idReplaced(t, e, by, id) }, "earshot_session_ids_rejected_total")
				})
			}
		}
		for name, id := range oddIDs {
			if by != "cmcd" && fitsHeader(id) {
				t.Run(name+" "+by, func(t *testing.T) { idKept(t, e, by, id) })
			}
		}
	}
	t.Run("books", func(t *testing.T) { idsInBooks(t, e) })
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
	e.checkMetrics(t)
}

// withID asks for the master under an id that comes one way or another, and returns the URI of its variant and the notice.
func withID(t *testing.T, e *edge, by, id string) (variant *url.URL, notice string) {
	t.Helper()
	u := e.listen + "/good/master.m3u8"
	if by == "query" {
		u += "?X-Playback-Session-Id=" + url.QueryEscape(id)
	}
	res, text, err := askEdge(t, http.MethodGet, u, func(r *http.Request) {
		switch by {
		case "header":
			r.Header.Set("X-Playback-Session-Id", id)
		case "cmcd":
			r.Header.Set("CMCD-Session", `cid="x",sid="`+id+`",v=1`)
		}
	})
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %.300s", res.Status, err, text)
	}
	uris, err := uriLines(res.Request.URL, text)
	if err != nil || len(uris) != 1 || strings.Count(text, "\n") != 3 {
		t.Fatalf("the playlist is not what it was: %v, %q", err, text)
	}
	return uris[0], res.Header.Get("Earshot-Notice")
}

func idReplaced(t *testing.T, e *edge, by, id string) {
	t.Helper()
	variant, notice := withID(t, e, by, id)
	got := variant.Query().Get("X-Playback-Session-Id")
	if got == id || len(got) != 22 {
		t.Errorf("the session is %q, which is no minted id", got)
	}
	if !strings.Contains(notice, "bad session id") || !strings.Contains(notice, "minted") {
		t.Errorf("the notice is %q", notice)
	}
	playsOn(t, variant, got)
}

func idKept(t *testing.T, e *edge, by, id string) {
	t.Helper()
	variant, notice := withID(t, e, by, id)
	if got := variant.Query().Get("X-Playback-Session-Id"); got != id || notice != "" {
		t.Errorf("the session is %q, not %q; notice %q", got, id, notice)
	}
	if raw, _, _ := strings.Cut(strings.TrimPrefix(variant.RawQuery, "X-Playback-Session-Id="), "&"); strings.ContainsAny(raw, "\"'<>#?;= \\") {
		t.Errorf("the id is not escaped in %q", variant.RawQuery)
	}
	playsOn(t, variant, id)
}

// playsOn: the variant and its first segment come, under the same id.
func playsOn(t *testing.T, variant *url.URL, id string) {
	t.Helper()
	text := mustGet(t, variant.String())
	uris, err := uriLines(variant, text)
	if err != nil || len(uris) == 0 {
		t.Fatalf("%v in %q", err, text)
	}
	if got := uris[0].Query().Get("X-Playback-Session-Id"); got != id {
		t.Errorf("the segment's session is %q, not %q", got, id)
	}
	if body := mustGet(t, uris[0].String()); len(body) != goodBytes {
		t.Errorf("a segment of %d bytes", len(body))
	}
}

// idsInBooks: the operators' pages are well-formed and hold each odd id as it is, and so does the database.
func idsInBooks(t *testing.T, e *edge) {
	t.Helper()
	var page struct {
		Sessions []struct {
			ID string `json:"session_id"`
		}
	}
	if err := json.Unmarshal([]byte(mustGet(t, e.admin+"/admin/v1/sessions?limit=500")), &page); err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, s := range page.Sessions {
		shown[s.ID] = true
	}
	metrics := mustGet(t, e.admin+"/metrics")
	db := e.database(t)
	for name, id := range oddIDs {
		if !shown[id] {
			t.Errorf("%s: %q is not among the sessions", name, id)
		}
		if strings.Contains(metrics, id) {
			t.Errorf("%s: it is in /metrics", name)
		}
		eventually(t, 10*time.Second, "the events of "+name, func() error {
			var n int64
			err := db.QueryRow(`SELECT count(*) FROM listen_events WHERE session_id = ? AND bytes > 0`, id).Scan(&n)
			if err == nil && n == 0 {
				err = fmt.Errorf("none")
			}
			return err
		})
	}
	for name, id := range badIDs {
		if shown[id] {
			t.Errorf("%s: a session is called %q", name, id)
		}
	}
}
