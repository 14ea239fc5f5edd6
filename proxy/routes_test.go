package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/grafana/regexp"

	"earshot/origin"
	"earshot/playlist"
)

func table() *routes {
	return newRoutes([]*Stream{
		{Group: "news", Path: "/hls/news/", HLS: []string{"http://packager:8000/live/", "http://spare/live/"}},
		{Group: "film", Path: "/film/", HLS: []string{"http://vod/film/"}, Follow: []string{"cdn.example"}},
		{Match: regexp.MustCompile(`^/tv/(?P<ch>[a-z0-9.]+)/`), Group: "tv-${ch}", HLS: []string{"http://packager:8000/${ch}/"}},
		{Match: regexp.MustCompile(`^/multi/(?P<region>[a-z]+)-(?P<ch>[a-z]+)/`), Group: "m", HLS: []string{"http://multi/x/${ch}/${region}/"}},
		{Match: regexp.MustCompile(`^/twice/(?P<region>[a-z]+)-(?P<ch>[a-z]+)/`), Group: "t", HLS: []string{"http://multi/y/${ch}/${region}/${ch}/"}},
		{Match: regexp.MustCompile(`^/vague/[0-9]+/(?P<ch>[a-z]+)/`), Group: "v", HLS: []string{"http://vague/${ch}/"}},
		{Match: regexp.MustCompile(`^/spelt/(?P<ch>[a-z]+)/`), Group: "s", HLS: []string{"HTTP://Mixed.Example/Spelt/${ch}/", "http://default:80/spelt/${ch}/",
			"http://escaped/%7Espelt%2F/${ch}/%2Dx/", "http://user:pass${ch}word@secret/${ch}/", "http://user:password@account/${ch}/"}},
		{Match: regexp.MustCompile(`^/joined/(?P<region>[a-z])(?P<ch>[0-9]+)/`), Group: "j", HLS: []string{"https://joined:443/%6A/${region}${ch}/"}},
		{Group: "outer", Path: "/outer/", HLS: []string{"http://outer/"}},
		{Group: "inner", Path: "/outer/inner/", HLS: []string{"http://inner/"}},
		{Key: "kpcc", Path: "/kpcc.mp3", ICY: []string{"http://icecast:8000/kpcc.mp3"}},
		{Key: "ü", Path: "/%C3%BC.mp3", ICY: []string{"http://icecast:8000/u.mp3"}},
	})
}

func TestFind(t *testing.T) {
	r := table()
	for _, c := range []struct{ path, group, prefix, base, rest string }{
		{"/hls/news/hi/1.ts", "news", "/hls/news/", "http://packager:8000/live/", "hi/1.ts"},
		{"/hls/news//x//y.ts", "news", "/hls/news/", "http://packager:8000/live/", "/x//y.ts"},
		{"/hls/news/a%20b%2Fc.ts", "news", "/hls/news/", "http://packager:8000/live/", "a%20b%2Fc.ts"},
		{"/tv/bbc1/master.m3u8", "tv-bbc1", "/tv/bbc1/", "http://packager:8000/bbc1/", "master.m3u8"},
		{"/kpcc.mp3", "kpcc", "/kpcc.mp3", "http://icecast:8000/kpcc.mp3", ""},
		{"/%C3%BC.mp3", "ü", "/%C3%BC.mp3", "http://icecast:8000/u.mp3", ""},
		{"/%c3%bC.mp3", "ü", "/%C3%BC.mp3", "http://icecast:8000/u.mp3", ""},
	} {
		m := r.find(c.path)
		if m == nil {
			t.Errorf("%s: not found", c.path)
			continue
		}
		if m.group != c.group || m.prefix != c.prefix || m.bases[0] != c.base || m.rest != c.rest {
			t.Errorf("%s: %s, %s, %v, %s", c.path, m.group, m.prefix, m.bases, m.rest)
		}
	}
	for _, path := range []string{"/", "/hls/new", "/hls/news", "/tv/BBC/x", "/x/tv/bbc/x", "/kpcc.mp3/", "/kpcc.mp"} {
		if m := r.find(path); m != nil {
			t.Errorf("%s: found %s", path, m.group)
		}
	}
}

func TestSafe(t *testing.T) {
	for path, want := range map[string]bool{
		"/hls/news/a.ts": true, "/hls/news/a..b/c.ts": true, "/hls/news/...": true, "/hls//x": true,
		"/hls/news/../secret": false, "/hls/news/%2e%2e/secret": false, "/hls/news/..": false, "/hls/news/%2E./x": false,
		"/hls/news/..%2fsecret": false, "/hls/news/..%5csecret": false, "/hls/news/%00": false, "/hls/news/%0d%0aX": false, "/./x": false,
	} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := safe(u); got != want {
			t.Errorf("safe(%s) = %v", path, got)
		}
	}
}

