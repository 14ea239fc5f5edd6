package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// keyServer serves a key set that can be changed, and counts.
type keyServer struct {
	*httptest.Server
	body atomic.Pointer[[]byte] // nil: 503
	hits atomic.Int32
}

func newKeyServer(t *testing.T) *keyServer {
	s := &keyServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		b := s.body.Load()
		if b == nil {
			w.WriteHeader(503)
			return
		}
		_, _ = w.Write(*b)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(b []byte) { s.body.Store(&b) }

func TestKeyURL(t *testing.T) {
	s, old, rotated := newKeyServer(t), newEC(t), newEd(t)
	var book logBook
	a := newAuth(t, Options{JWT: &JWT{JWKS: s.URL}, Log: book.logger()})
	c := jwt.MapClaims{"sub": "ann"}
	admit := func(p pair, kid string) (*Refusal, bool) {
		_, err := a.Admit(t.Context(), request(p.sign(t, c, "kid", kid)))
		r, _ := err.(*Refusal)
		return r, err == nil
	}
	if r, ok := admit(old, "a"); ok || r.Code != TokenInvalid || r.Cause == nil {
		t.Fatalf("before any key: %+v", r)
	}
	run(t, a)
	eventually(t, "a first try", func() bool { return s.hits.Load() == 1 })
	eventually(t, "a word about it", func() bool { return strings.Contains(book.String(), "cannot be fetched") })
	if r, ok := admit(old, "a"); ok || r.Detail != "tokens cannot be checked at the moment" {
		t.Fatalf("while it cannot be reached: %+v", r)
	}
	s.set(jwks(t, map[string]crypto.PublicKey{"a": old.public()}))
	eventually(t, "the keys", func() bool { _, ok := admit(old, "a"); return ok })
	fetched := s.hits.Load()

	// Tokens with ids that nobody knows: anybody can make them. No fetch comes of it so soon after the last one.
	for range 20 {
		if _, ok := admit(rotated, "b"); ok {
			t.Fatal("a key that is not there")
		}
	}
	if n := s.hits.Load(); n != fetched {
		t.Errorf("%d fetches", n-fetched)
	}
	// Later the first of them brings the new keys, and is let in by them; the keys that are there are not asked for again.
	s.set(jwks(t, map[string]crypto.PublicKey{"a": old.public(), "b": rotated.public()}))
	k := a.tokens.keys.remote
	k.mu.Lock()
	k.began = k.began.Add(-keysSoonest)
	k.mu.Unlock()
	if _, ok := admit(rotated, "b"); !ok {
		t.Error("the new key is not used")
	}
	for range 5 {
		if _, ok := admit(old, "a"); !ok {
			t.Error("the old key is gone")
		}
	}
	if n := s.hits.Load(); n != fetched+1 {
		t.Errorf("%d fetches", n-fetched)
	}
	// What is no key set leaves the keys.
	for _, junk := range []string{"", "[]", `{"keys":[]}`, strings.Repeat(" ", maxKeyFile) + "{}"} {
		s.set([]byte(junk))
		k.mu.Lock()
		k.began = k.began.Add(-keysSoonest)
		k.mu.Unlock()
		if _, ok := admit(newEC(t), "c"); ok {
			t.Error("a key out of nowhere")
		}
		if _, ok := admit(rotated, "b"); !ok {
			t.Errorf("%.10q took the keys away", junk)
		}
	}
	if n := s.hits.Load(); n != fetched+5 {
		t.Errorf("%d fetches", n-fetched)
	}
}

// A key set server that hangs makes nobody wait who has a key that is known.
func TestKeyServerHangs(t *testing.T) {
	ec := newEC(t)
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	a := newAuth(t, Options{JWT: &JWT{JWKS: s.URL, Keys: file(t, pemOf(t, ec.public()))}})
	run(t, a)
	began := time.Now()
	if _, err := a.Admit(t.Context(), request(ec.sign(t, jwt.MapClaims{}, "kid", "x"))); err != nil || time.Since(began) > 4*time.Second {
		t.Error(err, time.Since(began))
	}
}

func TestKeyFilesAreReadAgain(t *testing.T) {
	one, two := newRSA(t), newEC(t)
	pemPath, setPath := file(t, pemOf(t, one.public())), file(t, jwks(t, map[string]crypto.PublicKey{"a": one.public()}))
	var book logBook
	a := newAuth(t, Options{JWT: &JWT{Keys: pemPath, JWKS: setPath}, Log: book.logger()})
	a.tokens.keys.look = 2 * time.Millisecond
	run(t, a)
	admitted := func(p pair) bool {
		_, err := a.Admit(t.Context(), request(p.sign(t, jwt.MapClaims{})))
		return err == nil
	}
	replace := func(path string, data []byte) {
		must(t, os.WriteFile(path+".new", data, 0o600))
		must(t, os.Rename(path+".new", path))
	}
	if !admitted(one) || admitted(two) {
		t.Fatal("the first keys")
	}
	replace(pemPath, []byte("not a key"))
	eventually(t, "a complaint", func() bool { return strings.Contains(book.String(), "no public key in PEM form") })
	if !admitted(one) {
		t.Error("a bad file took the keys away")
	}
	replace(setPath, jwks(t, map[string]crypto.PublicKey{"b": two.public()}))
	eventually(t, "the new set", func() bool { return admitted(two) })
	replace(pemPath, pemOf(t, two.public()))
	eventually(t, "the old key is gone", func() bool { return !admitted(one) })
	must(t, os.Remove(pemPath))
	eventually(t, "a complaint", func() bool { return strings.Contains(book.String(), "no such file") })
	if n := strings.Count(book.String(), "no public key in PEM form"); n != 1 || !admitted(two) {
		t.Errorf("told %d times", n)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	rs, ec := newRSA(t), newEC(t)
	private, err := x509.MarshalPKCS8PrivateKey(rs.private)
	must(t, err)
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	offCurve := `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`
	set := func(keys string) string { return `{"keys":[` + keys + `]}` }
	good := string(jwks(t, map[string]crypto.PublicKey{"g": ec.public()}))
	good = good[len(`{"keys":[`) : len(good)-2]
	for name, test := range map[string]struct{ pem, jwks, want string }{
		"empty":       {pem: " ", want: "auth.jwt.keys: FILE: no public key in PEM form"},
		"private":     {pem: block("PRIVATE KEY", private), want: "auth.jwt.keys: FILE: block 1 (PRIVATE KEY): this is the private key"},
		"garbage":     {pem: block("PUBLIC KEY", []byte("x")), want: "auth.jwt.keys: FILE: block 1 (PUBLIC KEY): asn1"},
		"small":       {pem: string(pemOf(t, small)), want: "1024 bits"},
		"P-384":       {pem: string(pemOf(t, p384.Public())), want: "an EC key on P-384; it must be on P-256"},
		"no set":      {jwks: "x", want: "auth.jwt.jwks: FILE: no JSON Web Key Set"},
		"empty set":   {jwks: set(""), want: "no key that verifies RS256, ES256 or EdDSA"},
		"off curve":   {jwks: set(offCurve), want: "keys[0]: an EC key"},
		"for others":  {jwks: set(strings.Replace(good, `"sig"`, `"enc"`, 1)), want: `its use is "enc"`},
		"other alg":   {jwks: set(strings.Replace(good, `"kty"`, `"alg":"ES512","kty"`, 1)), want: `it is for "ES512"`},
		"secret":      {jwks: set(`{"kty":"oct","k":"AAAA"}`), want: "auth.jwt.secret is the place for it"},
		"too many":    {jwks: set(strings.TrimSuffix(strings.Repeat(good+",", 65), ",")), want: "65 keys; 64 are the most"},
		"exponent":    {jwks: set(fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"AQ"}`, strings.Repeat("_", 342))), want: "exponent"},
		"huge":        {jwks: set(fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"AQAB"}`, strings.Repeat("_", 20_000))), want: "it must have 2048 to 8192"},
		"huge file":   {pem: strings.Repeat(" ", maxKeyFile+1), want: "more than 1048576 bytes"},
		"wrong types": {jwks: set(`{"kty":3},7,null,"x"`), want: "no key that verifies"},
	} {
		opt, path := &JWT{}, ""
		if test.pem != "" {
			path = file(t, []byte(test.pem))
			opt.Keys = path
		} else {
			path = file(t, []byte(test.jwks))
			opt.JWKS = path
		}
		_, err := New(Options{JWT: opt})
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), path, "FILE"), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Among others that are of no use, one is found.
	a := newAuth(t, Options{JWT: &JWT{JWKS: file(t, []byte(set(offCurve+`,7,{"kty":"XX"},`+good)))}})
	if _, err := a.Admit(t.Context(), request(ec.sign(t, jwt.MapClaims{}, "kid", "g"))); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{JWT: &JWT{Keys: filepath.Join(t.TempDir(), "none")}}); err == nil || !strings.Contains(err.Error(), "auth.jwt.keys: open /") {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for want, opt := range map[string]Options{
		"auth.jwt: nothing to verify tokens with; set secret":       {JWT: &JWT{}},
		"auth.jwt.jwks: not a URL":                                  {JWT: &JWT{JWKS: "http://"}},
		"auth.signed_url.key: there is none":                        {SignedURL: &SignedURL{}},
		`the query parameter "sig" is to hold two things`:           {JWT: &JWT{Secret: secret, Param: "sig"}, SignedURL: &SignedURL{Key: "k"}},
		`the query parameter "user" is to hold two things`:          {JWT: &JWT{Secret: secret, Param: "user"}, SignedURL: &SignedURL{Key: "k"}},
		`the query parameter "expires" is to hold two things`:       {SignedURL: &SignedURL{Key: "k", Param: "expires"}},
		`the query parameter "Earshot" has another meaning`:         {SignedURL: &SignedURL{Key: "k", Param: "Earshot"}},
		"auth.callback.url: not a URL that can be asked: it must":   {Callback: &Callback{URL: "backend/auth"}},
		"auth.callback.url: not a URL that can be asked: net/url: ": {Callback: &Callback{URL: "http://ann:pass\n@backend/"}},
		`auth.callback.style: "xml" is none`:                        {Callback: &Callback{URL: "http://b/", Style: "xml"}},
		`auth.callback.on_error: "ask" is none`:                     {Callback: &Callback{URL: "http://b/", OnError: "ask"}},
	} {
		_, err := New(opt)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass") {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// What a URL may hold of secrets stands in no log.
func TestKeyURLIsNotShown(t *testing.T) {
	log := new(logBook)
	a := newAuth(t, Options{JWT: &JWT{JWKS: "http://u:password-1@127.0.0.1:1/jwks?key=password-2"}, Log: log.logger()})
	run(t, a)
	eventually(t, "a line", func() bool { return strings.Contains(log.String(), "127.0.0.1:1/jwks") })
	if strings.Contains(log.String(), "password") {
		t.Error(log.String())
	}
}
