package redislive

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"earshot/session"
)

var errLive = session.ErrLive

// What is written, and what is read back, is bounded.
const (
	maxText      = 4096
	maxMember    = 3*maxText/2 + 1
	maxUses      = 64
	maxTerminate = 1000
	maxCount     = 1 << 40
	maxSpan      = 100 * 365 * 24 * time.Hour
)

// member is how scripts name a session: its id, a NUL, its group. Ids have no NUL; should one come all the same, it is told apart.
func member(k session.Key) (string, error) {
	if k.ID == "" || len(k.ID) > maxText/2 || len(k.Group) > maxText/2 {
		return "", fmt.Errorf("session id of %d bytes, group key of %d", len(k.ID), len(k.Group))
	}
	return escape(k.ID) + "\x00" + k.Group, nil
}

func escape(id session.ID) string { return escaper.Replace(string(id)) }

var (
	escaper   = strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02")
	unescaper = strings.NewReplacer("\x01\x01", "\x00", "\x01\x02", "\x01")
)

func parseMember(m string) (session.Key, error) {
	id, group, ok := strings.Cut(m, "\x00")
	if !ok || id == "" || len(m) > maxMember {
		return session.Key{}, errReply
	}
	return session.Key{ID: session.ID(unescaper.Replace(id)), Group: group}, nil
}

// milliseconds rounds up, within reason.
func milliseconds(d time.Duration) int64 {
	d = min(max(d, -maxSpan), maxSpan)
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	return int64(ms)
}

// reader takes a script's answer apart. What does not fit makes it bad, and all that is read from then on is empty.
type reader struct {
	rest []any
	bad  bool
}

func read(v any) *reader {
	l, ok := v.([]any)
	return &reader{rest: l, bad: !ok}
}

func (r *reader) next() any {
	if r.bad || len(r.rest) == 0 {
		r.bad = true
		return nil
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reader) text() string {
	s, ok := r.next().(string)
	if !ok || len(s) > maxText {
		r.bad = true
		return ""
	}
	return s
}

func (r *reader) number() int64 {
	n, ok := r.next().(int64)
	if !ok || n < -maxCount*16 || n > maxCount*16 {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) time() time.Time { return time.UnixMilli(r.number()) }

func (r *reader) list() []any {
	l, ok := r.next().([]any)
	r.bad = r.bad || !ok
	return l
}

func (r *reader) key() session.Key {
	m, _ := r.next().(string)
	k, err := parseMember(m)
	r.bad = r.bad || err != nil
	return k
}

func (r *reader) address() (a netip.Addr) {
	s := r.text()
	if s == "" {
		return a
	}
	a, err := netip.ParseAddr(s)
	r.bad = r.bad || err != nil
	return a
}

// seat reads what lib.lua's answer wrote.
func seat(v any) (s session.Seat, err error) {
	r := read(v)
	s.Key, s.Seen, s.Expires, s.Started = r.key(), r.time(), r.time(), r.time()
	s.UserID, s.Slot, s.API = r.text(), r.text(), r.number() == 1
	s.Edge, s.Address, s.Agent = r.text(), r.address(), r.text()
	s.Kind = session.Kind(r.text())
	s.DeviceID, s.DeviceType, s.Service, s.Owner = r.text(), r.text(), r.text(), r.text()
	if len(r.rest) > 2*maxUses || s.Kind != "" && s.Kind != session.HLS && s.Kind != session.ICY {
		r.bad = true
	}
	for !r.bad && len(r.rest) > 0 {
		s.Uses = append(s.Uses, session.Use{Name: r.text(), Max: int(r.number())})
	}
	if r.bad {
		return session.Seat{}, errReply
	}
	return s, nil
}

// seats reads many. Those that are none are left out, and counted.
func (t *Table) seats(all []any) []session.Seat {
	var good []session.Seat
	for _, v := range all {
		s, err := seat(v)
		if err != nil {
			t.metrics.damage(1)
			continue
		}
		good = append(good, s)
	}
	return good
}

func keys(all []any) (ks []session.Key) {
	r := reader{rest: all}
	for !r.bad && len(r.rest) > 0 {
		if k := r.key(); !r.bad {
			ks = append(ks, k)
		}
	}
	return ks
}

// check refuses a seat that could not be read back.
func check(s *session.Seat) error {
	for _, text := range []string{s.Edge, s.UserID, s.DeviceID, s.DeviceType, s.Agent, s.Service, s.Owner, s.Slot} {
		if len(text) > maxText {
			return fmt.Errorf("seat of %d bytes in one field, at most %d are taken", len(text), maxText)
		}
	}
	if len(s.Uses) > maxUses {
		return fmt.Errorf("seat with %d limits, at most %d are taken", len(s.Uses), maxUses)
	}
	for _, u := range s.Uses {
		if u.Name == "" || len(u.Name) > maxText || u.Max < -maxCount || u.Max > maxCount {
			return errors.New("seat with a limit of no name, of too long a one, or of too high a maximum")
		}
	}
	return nil
}
