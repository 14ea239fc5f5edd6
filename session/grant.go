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
	Master     string    // the master whose variables the playlist imports, named as Playlist is; mostly none
	Proved     bool      // the listener has shown that he may listen
	Shared     bool      // his device's players count once
	App        bool      // an app made the session
	Ends       time.Time // when the session is over, whatever it does; zero: never
	Ceiling    int       // sessions that whoever answers for the user lets him have; 0: he did not say
}

// Roles that are no playlist.Role.
const (
	RoleMaster = 255 // the URI stands in a master
	RoleKey    = 254 // the URI is a key's, and the same wherever it stands: Playlist is empty
)

// Flags of a grant's text.
const (
	byQuery   = 1 << iota // Grant.ByQuery
	hasMaster             // Grant.Master follows
	proved                // Grant.Proved
	shared                // Grant.Shared
	byApp                 // Grant.App
	hasBounds             // Grant.Ends and Grant.Ceiling follow
	allFlags  = byQuery | hasMaster | proved | shared | byApp | hasBounds
)

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
	maxCeiling   = 1 << 30
)

// Secret is a signing key with the name that grants carry.
type Secret struct {
	ID  string // at most 32 bytes
	Key []byte
}

// Signer signs grants with the first of its secrets and accepts those of any. It is safe for concurrent use.
type Signer struct {
	first string
	keys  map[string]*sync.Pool // of *bench
}

// bench is what signing takes, kept so that it takes no memory.
type bench struct {
	hash.Hash // keyed
	text      []byte
	encoded   []byte
	sum       [sha256.Size]byte
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
		s.keys[secret.ID] = &sync.Pool{New: func() any { return &bench{Hash: hmac.New(sha256.New, key)} }}
	}
	return s, nil
}

func (s *Signer) bench(key string) *bench { return s.keys[key].Get().(*bench) }

func (s *Signer) put(key string, w *bench) { s.keys[key].Put(w) }

// Sign returns the URL-safe text of the grant for session id.
func (s *Signer) Sign(id ID, g *Grant) string {
	w := s.bench(s.first)
	defer s.put(s.first, w)
	flags := g.flags()
	b := append(w.text[:0], grantVersion, g.Role, flags)
	b = appendText(b, s.first)
	b = binary.AppendUvarint(b, unix(g.Issued))
	b = binary.AppendUvarint(b, unix(g.Expires))
	b = appendText(b, g.Group)
	b = appendText(b, g.UserID)
	b = appendText(b, g.DeviceID)
	b = appendText(b, g.DeviceType)
	b = appendText(b, g.Playlist)
	if g.Master != "" {
		b = appendText(b, g.Master)
	}
	if flags&hasBounds != 0 {
		b = binary.AppendUvarint(b, unix(g.Ends))
		b = binary.AppendUvarint(b, uint64(g.Ceiling))
	}
	w.text = append(b, w.seal(b, id)...)
	w.encoded = base64.RawURLEncoding.AppendEncode(w.encoded[:0], w.text)
	return string(w.encoded)
}

func (g *Grant) flags() (f byte) {
	for _, flag := range [...]struct {
		set bool
		bit byte
	}{{g.ByQuery, byQuery}, {g.Master != "", hasMaster}, {g.Proved, proved}, {g.Shared, shared}, {g.App, byApp},
		{!g.Ends.IsZero() || g.Ceiling > 0, hasBounds}} {
		if flag.set {
			f |= flag.bit
		}
	}
	return f
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
	flags := body[2]
	r := reader{rest: string(body[headSize:])} // one string, that all of the grant's are part of
	key := r.text()
	if r.bad {
		return Grant{}, ErrGrantMalformed
	}
	if s.keys[key] == nil {
		return Grant{}, ErrGrantKey
	}
	w := s.bench(key)
	defer s.put(key, w)
	w.text = append(w.text[:0], body...)
	if subtle.ConstantTimeCompare(w.seal(w.text, id), mac) != 1 {
		return Grant{}, ErrGrantForged
	}
	g := Grant{Role: body[1], Issued: r.time(), Expires: r.time(), Group: r.text(), UserID: r.text(),
		DeviceID: r.text(), DeviceType: r.text(), Playlist: r.text(), ByQuery: flags&byQuery != 0,
		Proved: flags&proved != 0, Shared: flags&shared != 0, App: flags&byApp != 0}
	if flags&hasMaster != 0 {
		g.Master = r.text()
	}
	if flags&hasBounds != 0 {
		g.Ends, g.Ceiling = r.time(), int(min(r.number(), maxCeiling))
	}
	if r.bad || len(r.rest) != 0 || flags&^allFlags != 0 || flags != g.flags() {
		return Grant{}, ErrGrantMalformed
	}
	return g, nil
}

// seal is the truncated MAC over body and id, good until the bench is used again. The id's length is fixed by the
// body's own framing: body ends where its last length says, so no two (body, id) pairs share an input.
func (w *bench) seal(body []byte, id ID) []byte {
	w.Reset()
	w.Write(body)
	w.encoded = append(w.encoded[:0], id...)
	w.Write(w.encoded)
	return w.Sum(w.sum[:0])[:macSize]
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
	rest string
	bad  bool
}

// number reads a varint as encoding/binary writes it.
func (r *reader) number() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		c := r.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.bad, r.rest = true, ""
	return 0
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) time() time.Time {
	if v := r.number(); v != 0 && v < 1<<40 {
		return time.Unix(int64(v), 0)
	}
	return time.Time{}
}
