package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// door is one of an edge's listeners.
type door struct {
	addr    string
	tls     bool
	proxied bool // expects a PROXY header
}

// doors are an edge with a listener of each kind.
type doors struct {
	*edge
	plain, plainProxied, sealed, sealedProxied door
	cert, key                                  string
	config                                     string
}

// startDoors runs an edge in front of an origin's segments under /vod/ and a mount at /radio.mp3. trusted are the trusted proxies.
func startDoors(t testing.TB, trusted, streams string) *doors {
	t.Helper()
	dir := t.TempDir()
	d := &doors{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	writePair(t, "first.example", d.cert, d.key)
	var listen strings.Builder
	open := func(at *door, tls, proxied bool) {
		*at = door{fmt.Sprintf("127.0.0.1:%d", freePort(t)), tls, proxied}
		fmt.Fprintf(&listen, "  - {addr: %q, proxy_protocol: %v", at.addr, proxied)
		if tls {
			fmt.Fprintf(&listen, ", tls: {cert: %q, key: %q}", d.cert, d.key)
		}
		listen.WriteString("}\n")
	}
	open(&d.plain, false, false)
	open(&d.plainProxied, false, true)
	open(&d.sealed, true, false)
	open(&d.sealedProxied, true, true)
	admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	d.edge = &edge{listen: "http://" + d.plain.addr, admin: "http://" + admin, data: filepath.Join(dir, "data")}
	text := fmt.Sprintf("listen:\n%sadmin: %q\ndata: %q\nedge: e2e\ntrusted_proxies: [%s]\nlistening: {slice: 2s, idle: 5s, minimum: 1s}\nstreams:\n%s",
		&listen, admin, d.data, trusted, streams)
	d.config = filepath.Join(dir, "earshot.yaml")
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run(t, "serve", "-config", d.config)
	return d
}

// writePair makes a certificate and its key, and puts each in place by renaming.
func writePair(t testing.TB, name, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	what := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, what, what, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
}

// visitor is a player at a door.
type visitor struct {
	*http.Client
	door   door
	agent  string
	source string // what the PROXY header says, if there is one
	proto  int    // of HTTP, as it should be
}

// visit makes a player who speaks HTTP in this version, with a PROXY header of this version before it (0: none) that gives source as his address.
func (d door) visit(t testing.TB, agent string, proto int, header byte, source string) *visitor {
	v := &visitor{door: d, agent: agent, source: source, proto: proto}
	way := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: proto == 2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // who the edge is, is not the question here
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", d.addr)
			if err != nil || header == 0 {
				return c, err
			}
			_, err = proxyHeader(header, source).WriteTo(c)
			return c, err
		}}
	t.Cleanup(way.CloseIdleConnections)
	v.Client = &http.Client{Transport: way, Timeout: time.Minute}
	return v
}

func proxyHeader(version byte, source string) *proxyproto.Header {
	from, to := &net.TCPAddr{IP: net.ParseIP(source), Port: 40000}, &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 443}
	return proxyproto.HeaderProxyFromAddrs(version, from, to)
}

// ask sends a request and checks what every answer must have.
func (v *visitor) ask(t testing.TB, path string, edit func(*http.Request)) *http.Response {
	t.Helper()
	scheme := "http://"
	if v.door.tls {
		scheme = "https://"
	}
	req, err := http.NewRequest(http.MethodGet, scheme+v.door.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", v.agent)
	if edit != nil {
		edit(req)
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", v.agent, err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.ProtoMajor != v.proto {
		t.Errorf("%s: %s", v.agent, res.Proto)
	}
	if res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s: %s: no CORS: %v", v.agent, path, res.Header)
	}
	return res
}

func (v *visitor) read(t testing.TB, path string, edit func(*http.Request)) []byte {
	t.Helper()
	res := v.ask(t, path, edit)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %s: %v", v.agent, path, err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent {
		t.Fatalf("%s: %s: %s: %s", v.agent, path, res.Status, body)
	}
	return body
}

// vodSizes are odd, below and above what one read, frame or record holds.
var vodSizes = []int{300_001, 64 << 10, 16<<10 + 1, 4096, 77}

// startVOD is an origin with a playlist of segments of vodSizes, and /vod/long.ts, of longBody bytes.
func startVOD(t testing.TB) string {
	t.Helper()
	text := "#EXTM3U\n#EXT-X-TARGETDURATION:10\n"
	for n := range vodSizes {
		text += fmt.Sprintf("#EXTINF:10,\n%d.ts\n", n)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		switch {
		case r.URL.Path == "/index.m3u8":
			goodPlaylist(w, text+"#EXT-X-ENDLIST\n")
		case r.URL.Path == "/long.ts":
			http.ServeContent(w, r, "x.ts", time.Time{}, bytes.NewReader(make([]byte, longBody)))
		default:
			if _, err := fmt.Sscanf(r.URL.Path, "/%d.ts", &n); err != nil || n >= len(vodSizes) {
				http.NotFound(w, r)
				return
			}
			http.ServeContent(w, r, "x.ts", time.Time{}, bytes.NewReader(vodContent(n)))
		}
	}))
	t.Cleanup(s.Close)
	return hlsStream("vod", "/vod/", s.URL+"/")
}

const longBody = 24 << 20

func vodContent(n int) []byte {
	return bytes.Repeat([]byte{byte('a' + n)}, vodSizes[n])
}

// booked is what the edge's events say was sent to an agent, and from which address he came.
func (e *edge) booked(t testing.TB, agent string) (n int64, addresses string) {
	t.Helper()
	row := e.database(t).QueryRow(`SELECT coalesce(sum(bytes), 0), coalesce(group_concat(DISTINCT ip), '') FROM listen_events WHERE user_agent = ?`, agent)
	if err := row.Scan(&n, &addresses); err != nil {
		t.Fatal(err)
	}
	return n, addresses
}
