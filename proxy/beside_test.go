package proxy

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
)

// Each mount has its playlists, in the forms of Icecast (m3u, xspf) and Shoutcast (pls). The listener's token goes on.
func TestMountPlaylists(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"), named("r-${n}", `^/radio/(?P<n>[a-z]+)[.]aac$`, "http://127.0.0.1:1/${n}"))
	url := "http://" + s.addr + "/a.mp3"
	for path, want := range map[string][2]string{
		"/a.mp3.m3u":                {"audio/x-mpegurl", url + "\r\n"},
		"/a.mp3.m3u?token=a%26b&c":  {"audio/x-mpegurl", url + "?token=a%26b&c\r\n"},
		"/a.mp3.m3u?a=\"<é>%zz|'`%": {"audio/x-mpegurl", url + "?a=%22%3C%C3%A9%3E%25zz%7C'%60%25\r\n"},
		"/radio/two.aac.m3u":        {"audio/x-mpegurl", "http://" + s.addr + "/radio/two.aac\r\n"},
		"/a.mp3.pls?t=1":            {"audio/x-scpls", "[playlist]\nNumberOfEntries=1\nFile1=" + url + "?t=1\nLength1=-1\nVersion=2\n"},
		"/a.mp3.xspf?t=1&u=%3C'": {"application/xspf+xml; charset=UTF-8", `<?xml version="1.0" encoding="UTF-8"?>
<playlist xmlns="http://xspf.org/ns/0/" version="1">
  <title/>
  <creator/>
  <trackList>
    <track>
      <location>` + url + `?t=1&amp;u=%3C'</location>
      <title/>
    </track>
  </trackList>
</playlist>
`},
	} {
		resp, body := s.ask("GET", path)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != want[0] || body != want[1] {
			t.Errorf("%s: %s, %s\n%s\nwant\n%s", path, resp.Status, resp.Header.Get("Content-Type"), body, want[1])
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Cache-Control") != "no-cache, no-store" {
			t.Errorf("%s: %v", path, resp.Header)
		}
		head, none := s.ask("HEAD", path)
		if none != "" || head.ContentLength != int64(len(body)) || head.Header.Get("Content-Type") != want[0] {
			t.Errorf("HEAD %s: %q, %v", path, none, head.Header)
		}
	}
	for _, path := range []string{"/b.mp3.m3u", "/radio/2.aac.pls", "/a.mp3.m3u8", "/a.mp3.m3u.m3u", "/a.mp3.asx", "/.m3u"} {
		if resp, _ := s.ask("GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if resp, _ := s.ask("OPTIONS", "/a.mp3.pls"); resp.StatusCode != http.StatusNoContent {
		t.Errorf("OPTIONS: %s", resp.Status)
	}
	if s.table.Len() != 0 || s.book.Len() != 0 {
		t.Error("a playlist has begun a session")
	}
}

// What a source says of itself is told in XSPF, and cannot break out of it.
func TestXSPFAnnotation(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", broadcast(t, nil)+"/a"))
	defer s.tune("/a.mp3")()
	_, body := s.ask("GET", "/a.mp3.xspf")
	var list struct {
		Tracks []struct {
			Location   string `xml:"location"`
			Annotation string `xml:"annotation"`
			Info       string `xml:"info"`
		} `xml:"trackList>track"`
	}
	if err := xml.Unmarshal([]byte(body), &list); err != nil || len(list.Tracks) != 1 {
		t.Fatalf("%v\n%s", err, body)
	}
	want := "Stream Title: A & \"B\" <é>\nStream Description: ]]></annotation>\nContent Type:audio/mpeg\nCurrent Listeners: 1\nPeak Listeners: 1\nStream Genre: Talk"
	if got := list.Tracks[0]; got.Annotation != want || got.Info != "http://radio.example/?a&b" {
		t.Errorf("%+v", got)
	}
	_, body = s.ask("GET", "/a.mp3.pls")
	if !strings.Contains(body, "\nTitle1=A & \"B\" <é>\n") {
		t.Error(body)
	}
}

// A configured stream at the path of a playlist wins.
func TestPlaylistGivesWay(t *testing.T) {
	s := newStation(t, Options{}, nil, tuned("a", "/a.mp3", "http://127.0.0.1:1/"), tuned("b", "/a.mp3.m3u", "http://127.0.0.1:1/"),
		named("any-${n}", `^/any/(?P<n>.+)$`, "http://127.0.0.1:1/"))
	for _, path := range []string{"/a.mp3.m3u", "/any/a.mp3.pls"} {
		if resp, _ := s.ask("HEAD", path); resp.Header.Get("Content-Type") != "audio/mpeg" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine("a\r\nFile2=b\u2028\u0085\x00c"); got != "a  File2=b   c" {
		t.Errorf("%q", got)
	}
}
