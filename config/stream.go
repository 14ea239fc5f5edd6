package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grafana/regexp"
	"github.com/grafana/regexp/syntax"

	"go.yaml.in/yaml/v4"
)

// In bytes. Every request is compared with them.
const (
	maxPattern = 1000
	maxPath    = 1000
)

func streamKeys(s *Stream) into {
	return func(v value) {
		*s = DefaultStream()
		s.Line = v.node.Line
		object(
			field{"path", edgePath(&s.Path)},
			field{"match", pattern(&s.Match)}, // before those that name its captures
			field{"group", s.template(v, checkedKey(&s.Group))},
			field{"stream", s.template(v, checkedKey(&s.Stream))},
			field{"hls", s.template(v, oneOrMore(&s.HLS, hlsOrigin))},
			field{"icy", s.template(v, icyOrigins(&s.ICY))},
			field{"overflow", s.template(v, overflow(&s.Overflow))},
			field{"burst", burst(&s.Mount)},
			field{"rewind", duration(&s.Rewind, 0)},
			field{"max_listeners", number(&s.MaxListeners, 0)},
			field{"intro", fileOf(&s.Intro, "write the path of a file of audio")},
			field{"charset", checked(&s.Charset, badCharset)},
			field{"always_on", boolean(&s.AlwaysOn)},
			field{"linger", duration(&s.Linger, time.Millisecond)},
			field{"patience", duration(&s.Patience, time.Millisecond)},
			field{"stall", duration(&s.Stall, time.Second)},
			field{"auth", oneOf(&s.Auth, "inherit", "none")},
			field{"follow", list(&s.Follow, host)},
			field{"query", list(&s.Query, parameter)},
		)(v)
		if v.node.Kind == yaml.MappingNode {
			s.check(v)
		}
	}
}

// template lets the value name captures of match. Where match is wrong, which was said already, any name will do.
func (s *Stream) template(entry value, next into) into {
	return func(v value) {
		switch {
		case s.Match != nil:
			v.captures = func(name string) bool { return slices.Contains(s.Match.SubexpNames(), name) }
		case entry.sets("match"):
			v.captures = func(string) bool { return true }
		default:
			v.captures = func(string) bool { return false }
		}
		next(v)
	}
}

// check looks at what the keys of an entry say together.
func (s *Stream) check(v value) {
	switch path, match := v.sets("path"), v.sets("match"); {
	case path && match:
		v.problem("has both path and match; keep one")
	case !path && !match:
		v.problem("has neither path nor match; write path: and where players find it")
	}
	switch hls, icy := v.sets("hls"), v.sets("icy"); {
	case hls && icy:
		v.problem("has both hls and icy; make it two streams")
	case !hls && !icy:
		v.problem("has no origin; write hls: or icy: and its URL")
	case hls:
		v.foreign("an hls stream", append([]string{"stream"}, mountKeys...)...)
		if !v.sets("group") {
			v.problem("has hls but no group; write group: and a key for its sessions")
		}
		if s.Path != "" && !strings.HasSuffix(s.Path, "/") {
			at := v.written[v.child("path")]
			at.problem("%s does not end in /; an hls path is a prefix, write %s", at.quote(), quote(at.node.Value+"/"))
		}
		if s.Match != nil && !strings.HasSuffix(s.Match.String(), "/") {
			v.written[v.child("match")].problem("does not end in /; an hls pattern matches a prefix, write it up to its last /")
		}
	default:
		v.foreign("an icy stream", "group", "query")
		s.checkMount(v)
		if !v.sets("stream") {
			v.problem("has icy but no stream; write stream: and a key for its sessions")
		}
		if s.Match != nil && !strings.HasSuffix(s.Match.String(), "$") {
			v.written[v.child("match")].problem("does not end in $; an icy pattern matches a whole path, write $ at its end")
		}
	}
}

// foreign reports keys that belong to streams of the other kind.
func (v value) foreign(kind string, names ...string) {
	instead := map[string]string{"stream": "write group instead", "group": "write stream instead"}
	for _, name := range names {
		if !v.sets(name) {
			continue
		}
		what, ok := instead[name]
		if !ok {
			what = "remove it"
		}
		v.written[v.child(name)].problem("is not for %s; %s", kind, what)
	}
}

