package config

import (
	"maps"
	"slices"

	"github.com/grafana/regexp"

	"go.yaml.in/yaml/v4"
)

// What the configuration already knows and this version of Earshot does not yet do. An issue that teaches it one
// of these things deletes the line.

// unenforced keys guard something, or say where data goes. To accept one and not act on it would leave open what
// the operator believes shut, so setting one is an error.
var unenforced = map[string]string{
	"auth":      "check who may listen",
	"limits":    "enforce limits",
	"blackouts": "enforce blackouts",
	"geo":       "look up where a listener is",
	"store":     "keep its records in PostgreSQL",
	"live":      "share live sessions through Redis",
}

// idle keys only tune. They are accepted, and reported by [Config.Notices].
var idle = []string{
	"on_live_error",
	"on_limit",
	"seat_ttl",
	"api_session_ttl",
	"retention.evidence",
	"streams[].auth",
}

// cannot refuses a value because of an entry of unenforced. Where there is none, it does nothing.
func (v value) cannot(entry string) {
	if what, ok := unenforced[entry]; ok {
		v.problem("this version of earshot cannot %s; remove the key, or use a version that can", what)
	}
}

var index = regexp.MustCompile(`\[\d+\]`)

// capabilities compares the keys that the file sets with the two tables.
func (d *decoder) capabilities() (notices []Problem) {
	for _, key := range slices.Sorted(maps.Keys(d.written)) {
		v := d.written[key]
		entry := index.ReplaceAllString(key, "[]")
		if slices.Contains(idle, entry) {
			notices = append(notices, Problem{d.file, v.node.Line, key, "has no effect in this version of earshot"})
		}
		if !v.isOff() {
			v.cannot(entry)
		}
	}
	return notices
}

// isOff is whether a value asks for nothing: an empty text, false, an empty list.
func (v value) isOff() bool {
	switch v.node.Kind {
	case yaml.ScalarNode:
		s, _ := v.expand(func(string) {})
		return s == "" || s == "false"
	case yaml.SequenceNode:
		return len(v.node.Content) == 0
	}
	return false
}
