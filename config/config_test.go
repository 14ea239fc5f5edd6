package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// environment is what the fixtures are filled from.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"NAME":   "earshot",
		"PREFIX": "origin",
		"PORT":   "8080",
		"MAX":    "5000",
		"TOKEN":  "t0ken-t0ken",
		"EMPTY":  "",
		"SECRET": "hunter2",
		"STRAY":  "${other}",
	}[name]
	return value, ok
}

func fixtures(t testing.TB, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures %s: %v", pattern, err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(text)
	}
	return texts
}

// parseGood parses a fixture that must be right.
func parseGood(t *testing.T, name string) *Config {
	t.Helper()
	c, err := Parse(name, []byte(fixtures(t, "good/"+name)[name]), environment)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A bad fixture begins with the whole text of its error, each line behind "# want: ". Secrets are hunter2.
func TestBad(t *testing.T) {
	for name, text := range fixtures(t, "bad/*.yaml") {
		t.Run(name, func(t *testing.T) {
			var want []string
			for line := range strings.Lines(text) {
				if problem, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSuffix(problem, "\n"))
				}
			}
			c, err := Parse(name, []byte(text), environment)
			if err == nil {
				t.Fatal("no error")
			}
			if c != nil {
				t.Error("a configuration besides the error")
			}
			if got := err.Error(); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds a secret")
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	c := parseGood(t, "minimal.yaml")
	want := Default()
	stream := DefaultStream()
	stream.Line, stream.Stream, stream.Path = 2, "kpcc", "/kpcc.mp3"
	stream.ICY = []string{"http://icecast:8000/kpcc.mp3"}
	want.Streams = []Stream{stream}
	equal(t, c, want)
}

// equal compares configurations, except for where keys stand.
func equal(t *testing.T, c *Config, want Config) {
	t.Helper()
	got := *c
	got.file, got.lines, got.notices = "", nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The contract's defaults, written out, are the defaults of a file that sets nothing.
func TestContract(t *testing.T) {
	c := parseGood(t, "contract.yaml")

	news, tv, kpcc := DefaultStream(), DefaultStream(), DefaultStream()
	news.Line, news.Group, news.Path = 14, "news", "/hls/news/"
	news.HLS = []string{"http://packager:8000/live/"}
	tv.Line, tv.Group = 18, "tv-${ch}"
	tv.HLS = []string{"http://packager:8000/${ch}/"}
	kpcc.Line, kpcc.Stream, kpcc.Path = 21, "kpcc", "/kpcc.mp3"
	kpcc.ICY, kpcc.Follow = []string{"http://icecast:8000/kpcc.mp3"}, []string{}

	if got := c.Streams[1].Match.String(); got != "^/tv/(?P<ch>[a-z0-9]+)/" {
		t.Errorf("match %s", got)
	}
	c.Streams[1].Match = nil
	want := Default()
	want.Streams = []Stream{news, tv, kpcc}
	want.Secrets, want.Limits, want.Blackouts, want.Origins = []Secret{}, []Limit{}, []Blackout{}, []Origin{}
	equal(t, c, want)
}

func TestNotices(t *testing.T) {
	for _, name := range []string{"minimal.yaml", "contract.yaml", "guards.yaml"} {
		if got := parseGood(t, name).Notices(); len(got) != 0 {
			t.Errorf("%s: %s", name, strings.Join(got, "\n"))
		}
	}

	const wide = "streams: [{match: '^/(?P<ch>[^/]+)/', group: '${ch}', hls: 'http://a/${ch}/'}]"
	c, err := Parse("wide.yaml", []byte(wide), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"wide.yaml:1: streams[0].match: also matches paths under /api/, which the app API answers first"}
	if got := c.Notices(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEverything(t *testing.T) {
	c := parseGood(t, "everything.yaml")
	streams := c.Streams
	c.Streams = nil

	want := Default()
	want.Listen = []Listener{{Addr: "127.0.0.1:0"}, {Addr: "[::1]:8080", ProxyProtocol: true,
		TLS: &TLS{Cert: "testdata/tls/one.pem", Key: "testdata/tls/one.key"}}}
	want.Admin = Admin{Addr: "0.0.0.0:9000", Token: "t0ken-t0ken"}
	want.Data, want.Edge = "/var/lib/earshot", "earshot-1"
	want.Secrets = []Secret{{"new", "t0ken-t0ken-t0ken-t0ken"}, {"old", "0123456789abcdef"}}
	want.TrustedProxies = nil
	for _, p := range []string{"10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128"} {
		want.TrustedProxies = append(want.TrustedProxies, netip.MustParsePrefix(p))
	}
	want.ClientIPHeader = "True-Client-IP"
	want.MaxSessions, want.NewSessionsPerAddress, want.AccessLog = 5000, 7, "testdata/access.log"
	want.Listening = Listening{Slice: 500 * time.Millisecond, Idle: 90 * time.Second}
	want.Privacy.IP = "truncate"
	want.Retention = Retention{Events: 14 * day, Sessions: 10*day + 12*time.Hour, Evidence: 365 * day}
	equal(t, c, want)

	patterns := map[int]string{0: "^/(?P<ch>[a-z]+)/(?P<NAME>v[12])/", 1: "^/radio/(?P<m>[a-z]+)[.]mp3$", 5: "^/tune/(?P<m>[a-z]+)$"}
	for i, pattern := range patterns {
		if got := streams[i].Match.String(); got != pattern {
			t.Errorf("streams[%d].Match %s, want %s", i, got, pattern)
		}
		streams[i].Match = nil
	}
	wantStreams := []Stream{
		{
			Line: 22, Group: "origin-${ch}-${NAME}", // the capture NAME, not the environment's
			HLS:    []string{"http://origin.example.com:8000/${ch}/${NAME}/", "https://backup/${ch}/"},
			Follow: []string{"cdn.example.com", "cdn.example.com:8443", "[2001:db8::1]"}, Query: []string{},
			Mount: DefaultStream().Mount, Auth: "inherit",
		},
		{
			Line: 29, Stream: "radio-${m}", ICY: []string{"http://icecast/${m}?type=${m}"},
			Mount: DefaultStream().Mount, Auth: "inherit",
		},
		{
			Line: 32, Group: "101", Path: "/101/", HLS: []string{"http://packager/101/"},
			Query: []string{"lang", "_HLS_x"}, Mount: DefaultStream().Mount, Auth: "inherit",
		},
		{
			Line: 36, Stream: "späti", Path: "/sp%C3%A4ti;",
			ICY:   []string{"http://shoutcast:8000/;stream.nsv?a=b", "http://backup/"},
			Mount: mount(func(m *Mount) { m.Burst, m.Rewind, m.MaxListeners = 1500, 30*time.Second, 300 }), Auth: "none",
		},
		{
			Line: 43, Stream: "full", Path: "/full.mp3", ICY: []string{"http://icecast/full", "./testdata/audio.mp3"},
			Mount: Mount{BurstTime: 5 * time.Second, Rewind: time.Hour, MaxListeners: 2, Intro: "testdata/audio.mp3", Charset: "KOI8-R",
				AlwaysOn: true, Linger: time.Minute, Patience: 30 * time.Second, Stall: 5 * time.Second,
				Overflow: "https://other.example/full.mp3?from=earshot"},
			Auth: "inherit", Follow: []string{"cdn.example:8000"},
		},
		{
			Line: 57, Stream: "tune-${m}", ICY: []string{"http://icecast/${m}", "./testdata/audio.mp3"},
			Mount: mount(func(m *Mount) { m.MaxListeners, m.Overflow = 1, "https://other.example/${m}" }), Auth: "inherit",
		},
	}
	for i, got := range streams {
		if !reflect.DeepEqual(got, wantStreams[i]) {
			t.Errorf("streams[%d]\ngot  %+v\nwant %+v", i, got, wantStreams[i])
		}
	}
}

// mount is the default mount, changed.
func mount(change func(*Mount)) Mount {
	m := DefaultStream().Mount
	change(&m)
	return m
}

func TestAliases(t *testing.T) {
	const text = `
listening: {slice: &t 1m, idle: *t}
streams:
  - {group: a, path: /a/, hls: &origins ["http://one/", "http://two/"]}
  - {group: b, path: /b/, hls: *origins}
`
	c, err := Parse("a.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listening.Idle != time.Minute || !reflect.DeepEqual(c.Streams[1].HLS, []string{"http://one/", "http://two/"}) {
		t.Errorf("got %+v", c)
	}
}

func TestExpandNames(t *testing.T) {
	for template, want := range map[string][]string{
		"plain":              nil,
		"http://a/${ch}/":    {"ch"},
		"${a}-$b-${c_1}${a}": {"a", "c_1", "a"},
		"${} ${a":            nil,
	} {
		if got := ExpandNames(template); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", template, got, want)
		}
	}
}