// pattern decodes match. A nil place means that there is none, or a wrong one.
func pattern(p **regexp.Regexp) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		if len(s) > maxPattern {
			v.problem("is longer than %d bytes; write a shorter pattern", maxPattern)
			return
		}
		re, err := regexp.Compile(s)
		if err != nil {
			v.problem("%s is not a pattern: %s", v.quote(), patternError(err))
			return
		}
		if what := badPattern(re); what != "" {
			v.problem("%s %s", v.quote(), what)
			return
		}
		*p = re
	}
}

func patternError(err error) string {
	if e, ok := err.(*syntax.Error); ok {
		return e.Code.String()
	}
	return err.Error()
}

func badPattern(re *regexp.Regexp) string {
	if !strings.HasPrefix(re.String(), "^") || !isAnchored(re.String()) {
		return "can match in the middle of a path; begin it, and each alternative, with ^"
	}
	for _, name := range re.SubexpNames()[1:] {
		if name == "" {
			return "has a capture without a name; write (?P<name>…), or (?:…) for a plain group"
		}
	}
	if strings.HasPrefix(literalStart(re), "/api/") {
		return "matches only paths under /api/, which are the app API's; write another"
	}
	return ""
}

// isAnchored is whether every match begins at the start of the text.
func isAnchored(pattern string) bool {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	prog, err := syntax.Compile(tree.Simplify())
	return err == nil && prog.StartCond()&syntax.EmptyBeginText != 0
}

// literalStart is a text that every path matched by a pattern begins with, perhaps an empty one.
func literalStart(re *regexp.Regexp) string {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil || tree.Op != syntax.OpConcat || len(tree.Sub) < 2 {
		return ""
	}
	if first := tree.Sub[1]; first.Op == syntax.OpLiteral && first.Flags&syntax.FoldCase == 0 {
		return string(first.Rune)
	}
	return ""
}

// checkedKey decodes group or stream. Templates are checked as they stand.
func checkedKey(p *string) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		if what := cmp.Or(v.badTemplate(s), badKey(s)); what != "" {
			v.problem("%s %s", v.quote(), what)
			return
		}
		*p = s
	}
}

// badPath checks a path at the edge as the file has it: unescaped.
func badPath(s string) string {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "does not begin with /; write the path from its first /"
	case len(s) > maxPath:
		return "is too long; write a shorter path"
	case s == "/api" || strings.HasPrefix(s, "/api/"):
		return "is under /api/, which is the app API's; write another path"
	case hasDots(s):
		return "holds a . or .. segment; write the path without it"
	case strings.Contains(s, "//"):
		return "holds //; write the path with single slashes"
	case strings.ContainsAny(s, "?#%\\\"<>[]^`{|}") || strings.Map(plain, s) != s:
		return `holds a character that no path has; write it unescaped, without spaces and any of ?#%\"<>[]^` + "`{|}"
	}
	return ""
}

// edgePath decodes path and escapes what clients escape of it: all that is not ASCII.
func edgePath(p *string) into {
	return func(v value) {
		var plain string
		checked(&plain, badPath)(v)
		var escaped strings.Builder
		for _, b := range []byte(plain) {
			if b < utf8.RuneSelf {
				escaped.WriteByte(b)
			} else {
				fmt.Fprintf(&escaped, "%%%02X", b)
			}
		}
		*p = escaped.String()
	}
}

// plain drops spaces and what cannot be printed.
func plain(r rune) rune {
	if badKey(string(r)) != "" {
		return -1
	}
	return r
}

// hasDots is whether a path has a segment that means this directory or the one above.
func hasDots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func host(p *string) into {
	return checked(p, func(s string) string {
		if !hostPort.MatchString(s) {
			return "is not a host; write one such as cdn.example.com or cdn.example.com:8443"
		}
		return ""
	})
}

var hostPort = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

func parameter(p *string) into { return checked(p, badParameter) }

func badParameter(s string) string {
	if s == "" || strings.ContainsAny(s, "=&?#+%;/") || strings.Map(plain, s) != s {
		return "is not the name of a query parameter; write one such as lang"
	}
	return ""
}
