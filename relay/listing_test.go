package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseList(t *testing.T) {
	many := strings.Repeat("http://h/x\n", 100)
	for _, tc := range []struct {
		name, contentType, body string
		want                    []string
		outcome                 Outcome
	}{
		{"pls", "audio/x-scpls", "[playlist]\r\nNumberOfEntries=2\r\nFile1=http://h:8000/\r\nTitle1=A\r\nfile2 = /b\r\nFilename=x\r\n", []string{"http://h:8000/", "/b"}, ""},
		{"m3u", "audio/x-mpegurl", "\ufeff#EXTM3U\n#EXTINF:-1,A\nhttp://h/a\n\n  b.mp3 \n", []string{"http://h/a", "b.mp3"}, ""},
		{"m3u without a mark", "audio/mpegurl; charset=x", "a.mp3\nb.mp3", []string{"a.mp3", "b.mp3"}, ""},
		{"m3u8 that is a plain list", "application/vnd.apple.mpegurl", "#EXTM3U\nhttp://h/a", []string{"http://h/a"}, ""},
		{"xspf", "application/xspf+xml", `<?xml version="1.0" encoding="ISO-8859-15"?><playlist version="1"><location>no</location><trackList><track><title>x</title><location> http://h/a?b=1&amp;c </location></track><track><location><![CDATA[b.mp3]]></location></track></trackList></playlist>`, []string{"http://h/a?b=1&c", "b.mp3"}, ""},
		{"xspf that breaks off", "audio/mpeg", `<playlist><track><location>a</location><track><location`, []string{"a"}, ""},
		{"URL as text", "text/plain", "https://h/a\n", []string{"https://h/a"}, ""},
		{"control bytes", "text/plain", "http://h/a\x00\x0bb\n", []string{"http://h/ab"}, ""},
		{"many", "audio/x-mpegurl", many, strings.Fields(many)[:maxEntries], ""},
		{"empty", "audio/x-mpegurl", "#EXTM3U\n", nil, BadList},
		{"empty xspf", "application/xspf+xml", "<playlist/>", nil, BadList},
		{"HLS", "application/vnd.apple.mpegurl", "#EXTM3U\n#EXT-X-VERSION:3\nhttp://h/a.ts", nil, IsHLS},
		{"page", "application/xml", "<html>", nil, NotAudio},
		{"text", "text/plain", "hello", nil, NotAudio},
	} {
		got, err := parseList(tc.contentType, []byte(tc.body))
		if !reflect.DeepEqual(got, tc.want) || (err != nil) != (tc.outcome != "") || err != nil && err.Outcome != tc.outcome {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add("audio/x-mpegurl", []byte("#EXTM3U\nhttp://h/a"))
	f.Add("text/xml", []byte("<playlist><track><location>a</location></track></playlist>"))
	f.Add("", []byte("[playlist]\nFile1=a"))
	f.Fuzz(func(t *testing.T, contentType string, b []byte) {
		list, err := parseList(contentType, b)
		if (err == nil) != (len(list) > 0) || len(list) > maxEntries {
			t.Errorf("%q, %v", list, err)
		}
		for _, entry := range list {
			if entry == "" || clean(entry) != entry {
				t.Errorf("%q passes", entry)
			}
		}
	})
}

func TestMayName(t *testing.T) {
	d := dialer{origins: []string{"http://icecast:8000/a.mp3", "https://secure/a.mp3", "/file.mp3"}, follow: []string{"cdn.example", "exact:9000"}}
	for _, c := range []struct {
		from, to       string
		list, redirect bool
	}{
		{"http://icecast:8000/", "http://icecast:9999/b", true, false},
		{"http://icecast:8000/", "http://ICECAST:80/b", true, true},
		{"http://icecast:8000/", "https://secure/b", true, true},
		{"https://secure/", "https://secure:8443/b", true, false},
		{"https://secure/", "http://secure/b", false, false},
		{"https://secure/", "http://cdn.example/b", false, false},
		{"http://icecast:8000/", "http://cdn.example/b", true, true},
		{"http://icecast:8000/", "http://cdn.example:8000/b", true, true},
		{"http://icecast:8000/", "http://cdn.example:22/b", false, false},
		{"http://icecast:8000/", "http://exact:9000/b", true, true},
		{"http://icecast:8000/", "http://exact/b", false, false},
		{"http://icecast:8000/", "http://192.0.2.1/b", false, false},
		{"http://icecast:8000/", "file:///etc/passwd", false, false},
		{"http://icecast:8000/", "ftp://icecast:8000/", false, false},
		{"http://icecast:8000/", "http:///b", false, false},
	} {
		from, err := url.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := from.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.mayName(from, to); got != c.list {
			t.Errorf("a playlist at %s names %s: %v", from, to, got)
		}
		if got := d.mayFollow(from, to); got != c.redirect {
			t.Errorf("%s redirects to %s: %v", from, to, got)
		}
	}
}

// listed is an origin with pages: path to answer, head and all.
func listed(t *testing.T, pages map[string]string) *origin {
	var o *origin
	o = newOrigin(t, func(c net.Conn, n int) {
		o.mu.Lock()
		path := strings.Fields(o.requests[len(o.requests)-1])[1]
		o.mu.Unlock()
		fmt.Fprint(c, pages[path])
		if strings.Contains(pages[path], "icy-br") {
			c.Write(mp3(20))
			untilClosed(c)
		}
	})
	return o
}

func list(contentType, body string) string {
	return "HTTP/1.0 200 OK\r\nContent-Type: " + contentType + "\r\n\r\n" + body
}

func TestPlaylistAsOrigin(t *testing.T) {
	audio := fmt.Sprintf(icecastHead, 0)
	elsewhere := listed(t, map[string]string{"/other": audio, "/list.pls": list("audio/x-scpls", "[playlist]\nFile1=/other")})
	port := elsewhere.url("/other")
	gone := "HTTP/1.0 404 Not Found\r\n\r\n"
	_, number, _ := net.SplitHostPort(elsewhere.ln.Addr().String())
	for _, tc := range []struct {
		name    string
		pages   map[string]string
		follow  []string
		outcome Outcome // "": it plays
	}{
		{"pls", map[string]string{"/": list("audio/x-scpls", "[playlist]\nFile1=/a"), "/a": audio}, nil, ""},
		{"that says it is audio", map[string]string{"/": list("audio/mpeg", "#EXTM3U\n#EXTINF:-1,x\na\n"), "/a": audio}, nil, ""},
		{"with a length on a connection that stays", map[string]string{"/": "HTTP/1.0 200 OK\r\nx:icy-br\r\nContent-Type: audio/x-mpegurl\r\nContent-Length: 2\r\n\r\n/a", "/a": audio}, nil, ""},
		{"next entry", map[string]string{"/": list("audio/x-mpegurl", "/gone\n/a\n"), "/gone": gone, "/a": audio}, nil, ""},
		{"same host, other port", map[string]string{"/": list("audio/x-mpegurl", port)}, nil, ""},
		{"of playlists", map[string]string{"/": list("audio/x-mpegurl", "/b"), "/b": list("audio/x-mpegurl", elsewhere.url("/list.pls"))}, nil, ""},
		{"behind a redirect", map[string]string{"/": "HTTP/1.0 302 Found\r\nLocation: /b\r\n\r\n", "/b": list("audio/x-mpegurl", "/c"), "/c": "HTTP/1.0 302 Found\r\nLocation: /a\r\n\r\n", "/a": audio}, nil, ""},
		{"host in follow", map[string]string{"/": list("audio/x-mpegurl", "http://localhost:"+number+"/other")}, []string{"localhost:" + number}, ""},
		{"host not in follow", map[string]string{"/": list("audio/x-mpegurl", "http://localhost:"+number+"/other")}, nil, BadMove},
		{"redirect to follow", map[string]string{"/": "HTTP/1.0 302 Found\r\nLocation: " + port + "\r\n\r\n"}, []string{"127.0.0.1:" + number}, ""},
		{"local file", map[string]string{"/": list("audio/x-mpegurl", "file:///etc/passwd")}, nil, BadMove},
		{"itself", map[string]string{"/": list("audio/x-mpegurl", "/")}, nil, BadList},
		{"circle", map[string]string{"/": list("audio/x-mpegurl", "/b"), "/b": list("audio/x-mpegurl", "/")}, nil, BadList},
		{"four deep", map[string]string{"/": list("audio/x-mpegurl", "/b"), "/b": list("audio/x-mpegurl", "/c"), "/c": list("audio/x-mpegurl", "/d"), "/d": list("audio/x-mpegurl", "/a"), "/a": audio}, nil, BadList},
		{"too long", map[string]string{"/": list("audio/x-mpegurl", strings.Repeat("#"+strings.Repeat("x", 1000)+"\n", 70)+"/a"), "/a": audio}, nil, BadList},
		{"HLS", map[string]string{"/": list("audio/x-mpegurl", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n")}, nil, IsHLS},
		{"last failure", map[string]string{"/": list("audio/x-mpegurl", "/gone\n"), "/gone": gone}, nil, BadStatus},
		{"bad URL", map[string]string{"/": list("audio/x-mpegurl", "http://h:bad/\n")}, nil, BadList},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := listed(t, tc.pages)
			h := newRelay(t, Options{HeaderTimeout: 2 * time.Second}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Follow: tc.follow})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := h.Open(ctx)
			var failure *UpstreamError
			if errors.As(err, &failure); failure == nil && (err != nil || tc.outcome != "") || failure != nil && failure.Outcome != tc.outcome {
				t.Fatalf("%v", err)
			}
			if err == nil {
				eventually(t, "the audio", func() bool { return h.Status().Received == 20*frameBytes })
			}
			all, _ := o.connections()
			if most, ok := map[string]int{"itself": 1, "circle": 2}[tc.name]; all > 6 || ok && all > most {
				t.Errorf("%d requests", all)
			}
		})
	}
}

// An origin that leads on and on is given up.
func TestSearchIsBounded(t *testing.T) {
	o := newOrigin(t, func(c net.Conn, n int) {
		body := ""
		for i := range maxEntries {
			body += fmt.Sprintf("/%d/%d\n", n, i)
		}
		fmt.Fprint(c, list("audio/x-mpegurl", body))
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	if _, err := h.Open(context.Background()); !errors.Is(err, ErrUpstream) {
		t.Error(err)
	}
	if all, _ := o.connections(); all > maxAsked {
		t.Errorf("%d requests", all)
	}
}
