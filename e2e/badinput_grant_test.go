package e2e

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestBadInputGrants: a grant that is not the edge's own, or not this listener's, is worth nothing; on a stream without auth he plays on
// as if he had none.
func TestBadInputGrants(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	e := startEdge(t, g.streams(), hlsStream("other", "/other/", g.hls.URL+"/"))
	c := startCrowd(t, e)
	mine, _ := withID(t, e, "query", "mine")
	grant := mine.Query().Get("earshot")
	flipped := []byte(grant)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string]struct{ path, id, grant, reason string }{
		"forged":        {"/good/", "mine", grant[:len(grant)-22] + strings.Repeat("A", 22), "forged"},
		"altered":       {"/good/", "mine", string(flipped), ""},
		"other group":   {"/other/", "mine", grant, "group"},
		"other session": {"/good/", "yours", grant, "forged"},
		"no session":    {"/good/", "", grant, "forged"},
		"truncated":     {"/good/", "mine", grant[:len(grant)/2], ""},
		"nearly empty":  {"/good/", "mine", "A", "malformed"},
		"no base64":     {"/good/", "mine", "%00\"\n<>", "malformed"},
		"huge":          {"/good/", "mine", strings.Repeat("A", 50_000), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			label := `reason="` + bad.reason
			query := url.Values{"earshot": {bad.grant}}
			if bad.id != "" {
				query.Set("X-Playback-Session-Id", bad.id)
			}
			u := e.listen + bad.path + "hi/index.m3u8?" + query.Encode()
			e.moves(t, 1, func() { grantIgnored(t, u, bad.grant) }, "earshot_grants_rejected_total", label)
		})
	}
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
}

// grantIgnored: the playlist and its segments come, with a grant that is good.
func grantIgnored(t *testing.T, u, bad string) {
	t.Helper()
	base, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	text := mustGet(t, u)
	uris, err := uriLines(base, text)
	if err != nil || len(uris) == 0 {
		t.Fatalf("%v in %q", err, text)
	}
	last := uris[len(uris)-1]
	if got := last.Query().Get("earshot"); got == bad || got == "" {
		t.Errorf("the grant handed on is %.100q", got)
	}
	if body := mustGet(t, last.String()); len(body) != goodBytes {
		t.Errorf("a segment of %d bytes", len(body))
	}
	query := last.Query()
	query.Set("earshot", bad)
	last.RawQuery = query.Encode()
	if body := mustGet(t, last.String()); len(body) != goodBytes {
		t.Errorf("a segment of %d bytes with the bad grant", len(body))
	}
}

// TestBadInputRequests: heads that are too large, methods that are not for streams, and paths that would lead out of the origin's folder.
func TestBadInputRequests(t *testing.T) {
	t.Parallel()
	g := startGood(t)
	v := startVillain(t, map[string]act{"inside": wholeBody("video/mp2t", "inside"), "secret": wholeBody("video/mp2t", "secret")})
	e := startEdge(t, g.streams(), hlsStream("evil", "/evil/", "http://"+v.host+"/inside/"),
		"  - {match: '^/tv/(?P<ch>[^/]+)/', group: 'tv-${ch}', hls: 'http://"+v.host+"/inside/${ch}/'}\n")
	c := startCrowd(t, e)
	t.Run("paths", func(t *testing.T) { badPaths(t, e, v) })
	t.Run("methods", func(t *testing.T) { badMethods(t, e) })
	t.Run("heads", func(t *testing.T) { badRequestHeads(t, e) })
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
}

