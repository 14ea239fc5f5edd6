package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Query parameters of a signed URL, besides the one that holds the signature.
const (
	expiresParam = "expires"
	userParam    = "user"
	sigParam     = "sig"
)

// maxExpires is the end of the year 9999 in Unix seconds: what is later is a mistake, or in milliseconds.
const maxExpires = 253402300799

// signed verifies signed URLs.
type signed struct {
	key   []byte
	param string
}

func newSigned(s SignedURL) (*signed, error) {
	if s.Key == "" {
		return nil, errors.New("auth.signed_url.key: there is none; set the key that URLs are signed with")
	}
	if s.Param == "" {
		s.Param = sigParam
	}
	return &signed{key: []byte(s.Key), param: s.Param}, nil
}

// Sign signs a URL: it is the value of the parameter sig. path is escaped, as it stands in the URL, expires is in Unix seconds, user is not
// escaped and may be empty. The URL is path + "?expires=" + expires + "&user=" + QueryEscape(user) + "&sig=" + Sign(…).
func Sign(key, path string, expires int64, user string) string {
	return base64.RawURLEncoding.EncodeToString(sign([]byte(key), path, strconv.FormatInt(expires, 10), user))
}

func sign(key []byte, path, expires, user string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(path + "\n" + expires + "\n" + user))
	return m.Sum(nil)
}

// has reports whether a URL claims to be signed.
func (s *signed) has(rawQuery string) bool {
	_, n := param(rawQuery, s.param)
	return n > 0
}

// check verifies a URL, and says for whom it is.
func (s *signed) check(r *Request, now time.Time) (Identity, error) {
	text, once := param(r.RawQuery, s.param)
	expires, must := param(r.RawQuery, expiresParam)
	user, may := param(r.RawQuery, userParam)
	at, err := strconv.ParseUint(expires, 10, 64)
	switch {
	case once > 1 || must > 1 || may > 1:
		return Identity{}, invalid("the URL is not signed as it should be", errors.New("a parameter of the signature is there twice"))
	case must == 0:
		return Identity{}, invalid("the URL is not signed as it should be", errors.New("expires is missing"))
	case err != nil || at > maxExpires || len(expires) > 12:
		return Identity{}, invalid("the URL is not signed as it should be", errors.New("expires is no time in Unix seconds"))
	case !plain(user):
		return Identity{}, invalid("the URL is not signed as it should be", errors.New("user is too long or not printable"))
	case !hmac.Equal(signature(text), sign(s.key, r.Path, expires, user)):
		return Identity{}, invalid("the URL is not signed as it should be", errors.New("the signature does not fit the URL"))
	}
	if until := time.Unix(int64(at), 0); now.Before(until) {
		return Identity{User: strings.Clone(user), Expires: until}, nil
	}
	return Identity{}, invalid("the URL has expired", nil)
}

// signature is what a signature's text holds: base64url, with or without padding, or hex. Nothing if it is neither.
func signature(s string) []byte {
	if len(s) == hex.EncodedLen(sha256.Size) {
		b, _ := hex.DecodeString(s)
		return b
	}
	if len(s) > 2*sha256.Size {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil
	}
	return b
}
