package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// mp3Server answers as the servers of facts/icy.md do: by the agent, by the path, and to those with the password only.
func mp3Server(t *testing.T, secure *tls.Config, path, head string, body []byte) *origin {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	var o *origin
	o = serveOn(t, ln, func(c net.Conn, n int) {
		o.mu.Lock()
		request := o.requests[n]
		o.mu.Unlock()
		lines := strings.Split(request, "\r\n")
		switch {
		case slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "User-Agent: Mozilla") }):
			fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<HTML><HEAD><TITLE>SHOUTcast Administrator</TITLE></HEAD></HTML>")
		case !slices.Contains(lines, "Authorization: Basic c291cmNlOmhhY2sgbWU="):
			fmt.Fprint(c, "HTTP/1.0 401 Authentication Required\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\nno")
		case !strings.HasPrefix(lines[0], "GET "+path+" HTTP/1."):
			fmt.Fprint(c, "ICY 404 Resource Not Found\r\nicy-notice1:<BR>SHOUTcast\r\nicy-notice2:x<BR>\r\n\r\n")
		default:
			answer(head, body)(c, n)
		}
	})
	return o
}

func TestServers(t *testing.T) {
	audio := mp3(100)
	said := map[int]string{0: "StreamTitle='Rock 'n' Roll';StreamUrl='';"}
	cert, roots := selfSigned(t)
	for _, tc := range []struct{ name, path, head string }{
		{"Shoutcast 1", "/;", "ICY 200 OK\r\nicy-notice1:<BR>This stream requires <a href=\"http://www.winamp.com/\">Winamp</a><BR>\r\nicy-notice2:SHOUTcast Distributed Network Audio Server/Linux v1.9.8<BR>\r\nicy-name:Old\x01 Radio\x0b\r\nno header\r\n:empty\r\nicy-pub:1\r\nicy-metaint:8192\r\nicy-br:128\r\n\r\n"},
		{"Shoutcast 1, path for players", "/;stream.nsv", "ICY 200 OK\nicy-name:Old Radio\nContent-Type:audio/mpeg\nicy-metaint:8192\n\n"},
		{"Shoutcast 1, root", "/", "ICY 200 OK\r\nicy-name:Old Radio\r\ncontent-type:audio/mpeg\r\nicy-metaint: 8192 \r\n\r\n"},
		{"Shoutcast 2", "/stream/1/?a=b", "HTTP/1.1 200 OK\r\nServer: Ultravox/2.0 SHOUTcast v2.6\r\nConnection: close\r\nicy-name:Old Radio\r\nicy-br:128\r\nicy-sr:44100\r\ncontent-type:audio/mpeg\r\nicy-metaint:16000\r\nx-clacks-overhead:GNU\r\n\r\n"},
		{"Icecast 2", "/live.mp3", "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nConnection: Close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: audio/mpeg\r\nice-audio-info: ice-samplerate=44100;ice-bitrate=128;ice-channels=2\r\nicy-name:Old Radio\r\nicy-metaint:16000\r\n\r\n"},
	} {
		for _, secure := range []*tls.Config{nil, {Certificates: []tls.Certificate{cert}}} {
			t.Run(fmt.Sprintf("%s, TLS %v", tc.name, secure != nil), func(t *testing.T) {
				t.Parallel()
				interval := 16000
				if strings.Contains(tc.head, "8192") {
					interval = 8192
				}
				o := mp3Server(t, secure, tc.path, tc.head, interleaved(audio, interval, said))
				scheme := "http://"
				if secure != nil {
					scheme = "https://"
				}
				origin := scheme + "source:hack%20me@" + o.ln.Addr().String() + tc.path
				r := newRelay(t, Options{Access: func(*url.URL) Access { return Access{Roots: roots} }})
				h := r.Hub(Mount{Key: "k", Origins: []string{origin}, Burst: 1 << 20})
				info := open(t, h)
				if !slices.Contains(info.Header, HeaderField{"icy-name", "Old Radio"}) || info.ContentType != "audio/mpeg" {
					t.Errorf("%+v", info)
				}
				p := join(t, h, account(newBook(), "a"), 0)
				eventually(t, "the audio", p.has(len(audio)))
				if !bytes.Equal(p.received(), audio) || h.Status().Title != "Rock 'n' Roll" {
					t.Errorf("heard %d bytes of %d, title %q", len(p.received()), len(audio), h.Status().Title)
				}
			})
		}
	}
}

// The page that Shoutcast has for browsers is no audio, and what the edge calls itself never begins as they do.
func TestPageForBrowsers(t *testing.T) {
	o := mp3Server(t, nil, "/", "ICY 200 OK\r\n\r\n", mp3(10))
	h := newRelay(t, Options{UserAgent: "Mozilla/5.0"}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	_, err := h.Open(t.Context())
	if failure, ok := err.(*UpstreamError); !ok || failure.Outcome != NotAudio {
		t.Errorf("%v", err)
	}
	if agent := new(Options).withDefaults().UserAgent; strings.HasPrefix(agent, "Mozilla") {
		t.Errorf("the edge is %q", agent)
	}
}
