package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// mountKeys are those that only an icy stream has.
var mountKeys = []string{"burst", "rewind", "max_listeners", "overflow", "intro", "charset", "always_on", "linger", "patience", "stall"}

const maxRewind = 24 * time.Hour // of audio is some GB of it

// IsFile reports whether an entry of a stream's ICY is the path of a file.
func IsFile(origin string) bool {
	return strings.HasPrefix(origin, "/") || strings.HasPrefix(origin, ".")
}

// icyOrigins decodes the origins of an icy stream: URLs, and perhaps a file after them, which plays when none of them does.
func icyOrigins(p *[]string) into {
	return func(v value) {
		last := "icy"
		if v.node.Kind == yaml.SequenceNode {
			last = "icy[" + strconv.Itoa(len(v.node.Content)-1) + "]"
		}
		oneOrMore(p, func(p *string) into {
			return func(v value) {
				if !IsFile(v.node.Value) {
					icyOrigin(p)(v)
					return
				}
				switch {
				case last == "icy" || last == "icy[0]":
					v.problem("is a file with no origin before it; write the origin's URL first")
				case !strings.HasSuffix(v.key, "."+last):
					v.problem("is a file with an origin after it; write the file last")
				case len(v.references()) > 0:
					v.problem("has a capture in the path of a file; write the path out")
				default:
					fileOf(p, "write the path of a file of audio, or a URL")(v)
				}
			}
		})(v)
	}
}

// references are the captures that a value names.
func (v value) references() (names []string) {
	for _, name := range ExpandNames(v.node.Value) {
		if v.captures != nil && v.captures(name) {
			names = append(names, name)
		}
	}
	return names
}

// overflow decodes a URL that listeners get to see.
func overflow(p *string) into { return icyOrigin(p) }

// burst decodes a size, or a duration.
func burst(m *Mount) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		n, err := parseSize(s)
		if err == nil {
			m.Burst = n
			return
		}
		t, late := parseDuration(s)
		switch {
		case late == nil:
			m.Burst, m.BurstTime = 0, t
		case err == errSize:
			v.problem("%s is neither a size nor a duration; write one such as 64KiB or 5s", v.quote())
		default:
			v.problem("%s %v", v.quote(), err)
		}
	}
}

// checkMount looks at sizes of which none would be no stream at all, and at what the keys of a mount say together.
func (s *Stream) checkMount(v value) {
	at := func(name string) value { return v.written[v.child(name)] }
	switch {
	case !v.sets("burst"):
	case s.BurstTime == 0 && s.Burst < kib:
		at("burst").problem("is too small to begin with; write 1KiB or more")
	case s.BurstTime > 0 && s.BurstTime > s.Rewind:
		at("burst").problem("is longer than what is kept (rewind, %v); write a shorter burst or a longer rewind", s.Rewind)
	}
	if v.sets("rewind") && s.Rewind < time.Second {
		at("rewind").problem("is too short to play from; write 1s or more")
	}
	if s.Rewind > maxRewind {
		at("rewind").problem("is too long to be kept in memory; write 24h or less")
	}
	if s.AlwaysOn && v.sets("match") {
		at("always_on").problem("is not for a stream with match, whose mounts nobody knows before they are asked for; remove it")
	}
	if v.sets("overflow") && s.MaxListeners == 0 {
		at("overflow").problem("is for listeners beyond max_listeners, which is not set; set it, or remove the key")
	}
}

// charsets are those that titles may be in, by their names in the Encoding Standard, which players know too.
var charsets = []string{
	"utf-8", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257",
	"windows-1258", "windows-874", "iso-8859-1", "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7",
	"iso-8859-8", "iso-8859-9", "iso-8859-10", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "koi8-r", "koi8-u", "ibm866",
	"macintosh", "big5", "euc-jp", "euc-kr", "gb18030", "gbk", "iso-2022-jp", "shift_jis",
}

func badCharset(s string) string {
	if !slices.Contains(charsets, strings.ToLower(s)) {
		return "is not a charset known here; write one such as iso-8859-2, windows-1251 or koi8-r"
	}
	return ""
}
