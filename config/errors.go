package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing wrong with a configuration file. Text says what, and what to write instead; it is one line
// and holds no secret.
type Problem struct {
	File string
	Line int    // from 1; 0 if the problem is no line's
	Key  string // as in streams[0].path; empty if the problem is no key's
	Text string
}

// String is file:line: key: text, without the parts that are not known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Text)
	return b.String()
}

// Errors is everything wrong with a file, by line. [Load], [Parse] and [Config.Problem] return no other kind of error.
type Errors []Problem

// Error has one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Problem is an error of a key (as in auth.jwt.jwks, or limits[0].max) that only those can tell who use it: whether a schedule can be read,
// what is in a file. Its line is that of the key, or where the file does not set it of what the key is in. text follows the key: what is
// wrong, and what to write instead, in one line, without secrets.
func (c *Config) Problem(key, text string) error {
	line := 0
	for in := key; line == 0 && in != ""; in = in[:max(strings.LastIndexAny(in, ".["), 0)] {
		line = c.lines[in]
	}
	return Errors{{c.file, line, key, text}}
}

// BlackoutProblem is a [Config.Problem] of a field of Blackouts[i], or of all of it if field is empty.
func (c *Config) BlackoutProblem(i int, field, text string) error {
	key := "blackouts[" + strconv.Itoa(i) + "]"
	if field != "" {
		key += "." + field
	}
	return c.Problem(key, text)
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}
