package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/grafana/regexp"

	"go.yaml.in/yaml/v4"
)

// decoder collects what one file holds and what is wrong with it.
type decoder struct {
	file     string
	env      func(string) (string, bool)
	problems Errors
	written  map[string]value // every key that the file sets, and every entry of its lists, by full name
}

// value is one YAML value, aliases followed, with the full name of its key.
type value struct {
	*decoder
	key  string
	node *yaml.Node

	// captures says which ${name} stay as they are, for the proxy to expand; nil means none.
	captures func(name string) bool
}

// into decodes a value to a place of its own, or reports what is wrong with it and leaves the place as it was.
type into func(value)

// field is a key of a mapping and how its value is decoded.
type field struct {
	name   string
	decode into
}

func (d *decoder) value(key string, n *yaml.Node) value {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return value{decoder: d, key: key, node: n}
}

func (v value) problem(format string, args ...any) {
	v.problemAt(v.node.Line, v.key, format, args...)
}

func (d *decoder) problemAt(line int, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{d.file, line, key, fmt.Sprintf(format, args...)})
}

// child is the full name of a key inside v.
func (v value) child(name string) string {
	if v.key == "" {
		return name
	}
	return v.key + "." + name
}

// sets is whether the mapping v sets a key, rightly or wrongly.
func (v value) sets(name string) bool {
	_, ok := v.written[v.child(name)]
	return ok
}

// quote shows a value as it stands in the file. Not for secrets.
func (v value) quote() string { return quote(v.node.Value) }

// quote shows a text, shortened if it is long.
func quote(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}

// kind is what a value of the wrong shape is called.
func (v value) kind() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// isNull reports a key without a value: most often everything below it was commented out.
func (v value) isNull() bool {
	if v.node.Kind != yaml.ScalarNode || v.node.ShortTag() != "!!null" {
		return false
	}
	v.problem("has no value; write one, or remove the key")
	return true
}

// object decodes a mapping in the order of the fields, whatever the order in the file.
func object(fields ...field) into {
	return func(v value) {
		if v.isNull() {
			return
		}
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.name
		}
		if v.node.Kind != yaml.MappingNode {
			v.problem("is %s; write a mapping, as in {%s: …}", v.kind(), names[0])
			return
		}
		members := v.members(func(key string) string { return unknown(key, names) })
		for _, f := range fields {
			if member, ok := members[f.name]; ok {
				f.decode(member)
			}
		}
	}
}

// members are the values of a mapping. wrong says what is wrong with a key, if anything; such keys are left out.
func (v value) members(wrong func(key string) string) map[string]value {
	members, lines := map[string]value{}, map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		name, line := key.Value, key.Line
		switch what := wrong(name); {
		case key.Kind != yaml.ScalarNode:
			v.problemAt(line, v.key, "has a key that is no plain text; write a name")
		case key.ShortTag() == "!!merge":
			v.problemAt(line, v.key, "has a merge key (<<), which is not taken; write the keys out")
		case !printable.MatchString(name):
			v.problemAt(line, v.key, "has a key with characters that no key has; check quotes, colons and indentation")
		case what != "":
			v.problemAt(line, v.child(name), "%s", what)
		case lines[name] > 0:
			v.problemAt(line, v.child(name), "stands twice, first in line %d; keep one", lines[name])
		default:
			lines[name] = line
			members[name] = v.decoder.value(v.child(name), v.node.Content[i+1])
			v.written[v.child(name)] = members[name]
		}
	}
	return members
}

// printable are the keys that a message may repeat. Anything else may be a secret with a colon or brace astray.
var printable = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)

// unknown says what to write instead of a key that is not among the names.
func unknown(key string, names []string) string {
	if slices.Contains(names, key) {
		return ""
	}
	best, least := "", min(len(key), 1+max(2, len(key)/4)) // farther is another word
	for _, name := range names {
		if n := distance(key, name); n < least {
			best, least = name, n
		}
	}
	if best != "" {
		return "is not a known key; write " + best + " instead"
	}
	return "is not a known key; known here are " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// distance is how many letters must be added, removed or changed to turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// list decodes a list, perhaps an empty one.
func list[T any](p *[]T, one func(*T) into) into {
	return func(v value) {
		if v.isNull() {
			return
		}
		if v.node.Kind != yaml.SequenceNode {
			v.problem("is %s; write a list", v.kind())
			return
		}
		*p = make([]T, len(v.node.Content))
		for i, n := range v.node.Content {
			item := v.decoder.value(v.key+"["+strconv.Itoa(i)+"]", n)
			item.captures = v.captures
			v.written[item.key] = item
			one(&(*p)[i])(item)
		}
	}
}

// some decodes a list that must not be empty.
func some[T any](p *[]T, one func(*T) into) into {
	return func(v value) {
		if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
			v.problem("is an empty list; write at least one entry")
			return
		}
		list(p, one)(v)
	}
}

// oneOrMore decodes a single value, or a list of them that must not be empty.
func oneOrMore[T any](p *[]T, one func(*T) into) into {
	return func(v value) {
		switch {
		case v.isNull():
		case v.node.Kind == yaml.ScalarNode:
			*p = make([]T, 1)
			one(&(*p)[0])(v)
		case v.node.Kind == yaml.MappingNode:
			v.problem("is a mapping; write one value, or a list")
		default:
			some(p, one)(v)
		}
	}
}
