package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

// pair is a private key, and how tokens are signed with it.
type pair struct {
	alg     jwt.SigningMethod
	private crypto.Signer
}

func (p pair) public() crypto.PublicKey { return p.private.Public() }

func newRSA(tb testing.TB) pair {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(tb, err)
	return pair{jwt.SigningMethodRS256, k}
}

func newEC(tb testing.TB) pair {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return pair{jwt.SigningMethodES256, k}
}

func newEd(tb testing.TB) pair {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(tb, err)
	return pair{jwt.SigningMethodEdDSA, k}
}

// sign makes a token. More headers come in pairs.
func (p pair) sign(tb testing.TB, claims jwt.MapClaims, header ...any) string {
	return signed256(tb, p.alg, p.private, claims, header...)
}

func hs(tb testing.TB, claims jwt.MapClaims, header ...any) string {
	return signed256(tb, jwt.SigningMethodHS256, []byte(secret), claims, header...)
}

func signed256(tb testing.TB, alg jwt.SigningMethod, key any, claims jwt.MapClaims, header ...any) string {
	tb.Helper()
	t := jwt.NewWithClaims(alg, claims)
	for i := 0; i < len(header); i += 2 {
		t.Header[header[i].(string)] = header[i+1]
	}
	s, err := t.SignedString(key)
	must(tb, err)
	return s
}

func pemOf(tb testing.TB, keys ...crypto.PublicKey) []byte {
	tb.Helper()
	var b bytes.Buffer
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k)
		must(tb, err)
		must(tb, pem.Encode(&b, &pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return b.Bytes()
}

// jwks is a key set of keys by id.
func jwks(tb testing.TB, keys map[string]crypto.PublicKey) []byte {
	tb.Helper()
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for id, k := range keys {
		j, err := jwkset.NewJWKFromKey(k, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id, USE: jwkset.UseSig}})
		must(tb, err)
		set.Keys = append(set.Keys, j.Marshal())
	}
	b, err := json.Marshal(set)
	must(tb, err)
	return b
}

func file(tb testing.TB, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "keys")
	must(tb, os.WriteFile(path, data, 0o600))
	return path
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func newAuth(tb testing.TB, opt Options) *Auth {
	tb.Helper()
	a, err := New(opt)
	must(tb, err)
	tb.Cleanup(a.Close)
	return a
}

// run runs it until the test, or stop, ends it.
func run(tb testing.TB, a *Auth) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error("run:", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

func request(token string) *Request {
	r := &Request{Path: "/hls/news/a.m3u8", Address: netip.MustParseAddr("192.0.2.7"), Agent: "VLC/3.0.18", Host: "radio.example:8080", Group: "news",
		Kind: "hls", SessionID: "s-1"}
	if token != "" {
		r.Authorization = "Bearer " + token
	}
	return r
}

// code is that of a refusal; empty: none. Admit may return nothing else.
func code(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return ""
	}
	var r *Refusal
	if !errors.As(err, &r) {
		tb.Fatalf("no refusal: %v", err)
	}
	return r.Code
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

// logBook is a log that can be read.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// eventually waits for what other goroutines bring about over real sockets.
func eventually(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal("not within ten seconds: " + what)
		}
	}
}

// count is what a metric says, summed over those whose labels have the values.
func count(tb testing.TB, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	tb.Helper()
	families, err := reg.Gather()
	must(tb, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == want }) {
					continue metrics
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}
