package config

import (
	"fmt"
	"strings"
)

// nobodysKeys notices what blackouts and limits are for and no stream is: it is either one to come, or a slip of the pen that hides nothing and limits nobody.
func (d *decoder) nobodysKeys(c *Config) (notices []Problem) {
	look := func(key, pattern string) {
		if v, ok := d.written[key]; ok && pattern != "" && !c.hasKeyLike(pattern) {
			notices = append(notices, Problem{d.file, v.node.Line, key, fmt.Sprintf("%q is the key of no stream here", pattern)})
		}
	}
	for i, b := range c.Blackouts {
		for j, pattern := range b.Streams {
			look(fmt.Sprintf("blackouts[%d].streams[%d]", i, j), pattern)
		}
	}
	for i, l := range c.Limits {
		look(fmt.Sprintf("limits[%d].group", i), l.Group)
	}
	return notices
}

// hasKeyLike reports whether a stream's key is of the pattern, or may be once the captures it names are known.
func (c *Config) hasKeyLike(pattern string) bool {
	for i := range c.Streams {
		key := c.Streams[i].Group + c.Streams[i].Stream // it has one of them
		if fixed, _, open := strings.Cut(key, "${"); open {
			start, _, more := strings.Cut(pattern, "*")
			if strings.HasPrefix(start, fixed) || more && strings.HasPrefix(fixed, start) {
				return true
			}
		} else if keyIsLike(pattern, key) {
			return true
		}
	}
	return false
}

// keyIsLike reports whether a key is of a pattern, in which * stands for any run of bytes.
func keyIsLike(pattern, key string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return key == pattern
	}
	if len(key) < len(first)+len(last) || !strings.HasPrefix(key, first) || !strings.HasSuffix(key, last) {
		return false
	}
	key = key[len(first) : len(key)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(key, part)
		if at < 0 {
			return false
		}
		key = key[at+len(part):]
	}
	return true
}
