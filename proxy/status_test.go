package proxy

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/relay"
)

// statusOf asks for the state of the mounts, and expects it.
func (s *station) statusOf(query string, fields ...string) map[string]any {
	s.t.Helper()
	s.proxy.status.mu.Lock()
	s.proxy.status.at = time.Time{} // the look before is forgotten
	s.proxy.status.mu.Unlock()
	resp, body := s.ask("GET", "/status-json.xsl"+query, fields...)
	var all map[string]map[string]any
	if err := json.Unmarshal([]byte(body), &all); err != nil || resp.StatusCode != http.StatusOK || len(all) != 1 {
		s.t.Fatalf("%s, %v: %s", resp.Status, err, body)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json; charset=UTF-8" {
		s.t.Errorf("Content-Type %s", got)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Cache-Control") != "no-cache, no-store" {
		s.t.Errorf("headers %v", resp.Header)
	}
	return all["icestats"]
}

func keys(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }

// The keys, types and nesting are those of Icecast 2.4.4 before the same source.
func TestStatusOfOneMount(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	top := s.statusOf("")
	if got := keys(top); got != "admin host location server_id server_start server_start_iso8601 source" {
		t.Errorf("keys %s", got)
	}
	if top["server_id"] != "Earshot/test" || top["location"] != "here" || top["host"] != "127.0.0.1" {
		t.Errorf("%v", top)
	}
	one := top["source"].(map[string]any)
	want := "dummy genre listener_peak listeners listenurl server_description server_name server_type"
	if got := keys(one); got != want || one["listeners"] != 0. || one["server_type"] != "audio/mpeg" {
		t.Errorf("before it was heard: %v", one)
	}
	leave := s.tune("/a.mp3")
	defer leave()
	one = s.statusOf("")["source"].(map[string]any)
	for key, want := range map[string]any{"audio_info": "ice-samplerate=44100;ice-bitrate=128;ice-channels=2;listenurl=7", "bitrate": 128.,
		"genre": "Talk", "ice-bitrate": 128., "ice-channels": 2., "ice-samplerate": 44100., "listener_peak": 1., "listeners": 1.,
		"listenurl": "http://" + s.addr + "/a.mp3", "server_description": "]]></annotation>", "server_name": `A & "B" <é>`,
		"server_type": "audio/mpeg", "server_url": "http://radio.example/?a&b", "dummy": nil} {
		if got, ok := one[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for _, layout := range [][2]string{{"server_start", time.RFC1123Z}, {"server_start_iso8601", iso8601}} {
		if _, err := time.Parse(layout[1], top[layout[0]].(string)); err != nil {
			t.Error(err)
		}
	}
	if s.table.Len() != 1 || s.book.Len() != 1 {
		t.Errorf("%d sessions, %d accounts: only the listener has one", s.table.Len(), s.book.Len())
	}
}

// stream_start is there once a source is, in both of Icecast's forms.
func TestStatusStart(t *testing.T) {
	ogg := string(newSourceText("/a.ogg", &relay.Status{Info: relay.Info{ContentType: "application/ogg"}, Codec: "opus"}).text("http://h"))
	if !strings.Contains(ogg, `"server_type":"application/ogg","subtype":"Opus"`) {
		t.Error(ogg)
	}
	at := time.Date(2026, 11, 22, 4, 58, 54, 0, time.Local)
	text := string(newSourceText("/a", &relay.Status{Connected: at}).text("http://h"))
	want := `"stream_start":"` + at.Format("Mon, 02 Jan 2006 15:04:05 -0700") + `","stream_start_iso8601":"` + at.Format("2006-01-02T15:04:05-0700") + `","dummy":null}`
	if !strings.HasSuffix(text, want) {
		t.Error(text)
	}
}

// One mount is an object, several are a list, none is nothing; a mount whose origins all fail is not on air.
func TestStatusOfMounts(t *testing.T) {
	up := broadcast(t, nil)
	s := newStation(t, Options{}, nil, tuned("b", "/b.mp3", up+"/b"), tuned("a", "/sp%C3%A4t;a", up+"/a"), tuned("gone", "/gone.mp3", up+"/none"))
	urls := func(query string) (all []string) {
		source := s.statusOf(query)["source"]
		list, many := source.([]any)
		if one, ok := source.(map[string]any); ok {
			list = []any{one}
		}
		for _, one := range list {
			all = append(all, strings.TrimPrefix(one.(map[string]any)["listenurl"].(string), "http://"+s.addr))
		}
		if many != (len(all) > 1) {
			t.Errorf("%s: %d mounts, a list: %v", query, len(all), many)
		}
		return all
	}
	for _, c := range []struct{ query, want string }{
		{"", "/b.mp3 /gone.mp3 /sp%C3%A4t;a"},
		{"?mount=/b.mp3", "/b.mp3"},
		{"?mount=%2Fsp%C3%A4t%3Ba", "/sp%C3%A4t;a"},
		{"?mount=/sp%25C3%25A4t%3Ba", "/sp%C3%A4t;a"},
		{"?mount=/c", ""},
		{"?mount=", ""},
	} {
		if got := strings.Join(urls(c.query), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
	if got := keys(s.statusOf("?mount=/c")); got != "admin dummy host location server_id server_start server_start_iso8601" {
		t.Errorf("of none: %s", got)
	}
	s.ask("GET", "/gone.mp3")
	if got := strings.Join(urls(""), " "); got != "/b.mp3 /sp%C3%A4t;a" {
		t.Errorf("with one that failed: %s", got)
	}
}

// A look at the mounts is good for a second, whoever asks.
func TestStatusIsKept(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	first := s.proxy.status.now()
	if again := s.proxy.status.now(); &first[0] != &again[0] {
		t.Error("looked again at once")
	}
	s.proxy.status.at = time.Now().Add(-statusFor)
	if later := s.proxy.status.now(); &first[0] == &later[0] {
		t.Error("not looked again after a second")
	}
}

// A Host that is none is not repeated, and the scheme is the client's own as far as somebody trusted says so.
func TestStatusHost(t *testing.T) {
	s := newStation(t, Options{Trusted: TrustedProxies{Prefixes: loopback}}, nil, tuned("a", "/a.mp3", "http://127.0.0.1:1/"))
	for _, c := range []struct{ host, proto, want string }{
		{"radio.example:8000", "", "http://radio.example:8000/a.mp3"},
		{"[::1]:8000", "", "http://[::1]:8000/a.mp3"},
		{"radio.example", "https", "https://radio.example/a.mp3"},
		{"radio.example", "HTTPS, http", "https://radio.example/a.mp3"},
		{"radio.example", "javascript", "http://radio.example/a.mp3"},
		{`a'b,"c`, "", "http://" + s.addr + "/a.mp3"},
		{"a@b", "", "http://" + s.addr + "/a.mp3"},
		{"a:b", "", "http://" + s.addr + "/a.mp3"},
		{strings.Repeat("a", 300), "", "http://" + s.addr + "/a.mp3"},
	} {
		head := "GET /status-json.xsl HTTP/1.1\r\nConnection: close\r\nHost: " + c.host + "\r\n"
		if c.proto != "" {
			head += "X-Forwarded-Proto: " + c.proto + "\r\n"
		}
		answer := s.raw(head + "\r\n")
		if !strings.Contains(answer, `"listenurl":"`+c.want+`"`) && !strings.Contains(answer, "400 Bad Request") {
			t.Errorf("%s: %s", c.host, answer)
		}
	}
	if answer := s.raw("GET /status-json.xsl HTTP/1.0\r\n\r\n"); !strings.Contains(answer, `"listenurl":"http://`+s.addr+`/a.mp3"`) {
		t.Errorf("without a Host: %s", answer)
	}
	open := newStation(t, Options{}, nil, tuned("a", "/a.mp3", "http://127.0.0.1:1/"))
	if one := open.statusOf("", "Host", "h", "X-Forwarded-Proto", "https")["source"].(map[string]any); one["listenurl"] != "http://h/a.mp3" {
		t.Errorf("believed from anybody: %v", one)
	}
}

// A configured stream at that very path wins.
func TestStatusGivesWay(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/status-json.xsl", broadcast(t, nil)+"/a"))
	resp, _ := s.ask("HEAD", "/status-json.xsl")
	if got := resp.Header.Get("Content-Type"); got != "audio/mpeg" {
		t.Errorf("Content-Type %s", got)
	}
}

func BenchmarkStatus(b *testing.B) {
	up := relay.New(relay.Options{})
	var streams []*Stream
	for _, c := range "abcdefghij" {
		streams = append(streams, tuned(string(c), "/"+string(c), "http://127.0.0.1:1/"))
	}
	p := New(Options{Streams: streams, Relay: up})
	defer p.Close()
	r, err := http.NewRequest("GET", "http://radio.example/status-json.xsl", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.statusPage(r)
	}
}
