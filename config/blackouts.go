package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grafana/regexp"
)

// Blackout hides streams from an audience for a time. A rule that asks for a place is accepted only with [Config.Geo].
type Blackout struct {
	Line int // where the entry begins in its file

	ID            string
	Streams       []string // keys of groups and streams, * for any run of bytes; none: all
	Where, Except Audience
	From, To      time.Time // zero: no bound; From is before To
	Schedule      string    // not looked at here; see [Config.BlackoutProblem]
	Action        string    // deny or allow
	Unknown       string    // deny or allow: what to do if the place is not known
	Message       string    // at most 1 KiB, on one line
}

// Audience is a set of listeners. Country and Subdivision are in either case.
type Audience struct {
	Country, Subdivision, Metro, Postal []string
	Network                             []netip.Prefix
	Device                              []string
}

func blackoutKeys(b *Blackout) into {
	return func(v value) {
		b.Line, b.Action, b.Unknown = v.node.Line, "deny", "deny"
		object(
			field{"id", checked(&b.ID, badBlackoutID)},
			field{"streams", some(&b.Streams, keyPattern)},
			field{"where", audienceKeys(&b.Where)},
			field{"except", audienceKeys(&b.Except)},
			field{"from", moment(&b.From)},
			field{"to", moment(&b.To)},
			field{"schedule", checked(&b.Schedule, notEmpty)},
			field{"action", oneOf(&b.Action, "deny", "allow")},
			field{"unknown", oneOf(&b.Unknown, "deny", "allow")},
			field{"message", checked(&b.Message, badMessage)},
		)(v)
		v.needs("id")
		if !b.From.IsZero() && !b.To.IsZero() && !b.From.Before(b.To) {
			at := v.written[v.child("to")]
			at.problem("%s is not after from; write a later time, or leave one of the two out", at.quote())
		}
	}
}

func audienceKeys(a *Audience) into {
	return object(
		field{"country", oneOrMore(&a.Country, each(badCountry))},
		field{"subdivision", oneOrMore(&a.Subdivision, each(badSubdivision))},
		field{"metro", oneOrMore(&a.Metro, each(badMetro))},
		field{"postal", oneOrMore(&a.Postal, each(badPostal))},
		field{"network", oneOrMore(&a.Network, prefix)},
		field{"device", oneOrMore(&a.Device, each(badDevice))},
	)
}

// each decodes an entry of a list of texts.
func each(wrong func(string) string) func(*string) into {
	return func(p *string) into { return checked(p, wrong) }
}

// placeKeys are those of an audience for which a listener's place must be known.
var placeKeys = []string{"country", "subdivision", "metro", "postal"}

// checkBlackouts refuses two rules of one id, and rules that ask where a listener is where nothing tells.
func (d *decoder) checkBlackouts(c *Config) {
	first := map[string]int{}
	_, geo := d.written["geo"]
	geo = geo && !d.written["geo"].isOff()
	for i, b := range c.Blackouts {
		rule := fmt.Sprintf("blackouts[%d]", i)
		if other, ok := first[b.ID]; ok && b.ID != "" {
			at := d.written[rule+".id"]
			at.problem("%s is also the id of blackouts[%d] (line %d); give each its own", at.quote(), other, c.Blackouts[other].Line)
		} else {
			first[b.ID] = i
		}
		for _, audience := range []string{".where.", ".except."} {
			for _, key := range placeKeys {
				if at, ok := d.written[rule+audience+key]; ok && !geo {
					at.problem("needs to know where a listener is, and nothing tells; write geo: and the path of a MaxMind .mmdb file")
				}
			}
		}
	}
}

// geoFile decodes the path of a file of places, or nothing.
func geoFile(p *string) into {
	return func(v value) {
		if s, ok := v.scalar(); ok && s != "" {
			fileOf(p, "write the path of a MaxMind .mmdb file")(v)
		}
	}
}

// keyPattern decodes the key of a group or stream in which * stands for any run of bytes.
func keyPattern(p *string) into {
	return checked(p, func(s string) string {
		if badKey(s) != "" {
			return "is not the key of a group or stream; write one such as news, or tv-* for all that begin so"
		}
		return ""
	})
}

func badBlackoutID(s string) string {
	if badKey(s) != "" || len(s) > 64 || s == "." || s == ".." {
		return "is not an id; write 1 to 64 bytes of printable text without spaces, such as derby-2026"
	}
	return ""
}

func badMessage(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case len(s) > 1<<10:
		return "is longer than 1 KiB; write a shorter message"
	case !utf8.ValidString(s) || strings.ContainsFunc(s, odd):
		return "holds a line break or another character that cannot be shown; write the message in one line"
	}
	return ""
}

var (
	country     = regexp.MustCompile(`^[A-Za-z]{2}$`)
	subdivision = regexp.MustCompile(`^(?:[A-Za-z]{2}-)?[A-Za-z0-9]{1,3}$`)
	metro       = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
	postal      = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9 -]{0,29}[A-Za-z0-9])?\*?|\*)$`)
)

func badCountry(s string) string {
	switch {
	case strings.EqualFold(s, "UK"):
		return "is not the code of the United Kingdom; write GB"
	case !country.MatchString(s):
		return "is not a country; write its two letters of ISO 3166-1, such as US"
	}
	return ""
}

func badSubdivision(s string) string {
	if !subdivision.MatchString(s) {
		return "is not a subdivision; write its code of ISO 3166-2, such as US-CA or CA"
	}
	return ""
}

func badMetro(s string) string {
	if !metro.MatchString(s) {
		return "is not a metro area; write its DMA code, such as 803"
	}
	return ""
}

func badPostal(s string) string {
	if !postal.MatchString(s) {
		return "is not a postal code; write one such as 90210, or its beginning and *, such as SW1*"
	}
	return ""
}
