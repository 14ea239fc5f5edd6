package config

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// unenforced are keys that the configuration already knows and that say where data goes, or guard something, which this version of Earshot does not
// yet do. To accept one and not act on it would leave open what the operator believes shut, so setting one is an error. An issue that
// teaches Earshot one of these things deletes the line.
var unenforced = map[string]string{
	"store": "keep its records in PostgreSQL",
}

// capabilities compares the keys that the file sets with the table.
func (d *decoder) capabilities() {
	for _, key := range slices.Sorted(maps.Keys(unenforced)) {
		if v, ok := d.written[key]; ok && !v.isOff() {
			v.problem("this version of earshot cannot %s; remove the key, or use a version that can", unenforced[key])
		}
	}
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
