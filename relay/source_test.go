package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
	"time"
)

// answer is an origin that answers so and hangs up when the edge does.
func answer(head string, body []byte) func(net.Conn, int) {
	return func(c net.Conn, _ int) {
		fmt.Fprint(c, head)
		c.Write(body)
		untilClosed(c)
	}
}

func TestRefusedSources(t *testing.T) {
	audio := mp3(20)
	for _, tc := range []struct {
		name    string
		serve   func(net.Conn, int)
		outcome Outcome
		status  int
		is      error
	}{
		{"not found", answer("HTTP/1.0 404 File Not Found\r\n\r\n", nil), BadStatus, 404, ErrUpstream},
		{"full", answer("ICY 400 Server Full\r\n\r\n", nil), BadStatus, 400, ErrUpstream},
		{"partial", answer("HTTP/1.1 206 Partial Content\r\nContent-Type: audio/mpeg\r\n\r\n", audio), BadStatus, 206, ErrUpstream},
		{"page", answer("HTTP/1.0 200 OK\r\nContent-Type: text/html;charset=utf-8\r\n\r\n", []byte("<html>")), NotAudio, 0, ErrUpstream},
		{"page that lies", answer("HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", []byte("\r\n<!DOCTYPE html><html></html>")), NotAudio, 0, ErrUpstream},
		{"text", answer("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n", []byte("out of air")), NotAudio, 0, ErrUpstream},
		{"moved away", answer("HTTP/1.0 302 Found\r\nLocation: http://192.0.2.7/secret\r\n\r\n", nil), BadMove, 0, ErrUpstream},
		{"moved to a file", answer("HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", nil), BadMove, 0, ErrUpstream},
		{"moves in a circle", answer("HTTP/1.0 302 Found\r\nLocation: /again\r\n\r\n", nil), BadMove, 0, ErrUpstream},
		{"no answer at all", answer("SSH-2.0-OpenSSH_9.2\r\n\r\n", nil), BadHead, 0, ErrUpstream},
		{"long head", answer("ICY 200 OK\r\nicy-name: "+strings.Repeat("x", maxHead)+"\r\n\r\n", audio), BadHead, 0, ErrUpstream},
		{"metaint that cannot be", answer("ICY 200 OK\r\nicy-metaint: 99999999999999999999\r\n\r\n", audio), BadHead, 0, ErrUpstream},
		{"negative metaint", answer("ICY 200 OK\r\nicy-metaint: -1\r\n\r\n", audio), BadHead, 0, ErrUpstream},
		{"hangs up", func(net.Conn, int) {}, Refused, 0, ErrUpstream},
		{"no audio follows", func(c net.Conn, _ int) { fmt.Fprint(c, "ICY 200 OK\r\n\r\n\xff\xfb") }, Refused, 0, ErrUpstream},
		{"silent", answer("", nil), Timeout, 0, ErrTimeout},
		{"silent after the head", answer("ICY 200 OK\r\n\r\n", nil), Timeout, 0, ErrTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, tc.serve)
			h := newRelay(t, Options{HeaderTimeout: 200 * time.Millisecond}).Hub(Mount{Key: "k", Origins: []string{o.url("/a.mp3")}})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := h.Open(ctx)
			var failure *UpstreamError
			if !errors.As(err, &failure) || failure.Outcome != tc.outcome || failure.Status != tc.status || !errors.Is(err, tc.is) {
				t.Fatalf("open: %#v (%v)", err, err)
			}
			if strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "192.0.2") {
				t.Errorf("an address is shown: %v", err)
			}
			if s := h.Status(); s.State != Failed || s.Listeners != 0 {
				t.Errorf("status: %+v", s)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	for _, origin := range []string{"http://" + closed + "/", "ftp://x/", "://", ""} {
		h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{origin}})
		if _, err := h.Open(context.Background()); !errors.Is(err, ErrUpstream) || strings.Contains(err.Error(), "127.0") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	if _, err := newRelay(t, Options{}).Hub(Mount{Key: "k"}).Open(context.Background()); !errors.Is(err, ErrUpstream) {
		t.Errorf("no origins: %v", err)
	}
}

