package config

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/regexp"

	"go.yaml.in/yaml/v4"
)

// scalar is the text of a single value with ${NAME} filled in. Numbers and booleans are texts like any other.
func (v value) scalar() (string, bool) {
	switch {
	case v.isNull():
		return "", false
	case v.node.Kind != yaml.ScalarNode:
		v.problem("is %s; write a single value", v.kind())
		return "", false
	case v.node.Style&yaml.TaggedStyle != 0:
		v.problem("has a YAML tag (!); write the value without it, or in quotes")
		return "", false
	}
	ok := true
	s, fits := v.expand(func(problem string) {
		v.problem("%s", problem)
		ok = false
	})
	if !fits {
		v.problem("is longer than %d bytes", maxText)
	}
	return s, ok && fits
}

// maxText bounds one value with its environment filled in: no value of a configuration comes near it.
const maxText = 64 << 10

// reference is ${NAME}. Without the name it is a mistake, since no value needs "${" otherwise.
var reference = regexp.MustCompile(`\$\{(?:(\w+)\})?`)

// expand fills ${NAME} from the environment, except captures, which stay. What comes from the environment is not
// expanded again. fits is false if the result is too long.
func (v value) expand(problem func(string)) (s string, fits bool) {
	rest := v.node.Value
	if !strings.Contains(rest, "${") {
		return rest, len(rest) <= maxText
	}
	var b strings.Builder
	for {
		at := reference.FindStringSubmatchIndex(rest)
		if at == nil {
			b.WriteString(rest)
			return b.String(), b.Len() <= maxText
		}
		b.WriteString(rest[:at[0]])
		whole, name := rest[at[0]:at[1]], ""
		if at[2] >= 0 {
			name = rest[at[2]:at[3]]
		}
		rest = rest[at[1]:]
		switch filled, set := v.env(name); {
		case name == "":
			problem("holds ${ without a name and }; write ${NAME}, with letters, digits and _")
		case v.captures != nil && v.captures(name):
			b.WriteString(whole)
		case set:
			b.WriteString(filled)
		case v.captures != nil:
			problem(whole + " is neither a capture of match nor set in the environment; name one of the two")
		default:
			problem(whole + " is not set in the environment; set it, or write the value here")
		}
		if b.Len() > maxText {
			return "", false
		}
	}
}

// ExpandNames lists the names in ${…} of a stream's Group, Stream, HLS or ICY, in order: captures of its Match.
func ExpandNames(template string) []string {
	var names []string
	for _, m := range reference.FindAllStringSubmatch(template, -1) {
		if m[1] != "" {
			names = append(names, m[1])
		}
	}
	return names
}

// badTemplate checks a text, filled from the environment, in which captures are to be expanded. Go's Regexp.Expand
// also takes $name for a capture, which would go past the check of hosts: no $ stands for itself.
func (v value) badTemplate(s string) string {
	names := ExpandNames(s)
	for _, name := range names {
		if v.captures == nil || !v.captures(name) {
			return "is filled from the environment with a ${…} that is no capture of match; set it to something else"
		}
	}
	if strings.Count(s, "$") != len(names) {
		return "holds a $ that begins no ${name}; write the name in braces, or %24 in a URL for the character itself"
	}
	return ""
}

// checked decodes a text that wrong finds nothing wrong with. What wrong says follows the quoted value.
func checked(p *string, wrong func(string) string) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		if what := wrong(s); what != "" {
			v.problem("%s %s", v.quote(), what)
			return
		}
		*p = s
	}
}

// unquoted is checked for what may be a secret.
func unquoted(p *string, wrong func(string) string) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		if what := wrong(s); what != "" {
			v.problem("%s", what)
			return
		}
		*p = s
	}
}

// number decodes a whole number that is at least least.
func number(p *int, least int) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		n, err := strconv.Atoi(s)
		switch {
		case errors.Is(err, strconv.ErrRange):
			v.problem("%s is too large", v.quote())
		case err != nil:
			v.problem("%s is not a whole number; write one such as %d", v.quote(), max(*p, least))
		case n < least:
			v.problem("%s is too small; write %d or more", v.quote(), least)
		default:
			*p = n
		}
	}
}

func boolean(p *bool) into {
	return func(v value) {
		switch s, ok := v.scalar(); {
		case !ok:
		case s != "true" && s != "false":
			v.problem("%s is neither true nor false; write one of them", v.quote())
		default:
			*p = s == "true"
		}
	}
}

func size(p *Size) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		n, err := parseSize(s)
		if err != nil {
			v.problem("%s %v", v.quote(), err)
			return
		}
		*p = n
	}
}

// duration decodes a duration that is at least least.
func duration(p *time.Duration, least time.Duration) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		switch t, err := parseDuration(s); {
		case err != nil:
			v.problem("%s %v", v.quote(), err)
		case t < least:
			v.problem("%s is too short; write %v or more", v.quote(), least)
		default:
			*p = t
		}
	}
}

func moment(p *time.Time) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			v.problem("%s is not a time; write one such as 2026-05-02T18:00:00Z", v.quote())
			return
		}
		*p = t
	}
}

func oneOf(p *string, names ...string) into {
	return checked(p, func(s string) string {
		if slices.Contains(names, s) {
			return ""
		}
		return "is not known here; write one of " + strings.Join(names, ", ")
	})
}

// prefix decodes an address range, or one address, which is a range of one.
func prefix(p *netip.Prefix) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			*p = netip.PrefixFrom(a, a.BitLen())
			return
		}
		switch r, err := netip.ParsePrefix(s); {
		case err != nil || r.Addr().Is4In6():
			v.problem("%s is not an address range; write one such as 10.0.0.0/8 or 2001:db8::/32", v.quote())
		case r != r.Masked():
			v.problem("%s has bits set beyond its length; write %v", v.quote(), r.Masked())
		default:
			*p = r
		}
	}
}
