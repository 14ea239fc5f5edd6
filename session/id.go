package session

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ID names a session. One that came from a client is bounded and printable, and nothing more: escape it
// wherever it goes.
type ID string

// MaxID is the longest id accepted, in bytes. CMCD allows 64 (CTA-5004), UUIDs need 36.
const MaxID = 128

// ErrID is returned for an id that no session may have.
var ErrID = errors.New("bad session id")

// NewID mints 128 random bits.
func NewID() ID {
	var b [16]byte
	rand.Read(b[:])
	return ID(base64.RawURLEncoding.EncodeToString(b[:]))
}

// ParseID checks an id that a client chose: 1 to [MaxID] bytes of valid UTF-8, all printable.
// The error wraps [ErrID] and says what is wrong, without repeating the id.
func ParseID(s string) (ID, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it is empty", ErrID)
	case len(s) > MaxID:
		return "", fmt.Errorf("%w: %d bytes long, at most %d are taken", ErrID, len(s), MaxID)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%w: not valid UTF-8", ErrID)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		return "", fmt.Errorf("%w: byte %d is not printable", ErrID, i)
	}
	return ID(s), nil
}

// barePrefix marks the ids of bare sessions: listeners who send neither id nor grant.
const barePrefix = "b."

// BareTag stands for (address, agent, playlist), the identity of a bare request, in the ids minted for it.
// It is keyed, so that an id tells nobody an address.
func (s *Signer) BareTag(address netip.Addr, agent, playlist string) string {
	mac := s.bench(s.first)
	defer s.put(s.first, mac)
	mac.Reset()
	mac.Write([]byte("bare\x00"))
	mac.Write(address.AsSlice())
	for _, part := range []string{agent, playlist} {
		mac.Write([]byte{0})
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(mac.sum[:0])[:12])
}

// NewBareID mints the id of a bare session that begins now. It holds its tag, so that the table of bare
// sessions can be built again from ids alone after a restart.
func NewBareID(tag string, now time.Time) ID {
	return ID(barePrefix + tag + "." + strconv.FormatInt(now.UnixMilli(), 36))
}

// bareTagLen is the length of a tag: 12 bytes in base64.
const bareTagLen = 16

// bareTag is the tag inside the id of a bare session.
func bareTag(id ID) (tag string, ok bool) {
	rest, ok := strings.CutPrefix(string(id), barePrefix)
	if !ok {
		return "", false
	}
	tag, _, ok = strings.Cut(rest, ".")
	return tag, ok && len(tag) == bareTagLen
}

// IsBare reports whether an id is of the form that only the edge mints.
func IsBare(id ID) bool {
	_, ok := bareTag(id)
	return ok
}

// ApartID is the id of a listener with that face who was found to use another's: the same on every edge.
func (s *Signer) ApartID(id ID, face uint64) ID {
	mac := s.bench(s.first)
	defer s.put(s.first, mac)
	mac.Reset()
	mac.encoded = append(append(mac.encoded[:0], "apart\x00"...), id...)
	mac.encoded = binary.BigEndian.AppendUint64(mac.encoded, face)
	mac.Write(mac.encoded)
	return ID(base64.RawURLEncoding.EncodeToString(mac.Sum(mac.sum[:0])[:16]))
}

// Code is a text that only an edge with the secret can have written, for one purpose, and that holds until a moment (to the second).
func (s *Signer) Code(purpose, text string, until time.Time) string {
	body := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	body = append(body, text...)
	return base64.RawURLEncoding.EncodeToString(append(body, s.mark(s.first, purpose, body)...))
}

// Decode is the text of a code, if it is one of that purpose and still holds. It is taken whichever secret signed it.
func (s *Signer) Decode(purpose, code string, now time.Time) (text string, ok bool) {
	if len(code) > maxGrant {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil || len(b) < 8+macSize {
		return "", false
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	for key := range s.keys {
		ok = ok || subtle.ConstantTimeCompare(s.mark(key, purpose, body), mac) == 1
	}
	if !ok || now.Unix() >= int64(binary.BigEndian.Uint64(body)) {
		return "", false
	}
	return string(body[8:]), true
}

func (s *Signer) mark(key, purpose string, body []byte) []byte {
	mac := s.bench(key)
	defer s.put(key, mac)
	mac.Reset()
	mac.encoded = append(append(append(mac.encoded[:0], purpose...), 0), body...)
	mac.Write(mac.encoded)
	return append([]byte(nil), mac.Sum(mac.sum[:0])[:macSize]...)
}