// Open waits no longer than its context, and does not take the attempt with it.
func TestOpenGivesUp(t *testing.T) {
	answerNow := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, _ int) {
		<-answerNow
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(mp3(10))
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Open(ctx); !errors.Is(err, ErrTimeout) {
		t.Errorf("open: %v", err)
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if _, err := h.Open(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("open for nobody: %v", err)
	}
	close(answerNow)
	open(t, h)
	if all, _ := o.connections(); all != 1 {
		t.Errorf("%d connections", all)
	}
}

func TestShoutcast(t *testing.T) {
	audio := mp3(60)
	head := "ICY 200 OK\r\nicy-notice1:<BR>This stream requires <a href=\"http://www.winamp.com/\">Winamp</a>\x01<BR>\r\n" +
		"icy-name:Old \x00Radio\x1b[31m\nbroken line\r\nicy-genre : Jazz\r\nicy-url:http://radio.example\r\ncontent-type:audio/mpeg\r\nicy-pub:1\r\nicy-metaint:8192\r\nicy-br:128\r\nicy-name:twice\r\n\r\n"
	o := newOrigin(t, answer(head, interleaved(audio, 8192, map[int]string{0: "StreamTitle='It's - a \"test\"';"})))
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/;stream.nsv")}})
	info := open(t, h)
	want := "[{icy-name Old Radio[31m} {icy-genre Jazz} {icy-url http://radio.example} {icy-pub 1} {icy-br 128}]"
	if got := fmt.Sprint(info.Header); got != want || info.ContentType != "audio/mpeg" {
		t.Errorf("info: %s %q", got, info.ContentType)
	}
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the audio", p.has(len(audio)))
	if !bytes.Equal(p.received(), audio) || h.Status().Title != `It's - a "test"` {
		t.Errorf("heard %d bytes, title %q", len(p.received()), h.Status().Title)
	}
	if !strings.HasPrefix(o.requests[0], "GET /;stream.nsv HTTP/1.0\r\n") {
		t.Errorf("asked for %q", o.requests[0])
	}
}

func TestRedirectToItselfWithAuth(t *testing.T) {
	o := newOrigin(t, func(c net.Conn, n int) {
		if n == 0 {
			fmt.Fprint(c, "HTTP/1.1 301 Moved\r\nLocation: /new?x=1\r\n\r\n")
			return
		}
		answer("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", mp3(10))(c, n)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{strings.Replace(o.url("/old"), "//", "//me:pass@", 1)}})
	open(t, h)
	if r := o.requests[1]; !strings.HasPrefix(r, "GET /new?x=1 ") || !strings.Contains(r, "\r\nAuthorization: Basic bWU6cGFzcw==\r\n") {
		t.Errorf("asked %q", r)
	}
}

func TestChunkedSource(t *testing.T) {
	audio := mp3(30)
	o := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
		w := httputil.NewChunkedWriter(c)
		for part := range slices.Chunk(audio, 1000) {
			w.Write(part)
		}
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the audio", p.has(11*frameBytes))
	if got := p.received(); !bytes.Equal(got, audio[:len(got)]) {
		t.Error("the audio is not the source's")
	}
}

// What has no frames passes as it is, with its time by the bitrate the origin claims, or by the clock.
func TestOtherFormats(t *testing.T) {
	body := bytes.Repeat([]byte("OggS and so on "), 4000)
	for _, tc := range []struct {
		name, head string
		media      func(time.Duration) bool
	}{
		{"bitrate", "HTTP/1.0 200 OK\r\nContent-Type: application/ogg\r\nice-audio-info: ice-samplerate=44100;ice-bitrate=96\r\n\r\n",
			func(d time.Duration) bool { return d.Round(time.Microsecond) == 5*time.Second }},
		{"clock", "HTTP/1.0 200 OK\r\nContent-Type: application/ogg\r\n\r\n",
			func(d time.Duration) bool { return d < 3*time.Second }},
		{"no frames after all", "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", func(d time.Duration) bool { return d < 3*time.Second }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, answer(tc.head, body))
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Burst: 1 << 20})
			open(t, h)
			p := join(t, h, account(newBook(), "a"), 0)
			eventually(t, "all of it", p.has(len(body)))
			p.leave(t)
			if s := p.account.Snapshot(); !bytes.Equal(p.received(), body) || s.Bytes != int64(len(body)) || !tc.media(s.Media) {
				t.Errorf("received %d of %d, account %d bytes, %v", len(p.received()), len(body), s.Bytes, s.Media)
			}
		})
	}
}

func TestTLSSourceAndListener(t *testing.T) {
	t.Parallel()
	cert, roots := selfSigned(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	audio := mp3(200)
	o := serveOn(t, ln, answer(fmt.Sprintf(icecastHead, 0), audio))
	r := newRelay(t, Options{})
	r.tls = &tls.Config{RootCAs: roots}
	h := r.Hub(Mount{Key: "k", Origins: []string{"https://" + o.ln.Addr().String() + "/"}, Burst: 1 << 20})
	open(t, h)
	edge, far := pair(t)
	secure := tls.Server(edge, &tls.Config{Certificates: []tls.Certificate{cert}})
	client := tls.Client(far, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	go secure.Handshake()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	p := joinOn(t, h, account(newBook(), "a"), 0, secure, client)
	p.read()
	eventually(t, "the audio", p.has(len(audio)))
	p.leave(t)
	if s := p.account.Snapshot(); !bytes.Equal(p.received(), audio) || s.Bytes != int64(len(audio)) {
		t.Errorf("received %d of %d bytes, account %d", len(p.received()), len(audio), s.Bytes)
	}
	h2 := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{"https://" + o.ln.Addr().String() + "/"}})
	if _, err := h2.Open(context.Background()); !errors.Is(err, ErrUpstream) {
		t.Errorf("an unknown certificate was taken: %v", err)
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
