package config

import (
	"crypto/tls"
	"strings"
)

// pair checks that a certificate and a key, where both could be read, belong together: TLS would refuse every listener otherwise.
func (v value) pair(t *TLS) {
	if t.Cert == "" || t.Key == "" {
		return
	}
	if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		v.problem("cert and key are not a pair: %s; write the PEM files of one certificate, its chain after it, and its key",
			strings.TrimPrefix(err.Error(), "tls: "))
	}
}
