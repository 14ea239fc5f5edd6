package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/MicahParks/jwkset"
)

// Algorithms of tokens. Each kind of key has one: a token cannot choose.
const (
	hs256 = "HS256"
	rs256 = "RS256"
	es256 = "ES256"
	edDSA = "EdDSA"
)

// key verifies tokens.
type key struct {
	id  string // empty: any
	alg string
	key any // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey
}

const (
	maxKeyFile = 1 << 20
	maxKeys    = 64 // of one file or URL
	minRSA     = 2048
	maxRSA     = 8192 // bits; a larger one costs more to ask than it is worth
)

// newKey takes a public key of a kind that is known.
func newKey(id string, public any) (key, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return key{}, fmt.Errorf("an RSA key of %d bits; it must have %d to %d", n, minRSA, maxRSA)
		}
		if k.E < 3 || k.E > 1<<31-1 || k.E&1 == 0 {
			return key{}, errors.New("an RSA key with an exponent that is none")
		}
		return key{id, rs256, k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("an EC key on %s; it must be on P-256", k.Curve.Params().Name)
		}
		if _, err := k.ECDH(); err != nil {
			return key{}, fmt.Errorf("an EC key: %w", err)
		}
		return key{id, es256, k}, nil
	case ed25519.PublicKey:
		return key{id, edDSA, k}, nil
	}
	return key{}, fmt.Errorf("a key of a kind that is not supported (%T); RSA, EC on P-256 and Ed25519 are", public)
}

// parsePEM reads public keys and certificates. That a certificate has expired does not matter: the key was put there by the operator.
func parsePEM(data []byte) ([]key, error) {
	var all []key
	for n := 1; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		public, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("block %d (%s): %w", n, clean(block.Type, 40), err)
		}
		k, err := newKey("", public)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
		if all = append(all, k); len(all) > maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no public key in PEM form; it must have a block such as -----BEGIN PUBLIC KEY-----")
	}
	return all, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("this is the private key, which does not belong here; put the public one in its place (openssl pkey -in FILE -pubout)")
	}
	return nil, errors.New("neither a public key nor a certificate")
}

// parseJWKS reads a JSON Web Key Set. Keys for other purposes and of other kinds may stand in it; one at least must be of use.
func parseJWKS(data []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("no JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys; %d are the most", len(set.Keys), maxKeys)
	}
	var all []key
	var unusable error
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			unusable = fmt.Errorf("keys[%d]: %w", i, err)
			continue
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, errors.Join(errors.New("no key that verifies RS256, ES256 or EdDSA"), unusable)
	}
	return all, nil
}

func parseJWK(raw json.RawMessage) (key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return key{}, err
	}
	if m.USE != "" && m.USE != jwkset.UseSig {
		return key{}, fmt.Errorf("its use is %q", clean(string(m.USE), 40))
	}
	// Only what makes the public key is handed on: no certificates, and no URLs that somebody else may want fetched. A symmetric key (oct) is none
	// here: what is published must not verify HS256.
	only := jwkset.JWKMarshal{KTY: m.KTY, CRV: m.CRV, X: m.X, Y: m.Y, N: m.N, E: m.E}
	if m.KTY == jwkset.KtyOct {
		return key{}, errors.New("a secret; auth.jwt.secret is the place for it")
	}
	j, err := jwkset.NewJWKFromMarshal(only, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, err
	}
	k, err := newKey(m.KID, j.Key())
	if err != nil {
		return key{}, err
	}
	if alg := string(m.ALG); alg != "" && alg != k.alg && (k.alg != edDSA || alg != "Ed25519") {
		return key{}, fmt.Errorf("it is for %q", clean(alg, 40))
	}
	return k, nil
}