func badPaths(t *testing.T, e *edge, v *villain) {
	for _, path := range []string{"/evil/../secret", "/evil/%2e%2e/secret", "/evil/.%2E/secret", "/evil/a/../../secret", "/evil/..%2fsecret",
		"/evil/..%5csecret", "/evil/..\\secret", "/evil/%00", "/evil/a%0d%0aHost:%20evil", "/evil/./x", "/evil/..", "/evil/%2e%2e%2fsecret",
		"/tv/../secret", "/tv/%2e%2e/secret/1.ts", "/tv/..%2fsecret/1.ts", "/tv/%00/1.ts", "/nowhere/1.ts", "/", "/evil"} {
		res, text := rawAsk(t, e, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		isProblem(t, res, text, 404, "not-found", v.host)
	}
	for _, path := range []string{"/evil//secret", "/evil/%2fsecret", "/evil/%252e%252e/secret", "/evil/;/secret", "/evil/...", "/evil/http://x/secret",
		"/evil//../secret/../inside"} {
		rawAsk(t, e, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	for _, line := range []string{"GET /evil/\x00 HTTP/1.1", "GET /evil/%zz HTTP/1.1", "GET evil/x HTTP/1.1", "GET  HTTP/1.1", "\x16\x03\x01\x02", "GET /evil/x HTTP/9.9"} {
		if res, _ := rawAsk(t, e, line+"\r\nHost: x\r\nConnection: close\r\n\r\n"); res.StatusCode < 400 || res.StatusCode > 505 {
			t.Errorf("%q: %s", line, res.Status)
		}
	}
	if res, text := rawAsk(t, e, "GET http://"+v.host+"/secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); res.StatusCode != 404 {
		t.Errorf("the edge is an open proxy: %s %q", res.Status, text)
	}
	for _, target := range v.targets() {
		path, err := url.PathUnescape(target)
		if err != nil || !strings.HasPrefix(target, "/inside/") || strings.Contains(path, "/..") && !strings.Contains(path, "/...") {
			t.Errorf("the origin was asked for %q", target)
		}
	}
	if len(v.targets()) == 0 {
		t.Error("the origin was asked for nothing at all")
	}
}

// badMethods: anything that does not read is refused, and tells what would not be.
func badMethods(t *testing.T, e *edge) {
	for _, path := range []string{"/good/master.m3u8", "/good/hi/1.ts", "/radio.mp3"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			res, text, err := askEdge(t, method, e.listen+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if p := isProblem(t, res, text, 405, "method-not-allowed"); p.header.Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("%s %s: Allow is %q", method, path, p.header.Get("Allow"))
			}
		}
		for _, method := range []string{"HEAD", "OPTIONS"} {
			if res, text, err := askEdge(t, method, e.listen+path, nil); err != nil || res.StatusCode > 204 && path != "/good/hi/1.ts" || text != "" {
				t.Errorf("%s %s: %s, %v, %q", method, path, res.Status, err, text)
			}
		}
	}
}

func badRequestHeads(t *testing.T, e *edge) {
	for name, head := range map[string]string{
		"agent":  "User-Agent: " + strings.Repeat("x", 100_000),
		"query":  "X: y",
		"many":   strings.Repeat("A: b\r\n", 20_000) + "C: d",
		"host":   "Host: y",
		"folded": "X: a\r\n b\x00",
		"length": "Content-Length: 1\r\nContent-Length: 2",
		"both":   "Content-Length: 5\r\nTransfer-Encoding: chunked, identity",
	} {
		target := "/good/master.m3u8"
		if name == "query" {
			target += "?earshot=" + strings.Repeat("A", 100_000)
		}
		res, text := rawAsk(t, e, "GET "+target+" HTTP/1.1\r\nHost: x\r\n"+head+"\r\nConnection: close\r\n\r\n")
		if res.StatusCode < 400 || res.StatusCode >= 500 && res.StatusCode != 501 {
			t.Errorf("%s: %s %.100q", name, res.Status, text)
		}
	}
	if res, text := rawAsk(t, e, "GET /good/master.m3u8 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,5-6,-,9999999999999999999-\r\nConnection: close\r\n\r\n"); res.StatusCode != http.StatusOK {
		t.Errorf("a playlist with a Range: %s %.100q", res.Status, text)
	}
}

// rawAsk sends bytes and reads one answer.
func rawAsk(t *testing.T, e *edge, request string) (*http.Response, string) {
	t.Helper()
	c := rawDial(t, e)
	defer c.Close()
	go func() { _, _ = io.WriteString(c, request) }() // the edge may answer before it has read all
	return rawAnswer(t, c)
}
