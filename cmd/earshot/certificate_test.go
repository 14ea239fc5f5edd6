package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/config"
)

// newPair is a certificate of a name, and its key.
func newPair(t *testing.T, name string, until time.Time) (cert, key []byte) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	what := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, what, what, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func put(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// watched is a certificate under watch, look by look.
type watched struct {
	t    *testing.T
	all  *certificates
	log  bytes.Buffer
	reg  *prometheus.Registry
	said int
}

func watch(t *testing.T, cert, key string) *watched {
	t.Helper()
	w := &watched{t: t, reg: prometheus.NewRegistry()}
	var err error
	w.all, err = newCertificates([]config.Listener{{Addr: ":80"}, {Addr: ":443", TLS: &config.TLS{Cert: cert, Key: key}}}, w.reg,
		slog.New(slog.NewTextHandler(&w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serves looks, and checks which certificate is served then and how many lines have been logged.
func (w *watched) serves(name string, lines int) {
	w.t.Helper()
	one := w.all.all[1]
	w.all.look(one)
	now, err := one.config().GetCertificate(nil)
	if err != nil || now.Leaf.Subject.CommonName != name {
		w.t.Errorf("serves %v, %v; want %s", now, err, name)
	}
	if w.said += lines; strings.Count(w.log.String(), "\n") != w.said {
		w.t.Errorf("%d lines more expected:\n%s", lines, &w.log)
	}
}

func (w *watched) expiry() float64 {
	families, err := w.reg.Gather()
	if err != nil || len(families) != 1 {
		w.t.Fatal(families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

// TestCertificateReplaced: a new pair is taken up however it comes to its place; one that is broken, half-written or gone is told of once, and the
// one before it stays.
func TestCertificateReplaced(t *testing.T) {
	soon, later := time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	oneCert, oneKey := newPair(t, "one", soon)
	put(t, cert, oneCert)
	put(t, key, oneKey)
	w := watch(t, cert, key)
	w.serves("one", 0)
	if w.expiry() != float64(soon.Unix()) {
		t.Errorf("expiry %v", w.expiry())
	}

	twoCert, twoKey := newPair(t, "two", later)
	put(t, cert+".new", twoCert)
	if err := os.Rename(cert+".new", cert); err != nil {
		t.Fatal(err)
	}
	w.serves("one", 0) // the key has not come yet: nothing to tell
	put(t, key, twoKey)
	w.serves("two", 1)
	if w.expiry() != float64(later.Unix()) {
		t.Errorf("expiry %v", w.expiry())
	}

	put(t, cert, twoCert[:len(twoCert)/2])
	w.serves("two", 0)
	w.serves("two", 1)
	w.serves("two", 0)
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	w.serves("two", 0)
	w.serves("two", 1)
	put(t, cert, oneCert)
	w.serves("two", 0)
	put(t, key, oneKey)
	w.serves("one", 1)
}

// TestCertificateLinks: another target of a link to the folder, as Kubernetes does it, or to the files, as certbot does.
func TestCertificateLinks(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		cert, key := newPair(t, name, time.Now().Add(time.Hour))
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name, "cert.pem"), cert)
		put(t, filepath.Join(dir, name, "key.pem"), key)
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, at+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			t.Fatal(err)
		}
	}
	folder, cert, key := filepath.Join(dir, "now"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	link("one", folder)
	link("now/cert.pem", cert)
	link("now/key.pem", key)
	w := watch(t, cert, key)
	w.serves("one", 0)
	link("two", folder)
	w.serves("two", 1)
	link("one/cert.pem", cert)
	link("one/key.pem", key)
	w.serves("one", 1)
}

// TestCertificateUnusable: a pair that is none is an error at the start.
func TestCertificateUnusable(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	one, _ := newPair(t, "one", time.Now())
	_, other := newPair(t, "other", time.Now())
	put(t, cert, one)
	put(t, key, other)
	_, err := newCertificates([]config.Listener{{Addr: ":443", TLS: &config.TLS{Cert: cert, Key: key}}}, prometheus.NewRegistry(), slog.Default())
	if err == nil || !strings.Contains(err.Error(), "certificate of :443: ") || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("%v", err)
	}
}
