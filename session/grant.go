package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// Grant is what the edge signs into the query parameter "earshot" of every URI it hands to a session: enough
// for any edge with the key to serve the session cold. There is one grant per session and playlist, the same
// on all of that playlist's URIs, so that byte ranges of one resource, PRELOAD-HINT and PART, KEY and
// SESSION-KEY keep equal URIs, and the whole compresses (DESIGN, decision 3).
type Grant struct {
	Group      string
	UserID     string
	DeviceID   string
	DeviceType string
	Issued     time.Time // when the session began, to the second
	Expires    time.Time // expiry of the token that admitted it; zero if there was none
	Role       uint8     // of the playlist, as playlist.Role numbers it; RoleMaster for a master
	Playlist   string    // the playlist the URI stands in: its path below the stream's prefix, and its query
	ByQuery    bool      // the query is part of the playlist's name: others of the group have the same path
}

// RoleMaster is the Role of grants that a master gives to its children.
const RoleMaster = 255

// byQuery is the flag of Grant.ByQuery.
const byQuery = 1

// Errors of Verify.
var (
	ErrGrantMalformed = errors.New("grant malformed")
	ErrGrantKey       = errors.New("grant signed with an unknown key")
	ErrGrantForged    = errors.New("grant does not match its signature")
)

const (
	grantVersion = 1
	macSize      = 16   // HMAC-SHA256 truncated to 128 bits (RFC 2104, section 5)
	maxGrant     = 8192 // encoded bytes; what we sign is far below
	headSize     = 3    // version, role, flags
)

// Secret is a signing key with the name that grants carry.
type Secret struct {
	ID  string // at most 32 bytes
	Key []byte
}

// Signer signs grants with the first of its secrets and accepts those of any. It is safe for concurrent use.
type Signer struct {
	first string
	keys  map[string]*sync.Pool // of hash.Hash, keyed and reset
}

// NewSigner takes at least one secret. Ids must be unique, 1 to 32 bytes; keys at least 16 bytes.
func NewSigner(secrets []Secret) (*Signer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to sign grants with")
	}
	s := &Signer{first: secrets[0].ID, keys: make(map[string]*sync.Pool, len(secrets))}
	for i, secret := range secrets {
		switch {
		case secret.ID == "" || len(secret.ID) > 32:
			return nil, fmt.Errorf("secrets[%d]: id must be 1 to 32 bytes long", i)
		case len(secret.Key) < 16:
			return nil, fmt.Errorf("secret %q: key must be at least 16 bytes long", secret.ID)
		case s.keys[secret.ID] != nil:
			return nil, fmt.Errorf("secret %q stands twice", secret.ID)
		}
		key := append([]byte(nil), secret.Key...)
		s.keys[secret.ID] = &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
	}
	return s, nil
}

func (s *Signer) mac() hash.Hash {
	h := s.keys[s.first].Get().(hash.Hash)
	h.Reset()
	return h
}

func (s *Signer) put(h hash.Hash) { s.keys[s.first].Put(h) }

// Sign appends the URL-safe text of the grant for session id to dst.
func (s *Signer) Sign(dst []byte, id ID, g *Grant) []byte {
	var space [512]byte
	var flags byte
	if g.ByQuery {
		flags = byQuery
	}
	b := append(space[:0], grantVersion, g.Role, flags)
	b = appendText(b, s.first)
	b = binary.AppendUvarint(b, unix(g.Issued))
	b = binary.AppendUvarint(b, unix(g.Expires))
	for _, text := range [...]string{g.Group, g.UserID, g.DeviceID, g.DeviceType, g.Playlist} {
		b = appendText(b, text)
	}
	h := s.mac()
	b = seal(b, h, b, id)
	s.put(h)
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// Verify reads the grant in text as given to session id. The errors are [ErrGrantMalformed],
// [ErrGrantKey] and [ErrGrantForged]; expiry is the caller's to judge.
func (s *Signer) Verify(text string, id ID) (Grant, error) {
	if len(text) > maxGrant {
		return Grant{}, ErrGrantMalformed
	}
	var space [1024]byte
	b, err := base64.RawURLEncoding.Strict().AppendDecode(space[:0], []byte(text))
	if err != nil || len(b) < headSize+macSize || b[0] != grantVersion {
		return Grant{}, ErrGrantMalformed
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	r := reader{rest: body[headSize:]}
	pool := s.keys[r.text()]
	if r.bad {
		return Grant{}, ErrGrantMalformed
	}
	if pool == nil {
		return Grant{}, ErrGrantKey
	}
	h := pool.Get().(hash.Hash)
	defer pool.Put(h)
	h.Reset()
	var sum [sha256.Size]byte
	if subtle.ConstantTimeCompare(seal(sum[:0], h, body, id), mac) != 1 {
		return Grant{}, ErrGrantForged
	}
	g := Grant{Role: body[1], Issued: r.time(), Expires: r.time(), Group: r.text(), UserID: r.text(),
		DeviceID: r.text(), DeviceType: r.text(), Playlist: r.text(), ByQuery: body[2]&byQuery != 0}
	if r.bad || len(r.rest) != 0 || body[2]&^byQuery != 0 {
		return Grant{}, ErrGrantMalformed
	}
	return g, nil
}

// seal appends the truncated MAC over body and id. The id's length is fixed by the body's own framing:
// body ends where its last length says, so no two (body, id) pairs share an input.
func seal(dst []byte, h hash.Hash, body []byte, id ID) []byte {
	var sum [sha256.Size]byte
	h.Write(body)
	h.Write([]byte(id))
	return append(dst, h.Sum(sum[:0])[:macSize]...)
}

func unix(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix())
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader takes a grant's fields in turn; after the first that is not there, bad stays set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) time() time.Time {
	if v := r.number(); v != 0 && v < 1<<40 {
		return time.Unix(int64(v), 0)
	}
	return time.Time{}
}
