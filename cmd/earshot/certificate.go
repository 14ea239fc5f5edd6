package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/config"
)

// lookAgain is how often certificates are looked at. Their files are read and compared, not their times: that sees every way to replace
// them, by writing, by renaming, and by another target of a link to them or to their folder (certbot, Kubernetes).
const lookAgain = 5 * time.Second

// certificates are those of the listeners.
type certificates struct {
	log    *slog.Logger
	expiry *prometheus.GaugeVec
	all    []*certificate // by listener; nil for one without TLS
}

// certificate is a pair of files, and what they held when they were last good.
type certificate struct {
	addr  string
	files config.TLS
	now   atomic.Pointer[tls.Certificate]

	// Owned by who looks.
	cert, key []byte // as tried last
	unusable  error  // why that could not be used
	broken    error  // of the last look; told when it is still so at the next, as files are written one after the other
	told      bool
}

func newCertificates(listeners []config.Listener, reg prometheus.Registerer, log *slog.Logger) (*certificates, error) {
	c := &certificates{log: log, all: make([]*certificate, len(listeners)),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "earshot_certificate_expiry_timestamp_seconds",
			Help: "When the certificate in use expires, in Unix time, by the file it came from."}, []string{"file"})}
	reg.MustRegister(c.expiry)
	for i := range listeners {
		l := &listeners[i]
		if l.TLS == nil {
			continue
		}
		one := &certificate{addr: l.Addr, files: *l.TLS}
		if err := one.read(); err != nil {
			return nil, fmt.Errorf("certificate of %s: %w", l.Addr, err)
		}
		c.all[i] = one
		c.took(one)
	}
	return c, nil
}

// config is how a listener speaks TLS. Go's defaults are sound and kept up: TLS 1.2 at least, no cipher without forward secrecy.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.now.Load(), nil
		},
		// Small records at the beginning would show a page sooner. Media comes in hundreds of KB, and each record costs a call of the kernel.
		DynamicRecordSizingDisabled: true,
	}
}

// run looks at the files until ctx is done.
func (c *certificates) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, one := range c.all {
				if one != nil {
					c.look(one)
				}
			}
		}
	}
}

// look takes up what has changed. What cannot be used is told once, and the certificate before it stays.
func (c *certificates) look(one *certificate) {
	before, broken := one.now.Load(), one.broken
	one.broken = one.read()
	switch {
	case one.broken == nil:
		one.told = false
		if one.now.Load() != before {
			c.took(one)
			c.log.Info("the certificate was replaced", "listener", one.addr, "expires", one.now.Load().Leaf.NotAfter)
		}
	case broken == nil || broken.Error() != one.broken.Error():
		one.told = false
	case !one.told:
		one.told = true
		c.log.Warn("the new certificate cannot be used; the one before it stays", "listener", one.addr, "err", one.broken)
	}
}

func (c *certificates) took(one *certificate) {
	expires := one.now.Load().Leaf.NotAfter
	c.expiry.WithLabelValues(one.files.Cert).Set(float64(expires.Unix()))
	if time.Now().After(expires) {
		c.log.Warn("the certificate has expired", "listener", one.addr, "expired", expires)
	}
}

// read takes the pair from its files, if they hold another than before.
func (c *certificate) read() error {
	cert, err := os.ReadFile(c.files.Cert)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(c.files.Key)
	if err != nil {
		return err
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return c.unusable
	}
	c.cert, c.key, c.unusable = cert, key, nil
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		c.unusable = fmt.Errorf("%s and %s: %w", c.files.Cert, c.files.Key, err)
		return c.unusable
	}
	c.now.Store(&pair)
	return nil
}
