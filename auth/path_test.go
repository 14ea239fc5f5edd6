package auth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

var cutCases = []struct{ path, token, rest string }{
	{"/token=eyJa.b.c/hls/a.m3u8", "eyJa.b.c", "/hls/a.m3u8"},
	{"/hls/token=eyJa.b.c/a.m3u8", "eyJa.b.c", "/hls/a.m3u8"},
	{"/hls/a.m3u8/token=eyJa.b.c", "eyJa.b.c", "/hls/a.m3u8"},
	{"/hls/eyJa.b.c/a%20b.m3u8", "eyJa.b.c", "/hls/a%20b.m3u8"},
	{"/eyJa.b.c", "eyJa.b.c", "/"},
	{"/eyJa.b.c/", "eyJa.b.c", "/"},
	{"/token%3DeyJa.b.c/hls/", "eyJa.b.c", "/hls/"},
	{"/token=x/hls/", "x", "/hls/"},
	{"/token=/hls/", "", "/token=/hls/"},
	{"/tokens=eyJa.b.c/hls/", "", "/tokens=eyJa.b.c/hls/"},
	{"/eyJa.b.c/eyJd.e.f/hls", "eyJa.b.c", "/eyJd.e.f/hls"},
	{"//eyJa.b.c//x", "eyJa.b.c", "///x"},
	{"/eyJa.b/hls", "", "/eyJa.b/hls"},
	{"/eyJa.b.c.d/hls", "", "/eyJa.b.c.d/hls"},
	{"/eyJa..c/hls", "", "/eyJa..c/hls"},
	{"/eyJa.b./hls", "", "/eyJa.b./hls"},
	{"/eyJ.b.c/hls", "eyJ.b.c", "/hls"},
	{"/eyJ%61.b.c/hls", "", "/eyJ%61.b.c/hls"},
	{"/kpcc.mp3", "", "/kpcc.mp3"},
	{"/token=%zz/x", "", "/token=%zz/x"},
	{"/", "", "/"}, {"", "", ""}, {"*", "", "*"}, {"eyJa.b.c", "", "eyJa.b.c"},
}

func TestCutPath(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret}})
	for _, c := range cutCases {
		if token, rest := a.CutPath(c.path); token != c.token || rest != c.rest {
			t.Errorf("%s: %q, %q", c.path, token, rest)
		}
	}
	if token, rest := newAuth(t, Options{SignedURL: &SignedURL{Key: "k"}}).CutPath(cutCases[0].path); token != "" || rest != cutCases[0].path {
		t.Errorf("without tokens: %q, %q", token, rest)
	}
	real := hs(t, jwt.MapClaims{"sub": "ann"})
	if token, rest := a.CutPath("/hls/" + real + "/a.m3u8"); token != real || rest != "/hls/a.m3u8" {
		t.Error(token, rest)
	}
}

func FuzzCutPath(f *testing.F) {
	for _, c := range cutCases {
		f.Add(c.path)
	}
	a := newAuth(f, Options{JWT: &JWT{Secret: secret}})
	f.Fuzz(func(t *testing.T, path string) {
		token, rest := a.CutPath(path)
		if token == "" {
			if rest != path {
				t.Fatalf("%q lost something: %q", path, rest)
			}
			return
		}
		if !strings.HasPrefix(rest, "/") || rest != "/" && len(rest) >= len(path) {
			t.Fatalf("%q: %q", path, rest)
		}
		// One segment is gone, which holds the token, and the others stand as they did.
		was, is := strings.Split(path, "/"), strings.Split(rest, "/")
		if rest == "/" && len(was) == 2 {
			is = was[:1]
		}
		if len(was) != len(is)+1 {
			t.Fatalf("%q: %q", path, rest)
		}
		i := 0
		for i < len(is) && was[i] == is[i] {
			i++
		}
		if strings.Join(was[i+1:], "/") != strings.Join(is[i:], "/") {
			t.Fatalf("%q: %q", path, rest)
		}
		found := false
		for _, s := range was {
			u, _ := url.PathUnescape(s)
			found = found || s == token || u == "token="+token
		}
		if !found {
			t.Fatalf("%q: the token %q is nowhere", path, token)
		}
	})
}

func FuzzToken(f *testing.F) {
	ec := newEC(f)
	a := newAuth(f, Options{JWT: &JWT{Secret: secret, Keys: file(f, pemOf(f, ec.public()))}, SignedURL: &SignedURL{Key: "k"}})
	good := hs(f, jwt.MapClaims{"sub": "ann", "streams": "news"})
	f.Add(good, "", "")
	other := ec.sign(f, jwt.MapClaims{"sub": "ann"})
	f.Add(other, "", "")
	f.Add("", "token="+good, "Basic YTpi")
	f.Add("eyJhbGciOiJub25lIn0.e30.", "expires=1&sig=x&user=a", "Bearer x")
	f.Add("..", "token=%2", "Bearer")
	honest := map[string]bool{good: true, other: true}
	f.Fuzz(func(t *testing.T, token, query, header string) {
		r := request("")
		r.PathToken, r.RawQuery, r.Authorization = token, query, header
		id, err := a.Admit(t.Context(), r)
		c := a.credentials(r)
		if code(t, err) == "" && !honest[c.token] {
			t.Fatalf("%q was let in as %+v", c.token, id)
		}
		if err != nil && id != (Identity{}) {
			t.Fatalf("refused, and yet %+v", id)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*", "abc", true}, {"a*", "ba", false}, {"*c", "abc", true},
		{"a*c", "ac", true}, {"a*c", "acb", false}, {"a*b*c", "a-b-b-c", true}, {"a**c", "abc", true}, {"abc", "ab", false}, {"ab", "abc", false},
		{"*a*a*a*a*a*a*a*a*b", strings.Repeat("a", 4000), false}, {"tv-*", "tv-é", true}, {"?", "a", false}, {"[a]", "a", false},
	} {
		if match(c.pattern, c.s) != c.want {
			t.Errorf("%q, %.20q", c.pattern, c.s)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{" a\n\tb ": "a b", "a\x00b\u202e": "ab", "a\xffb": "ab", strings.Repeat("é", 300): strings.Repeat("é", 150), "": "", "\r\n": ""} {
		if got := clean(in, 300); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