func TestEdgePath(t *testing.T) {
	r := table()
	news := r.find("/hls/news/master.m3u8")
	tv := r.find("/tv/bbc1/master.m3u8")
	for _, c := range []struct {
		m         *mount
		url, want string
	}{
		{news, "http://packager:8000/live/hi/1.ts", "/hls/news/hi/1.ts"},
		{news, "http://spare/live/hi/1.ts?x=1", "/hls/news/hi/1.ts"},
		{news, "http://PACKAGER:8000/live/hi/1.ts", "/hls/news/hi/1.ts"},
		{news, "http://vod/film/1.ts", "/film/1.ts"},
		{tv, "http://packager:8000/bbc1/hi/1.ts", "/tv/bbc1/hi/1.ts"},
		{tv, "http://packager:8000/live/hi/1.ts", "/hls/news/hi/1.ts"},
		{news, "https://packager:8000/live/hi/1.ts", ""},
		{news, "http://packager/live/hi/1.ts", ""},
		{news, "http://packager:8000/other/1.ts", "/tv/other/1.ts"},
		{news, "http://packager:8000/live/../secret", ""},
		{tv, "http://packager:8000/bbc2/hi/1.ts", "/tv/bbc2/hi/1.ts"},
		{news, "http://packager:8000/bbc2/hi/1.ts", "/tv/bbc2/hi/1.ts"},
		{news, "http://packager:8000/%62bc2/hi/%31.ts", "/tv/bbc2/hi/1.ts"},
		{news, "http://packager:8000/l%69ve/hi/1.ts", "/hls/news/hi/1.ts"},
		{news, "http://packager:8000/BBC2/hi/1.ts", ""},
		{news, "http://spare:80/live/a%2Fb.ts", "/hls/news/a%2Fb.ts"},
		{news, "http://multi/x/sport/eu/1.ts", "/multi/eu-sport/1.ts"},
		{news, "http://multi/y/sport/eu/sport/1.ts", "/twice/eu-sport/1.ts"},
		{news, "http://multi/y/sport/eu/other/1.ts", ""},
		{news, "http://vague/sport/1.ts", ""},
		{news, "http://mixed.example/Spelt/one/x.ts", "/spelt/one/x.ts"},
		{news, "http://Mixed.example:80/Spelt/one/x.ts", "/spelt/one/x.ts"},
		{news, "http://mixed.example/spelt/one/x.ts", ""},
		{news, "http://default/spelt/one/x.ts", "/spelt/one/x.ts"},
		{news, "http://default:80/spelt/one/x.ts", "/spelt/one/x.ts"},
		{news, "http://default:8080/spelt/one/x.ts", ""},
		{news, "http://escaped/~spelt%2F/one/-x/x.ts", "/spelt/one/x.ts"},
		{news, "http://escaped/%7Espelt%2F/one/%2Dx/%78.ts", "/spelt/one/x.ts"},
		{news, "http://account/one/x.ts", "/spelt/one/x.ts"},
		{news, "http://secret/one/x.ts", ""},
		{news, "https://joined/j/e1/x.ts", "/joined/e1/x.ts"},
		{news, "http://outer/x/1.ts", "/outer/x/1.ts"},
		{news, "http://outer/inner/1.ts", ""}, // another stream has that path
		{news, "http://inner/1.ts", "/outer/inner/1.ts"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := r.mapper(c.m)(u); got != c.want || ok != (c.want != "") {
			t.Errorf("%s seen from %s: %q", c.url, c.m.group, got)
		}
	}
}

func TestPlain(t *testing.T) {
	for path, want := range map[string]string{"/a": "/a", "/%61%2D%5f%7E/%2F%20%": "/a-_~/%2F%20%", "/%zz%4": "/%zz%4", "/%C3%BC": "/%C3%BC"} {
		if got := plain(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestCaptures: what a client writes into a captured part stays inside it.
func TestCaptures(t *testing.T) {
	r := newRoutes([]*Stream{
		{Match: regexp.MustCompile(`^/any/([^/]+)/`), Group: "any-${1}", HLS: []string{"http://o/${1}/"}},
		{Match: regexp.MustCompile(`^/icy/(?P<ch>[^/]+)$`), Key: "icy-${ch}", ICY: []string{"http://o/listen?mount=${ch}&x=1"}},
	})
	if m := r.find("/icy/a&b;c+d"); m == nil || m.bases[0] != "http://o/listen?mount=a%26b%3Bc%2Bd&x=1" {
		t.Errorf("%+v", m)
	}
	for _, path := range []string{"/any/" + strings.Repeat("a", maxKey) + "/x", "/any/%20/x", "/icy/%26"} {
		if m := r.find(path); m != nil {
			t.Errorf("%s: group %s", path, m.group)
		}
	}
}

func TestFollow(t *testing.T) {
	streams := map[string]*Stream{
		"film":   {HLS: []string{"http://vod/film/"}, Follow: []string{"cdn.example", "cdn.ports:8443", "[2001:db8::1]"}},
		"news":   {HLS: []string{"http://packager:8000/live/", "http://spare/live/"}, Follow: []string{"cdn.example"}},
		"secure": {HLS: []string{"https://vod/film/"}},
	}
	for _, c := range []struct {
		stream, url string
		want        bool
	}{
		// Its own origins.
		{"film", "http://vod/other", true}, {"film", "http://VOD:80/other", true}, {"film", "https://vod/other", true}, {"film", "https://vod:443/", true},
		{"film", "http://vod:8080/", false}, {"film", "https://vod:8443/", false}, {"film", "ftp://vod/x", false}, {"film", "http://vod.evil/x", false},
		{"film", "http:///x", false}, {"film", "http://127.0.0.1/", false},
		{"news", "http://spare/x", true}, {"news", "http://packager:8000/x", true}, {"news", "https://packager:8000/x", true},
		{"news", "http://packager/x", false}, {"news", "http://packager:22/x", false}, {"news", "https://packager/x", false},
		{"secure", "https://vod/x", true}, {"secure", "http://vod/x", false}, {"secure", "http://vod:443/x", false},
		// Hosts that it names.
		{"film", "https://cdn.example/x", true}, {"film", "http://cdn.example/x", true}, {"film", "http://CDN.example:80/x", true},
		{"film", "https://cdn.example:8443/x", false}, {"film", "http://cdn.example:443/x", false}, {"film", "http://cdn.example:6379/x", false},
		{"film", "https://cdn.ports:8443/x", true}, {"film", "https://cdn.ports/x", false}, {"film", "http://[2001:db8::1]/x", true},
		{"news", "http://cdn.example:8000/x", true}, {"news", "http://cdn.example:8001/x", false}, {"secure", "https://cdn.example/x", false},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		s := streams[c.stream]
		if got := s.mount("g", "/", "", s.HLS).follow(u); got != c.want {
			t.Errorf("%s follows %s: %v", c.stream, c.url, got)
		}
	}
}

func TestQuery(t *testing.T) {
	m := table().find("/hls/news/x")
	for raw, want := range map[string]string{
		"":                                      "",
		"token=a;b&x=%zz":                       "token=a;b&x=%zz",
		"X-Playback-Session-Id=1&a=b&earshot=2": "a=b",
		"X%2DPlayback-Session-Id=1&CMCD=sid%3D&offset=3&_HLS_msn=4": "_HLS_msn=4",
	} {
		if got := m.upstreamQuery(raw); got != want {
			t.Errorf("upstream query of %q is %q, want %q", raw, got, want)
		}
	}
	m.stream.Query = []string{"token"}
	if got := m.upstreamQuery("token=1&other=2&_HLS_part=3"); got != "token=1&_HLS_part=3" {
		t.Errorf("restricted query: %q", got)
	}
}

func BenchmarkMapper(b *testing.B) {
	r := table()
	ours := r.mapper(r.find("/tv/bbc1/master.m3u8"))
	u, err := url.Parse("http://packager:8000/bbc1/hi/seg-2900.ts")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ours(u); !ok {
			b.Fatal(u)
		}
	}
}

// TestNoRedirectToHosts: a path that begins with two slashes would be a host in a Location.
func TestNoRedirectToHosts(t *testing.T) {
	doc, err := playlist.Parse([]byte("#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"tok\"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newRoutes([]*Stream{{Group: "all", Path: "/", HLS: []string{"http://packager/"}}})
	for path, want := range map[string]string{"/evil.example/x.m3u8": "/evil.example/x.m3u8?tok=1", "//evil.example/x.m3u8": ""} {
		u, err := url.Parse("http://packager" + path + "?tok=1")
		if err != nil {
			t.Fatal(err)
		}
		req := &http.Request{URL: &url.URL{Path: path}}
		if got, _ := r.find(path).movedQuery(req, &origin.Playlist{URL: u, Doc: doc}); got != want {
			t.Errorf("%s: sent to %q", path, got)
		}
	}
}
