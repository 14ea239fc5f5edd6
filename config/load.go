package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grafana/regexp"

	"go.yaml.in/yaml/v4"
)

const (
	maxFile   = 1 << 20 // bytes
	maxWeight = 200_000 // of one file, with every alias written out; see weigh
)

// Load reads and checks a configuration file. ${NAME} in a value is filled from the environment. The error is
// always [Errors].
func Load(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, Errors{{File: path, Text: "cannot be read: " + reason(err)}}
	}
	return Parse(path, text, os.LookupEnv)
}

// Parse checks the text of a configuration file, whose name only stands in messages. env looks up environment
// variables; nil means that none is set. Parse opens no file but looks whether those that the text names can be
// read. The error is always [Errors].
func Parse(name string, text []byte, env func(string) (string, bool)) (*Config, error) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	d := &decoder{file: name, env: env, written: map[string]value{}}
	root := d.document(text)
	if root == nil {
		return nil, d.problems
	}
	c := Default()
	top := d.value("", root)
	configKeys(&c)(top)
	d.check(&c, top)
	d.capabilities()
	notices := d.overlaps(c.Streams)
	notices = append(notices, d.checkOrigins(&c)...)
	notices = append(notices, d.nobodysKeys(&c)...)
	if len(d.problems) > 0 {
		d.problems.sort()
		return nil, d.problems
	}
	c.file, c.lines = d.file, d.lines()
	Errors(notices).sort()
	for _, n := range notices {
		c.notices = append(c.notices, n.String())
	}
	return &c, nil
}

// lines are where the keys that the file sets have their values.
func (d *decoder) lines() map[string]int {
	lines := make(map[string]int, len(d.written))
	for key, v := range d.written {
		lines[key] = v.node.Line
	}
	return lines
}

// readFile reads little more than a configuration may hold; Parse refuses what is longer.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// document is the one YAML document of the text, or nil after a problem.
func (d *decoder) document(text []byte) *yaml.Node {
	if len(text) > maxFile {
		return d.fail(0, "is larger than 1 MiB; a configuration must be smaller")
	}
	if at := firstUnreadable(text); at >= 0 {
		return d.fail(lineOf(text, at), "is not UTF-8 text, or holds a control character; save it as plain UTF-8")
	}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := stream.Decode(&first); err != nil && !errors.Is(err, io.EOF) {
		return d.fail(syntaxError(text, err))
	}
	if len(first.Content) == 0 || first.Content[0].ShortTag() == "!!null" {
		return d.fail(1, "is empty; write streams: and at least one stream")
	}
	switch err := stream.Decode(&second); {
	case err == nil:
		return d.fail(second.Line, "a second YAML document begins here; keep one")
	case !errors.Is(err, io.EOF):
		return d.fail(syntaxError(text, err))
	}
	root := first.Content[0]
	switch weight, err := weigh(root, map[*yaml.Node]int{}); {
	case err != nil:
		return d.fail(root.Line, err.Error())
	case weight > maxWeight:
		return d.fail(root.Line, "is too large once its aliases are written out; write fewer of them")
	}
	return root
}

func (d *decoder) fail(line int, text string) *yaml.Node {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Text: text})
	return nil
}

// firstUnreadable is the offset of the first byte that YAML in UTF-8 cannot hold, or -1.
func firstUnreadable(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1,
			r < ' ' && r != '\t' && r != '\n' && r != '\r',
			r >= 0x7f && r < 0xa0 && r != 0x85:
			return i
		}
		i += size
	}
	return -1
}

// lineOf is the line of an offset. A line feed at the end of the text begins no line.
func lineOf(text []byte, offset int) int {
	before := bytes.TrimSuffix(text, []byte("\n"))
	return 1 + bytes.Count(before[:min(offset, len(before))], []byte("\n"))
}

var (
	yamlError     = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

	// flowError is how the library answers [http://packager/${ch}/], which looks like a value.
	flowError = regexp.MustCompile(`^did not find expected (node content|',' or )`)
)

// syntaxError is the line and text of an error of the YAML library. The library leaves line 1 out, and repeats the
// name of an alias, which may be a secret that happens to begin with an asterisk.
func syntaxError(text []byte, err error) (line int, message string) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, "is not YAML"
	}
	line, _ = strconv.Atoi(m[1])
	if name := unknownAnchor.FindStringSubmatch(m[2]); name != nil {
		at := max(0, bytes.Index(text, []byte("*"+name[1])))
		return lineOf(text, at), "is not YAML: an alias here has no anchor; put a value that begins with * in quotes"
	}
	message = "is not YAML: " + m[2]
	if flowError.MatchString(m[2]) {
		message += "; inside [ ] and { }, quote a value that holds any of { } [ ] ,"
	}
	return min(max(line, 1), lineOf(text, len(text))), message // the end of the file is no line
}

var errCycle = errors.New("holds an alias inside its own anchor; write the value out")

// weigh is the size of a tree with its aliases written out, or some number above maxWeight: one for each value and
// one for each 64 bytes of text. seen holds what was weighed already; -1 marks what is being weighed.
func weigh(n *yaml.Node, seen map[*yaml.Node]int) (int, error) {
	switch weight, ok := seen[n]; {
	case weight < 0:
		return 0, errCycle
	case ok:
		return weight, nil
	}
	seen[n] = -1
	inside := n.Content
	if n.Alias != nil {
		inside = []*yaml.Node{n.Alias}
	}
	total := 1 + len(n.Value)/64
	for _, child := range inside {
		weight, err := weigh(child, seen)
		if err != nil {
			return 0, err
		}
		total = min(total+weight, maxWeight+1)
	}
	seen[n] = total
	return total, nil
}

// readable checks that a file is a regular one that can be read.
func readable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// reason is what a file operation failed of, without the path.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return strings.TrimSpace(err.Error())
}
