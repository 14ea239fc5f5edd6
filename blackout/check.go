package blackout

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrRule is wrapped by what is wrong with a rule. The text says which rule, which field, and what to write instead.
var ErrRule = errors.New("bad blackout")

// What a rule, and a set of them, may hold at most. Rules come from an API, too.
const (
	MaxRules  = 10_000
	MaxValues = 1_000   // of a field
	MaxSum    = 200_000 // of the fields of all rules together
	MaxText   = 1024    // bytes
	maxName   = 64      // bytes of an id, or of a value of an audience
	maxKey    = 128     // bytes of a pattern of keys
)

// Check says what is wrong with the rule, wrapping [ErrRule].
func (r *Rule) Check() error {
	_, err := compile(r, make(zones), "")
	return err
}

// check is all but the schedule.
func (r *Rule) check() error {
	if err := checkID(r.ID); err != nil {
		return err
	}
	if err := checkValues("streams", r.Streams, checkPattern); err != nil {
		return err
	}
	if err := r.Where.check("where"); err != nil {
		return err
	}
	if err := r.Except.check("except"); err != nil {
		return err
	}
	if err := checkBounds(r.From, r.To); err != nil {
		return err
	}
	if err := checkAction("action", r.Action); err != nil {
		return err
	}
	if err := checkAction("unknown", r.Unknown); err != nil {
		return err
	}
	if len(r.Message) > MaxText || !printable(r.Message) {
		return fmt.Errorf("message: write at most %d bytes of printable UTF-8, on one line", MaxText)
	}
	return nil
}

func checkID(id string) error {
	switch {
	case id == "" || len(id) > maxName || !word(id):
		return fmt.Errorf("id: %s: write 1 to %d bytes of printable text without spaces, such as derby-2026", quote(id), maxName)
	case id == "." || id == "..":
		return fmt.Errorf("id: %s cannot stand in a URL: write a name such as derby-2026", quote(id))
	}
	return nil
}

func checkBounds(from, to time.Time) error {
	for i, t := range []time.Time{from, to} {
		if y := t.UTC().Year(); y < 1 || y > 9998 { // JSON could not hold it
			return fmt.Errorf("%s: year %d: write a time such as 2026-05-02T14:45:00Z", []string{"from", "to"}[i], y)
		}
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return fmt.Errorf("to: %s is not after from: write a later time, or leave one of the two out", to.Format(time.RFC3339))
	}
	return nil
}

func checkAction(field string, a Action) error {
	switch a {
	case "", Allow, Deny:
		return nil
	}
	return fmt.Errorf("%s: %s: write deny or allow", field, quote(string(a)))
}

func (a *Audience) check(name string) error {
	for _, f := range []struct {
		name   string
		values []string
		check  func(string) error
	}{
		{"country", a.Country, checkCountry},
		{"subdivision", a.Subdivision, checkSubdivision},
		{"metro", a.Metro, checkMetro},
		{"postal", a.Postal, checkPostal},
		{"device", a.Device, checkDevice},
	} {
		if err := checkValues(name+"."+f.name, f.values, f.check); err != nil {
			return err
		}
	}
	return checkValues(name+".network", a.Network, checkNetwork)
}

func checkValues[T any](name string, values []T, check func(T) error) error {
	if len(values) > MaxValues {
		return fmt.Errorf("%s: %d values: write at most %d, and a second rule for the others", name, len(values), MaxValues)
	}
	for _, v := range values {
		if err := check(v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkPattern(s string) error {
	if s == "" || len(s) > maxKey || !word(s) {
		return fmt.Errorf("%s: write the key of a group or stream, 1 to %d bytes without spaces, * for any run of bytes", quote(s), maxKey)
	}
	return nil
}

func checkCountry(s string) error {
	switch {
	case strings.EqualFold(s, "UK"):
		return fmt.Errorf("%s is not the ISO 3166-1 code of the United Kingdom: write GB", quote(s))
	case len(s) != 2 || !only(s, letter):
		return fmt.Errorf("%s: write an ISO 3166-1 code of two letters, such as US", quote(s))
	}
	return nil
}

func checkSubdivision(s string) error {
	country, part, qualified := strings.Cut(s, "-")
	if !qualified {
		country, part = "US", s
	}
	if checkCountry(country) != nil || len(part) < 1 || len(part) > 3 || !only(part, alphanumeric) {
		return fmt.Errorf("%s: write an ISO 3166-2 code, such as US-CA or CA", quote(s))
	}
	return nil
}

func checkMetro(s string) error {
	if s == "" || len(s) > 32 || !only(s, alphanumeric) {
		return fmt.Errorf("%s: write the code of a metro area (DMA), such as 807", quote(s))
	}
	return nil
}

func checkPostal(s string) error {
	body := strings.TrimSuffix(s, "*")
	inside := func(c byte) bool { return alphanumeric(c) || c == ' ' || c == '-' }
	if s == "" || len(body) > 31 || !only(body, inside) || body != strings.Trim(body, " -") {
		return fmt.Errorf("%s: write a postal code, such as 90210, or its beginning and *, such as SW1*", quote(s))
	}
	return nil
}

func checkDevice(s string) error {
	if s == "" || len(s) > maxName || !printable(s) || s != strings.TrimSpace(s) {
		return fmt.Errorf("%s: write a device type of 1 to %d printable bytes, such as stb", quote(s), maxName)
	}
	return nil
}

func checkNetwork(p netip.Prefix) error {
	if !p.IsValid() {
		return errors.New("is no network: write an address and the length of its prefix, such as 192.0.2.0/24")
	}
	if p.Addr().Is4In6() && p.Bits() < 96 {
		return fmt.Errorf("%s: write the network of IPv4, such as 192.0.2.0/24, or of IPv6, such as 2001:db8::/32", p)
	}
	return nil
}

// sum is how many values the rule has.
func (r *Rule) sum() int {
	n := len(r.Streams)
	for _, a := range []*Audience{&r.Where, &r.Except} {
		n += len(a.Country) + len(a.Subdivision) + len(a.Metro) + len(a.Postal) + len(a.Network) + len(a.Device)
	}
	return n
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
}

// word is printable text without spaces.
func word(s string) bool { return printable(s) && !strings.Contains(s, " ") }

func only(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func letter(c byte) bool       { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func alphanumeric(c byte) bool { return letter(c) || '0' <= c && c <= '9' }

// quote is s as it may stand in an error, however long it is.
func quote(s string) string {
	if len(s) > maxName {
		return fmt.Sprintf("%q…", s[:maxName])
	}
	return fmt.Sprintf("%q", s)
}
