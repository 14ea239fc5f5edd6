package playlist

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// testCase is one file of testdata/playlists: a rule in words, settings, and a playlist before and after.
//
//	base: URL            where it was fetched (http://packager:8000/live/index.m3u8)
//	mount: origin edge   a prefix at the origin and its path at the edge (http://packager:8000/live/ /hls/news/)
//	rebase               plan with rebase
//	session, grant, master, keygrant: what is added (s1, g1, none, none); - is nothing
//	import: NAME=VALUE   a variable of the master that led here
//	bytes: crlf | mixed | nofinal | bom   applied to both sections
//	kind, foreign, unresolved, segments, sequence, key, child, resource: what must come out
type testCase struct {
	name      string
	in, out   []byte
	base      *url.URL
	mounts    [][2]string
	rebase    bool
	add       Additions
	bytes     string
	want      map[string]string
	children  []Child
	keys      []string
	resources []string
	imports   map[string]string
}

func loadCases(t testing.TB) []testCase {
	t.Helper()
	files, err := filepath.Glob("../testdata/playlists/*.txt")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d case files: %v", len(files), err)
	}
	cases := make([]testCase, 0, len(files))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, parseCase(t, strings.TrimSuffix(filepath.Base(f), ".txt"), txtar.Parse(data)))
	}
	return cases
}

func parseCase(t testing.TB, name string, ar *txtar.Archive) testCase {
	t.Helper()
	c := testCase{name: name, add: Additions{Session: "s1", Grant: "g1"}, want: map[string]string{}}
	base := "http://packager:8000/live/index.m3u8"
	for line := range strings.Lines(string(ar.Comment)) {
		key, val, _ := strings.Cut(strings.TrimSpace(line), ": ")
		val = strings.TrimSpace(val)
		switch key {
		case "base":
			base = val
		case "mount":
			from, to, _ := strings.Cut(val, " ")
			c.mounts = append(c.mounts, [2]string{from, to})
		case "rebase":
			c.rebase = true
		case "session":
			c.add.Session = strings.TrimPrefix(val, "-")
		case "grant":
			c.add.Grant = strings.TrimPrefix(val, "-")
		case "master":
			c.add.MasterGrant = val
		case "keygrant":
			c.add.KeyGrant = val
		case "import":
			name, value, _ := strings.Cut(val, "=")
			if c.imports == nil {
				c.imports = map[string]string{}
			}
			c.imports[name] = value
		case "bytes":
			c.bytes = val
		case "kind", "foreign", "unresolved", "segments", "sequence":
			c.want[key] = val
		case "child":
			role, u, _ := strings.Cut(val, " ")
			c.children = append(c.children, Child{URL: u, Role: roleNamed(t, role)})
		case "key":
			c.keys = append(c.keys, val)
		case "resource":
			c.resources = append(c.resources, val)
		}
	}
	if c.mounts == nil {
		c.mounts = [][2]string{{"http://packager:8000/live/", "/hls/news/"}}
	}
	c.base = mustURL(t, base)
	for _, f := range ar.Files {
		switch f.Name {
		case "in":
			c.in = rebytes(f.Data, c.bytes)
		case "out":
			c.out = rebytes(f.Data, c.bytes)
		}
	}
	return c
}

func roleNamed(t testing.TB, name string) Role {
	for _, r := range []Role{RoleVariant, RoleRendition, RoleIFrame} {
		if r.String() == name {
			return r
		}
	}
	t.Fatalf("no role %q", name)
	return 0
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func rebytes(b []byte, how string) []byte {
	switch how {
	case "crlf":
		return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	case "mixed":
		var out []byte
		for i, line := range bytes.SplitAfter(b, []byte("\n")) {
			if text, ok := bytes.CutSuffix(line, []byte("\n")); ok && i%2 == 1 {
				line = append(bytes.Clone(text), "\r\n"...)
			}
			out = append(out, line...)
		}
		return out
	case "nofinal":
		return bytes.TrimSuffix(b, []byte("\n"))
	case "bom":
		return append([]byte("\ufeff"), b...)
	}
	return b
}

// prefixMapper owns what lies under the mounts' prefixes.
func prefixMapper(mounts [][2]string) Mapper {
	return func(u *url.URL) (string, bool) {
		name := u.Scheme + "://" + canonicalHost(u) + u.EscapedPath()
		for _, m := range mounts {
			if rest, ok := strings.CutPrefix(name, m[0]); ok {
				return m[1] + rest, true
			}
		}
		return "", false
	}
}

func TestCases(t *testing.T) {
	for _, c := range loadCases(t) {
		t.Run(c.name, func(t *testing.T) {
			input := bytes.Clone(c.in)
			doc, err := Parse(c.in, c.base)
			if err != nil {
				t.Fatal(err)
			}
			if doc, err = doc.Import(c.imports); err != nil {
				t.Fatal(err)
			}
			plan := doc.Plan(prefixMapper(c.mounts), c.rebase)
			got := plan.Splice([]byte("before"), &c.add)
			if want := append([]byte("before"), c.out...); !bytes.Equal(got, want) {
				t.Errorf("spliced:\n%q\nwant:\n%q", got, want)
			}
			if !bytes.Equal(input, c.in) {
				t.Errorf("the input was changed")
			}
			c.checkDocument(t, doc)
			checkNumber(t, c.want, "foreign", plan.Foreign)
			checkNumber(t, c.want, "unresolved", plan.Unresolved)
			if want := c.bytes == "bom"; plan.HasBOM != want {
				t.Errorf("HasBOM is %v", plan.HasBOM)
			}
		})
	}
}

func (c *testCase) checkDocument(t *testing.T, doc *Document) {
	if got := doc.Kind.String(); got != c.want["kind"] {
		t.Errorf("kind %s, want %s", got, c.want["kind"])
	}
	if (doc.Media != nil) != (doc.Kind == KindMedia) {
		t.Errorf("Media %v in a %s playlist", doc.Media, doc.Kind)
	}
	if doc.Media != nil {
		if want, ok := c.want["segments"]; ok && strconv.Itoa(len(doc.Media.Segments)) != want {
			t.Errorf("%d segments, want %s", len(doc.Media.Segments), want)
		}
		checkNumber(t, c.want, "sequence", int(doc.Media.Sequence))
		for _, r := range c.resources {
			if got := doc.Media.Segments[0].Resource; got != r {
				t.Errorf("first segment is %s, want %s", got, r)
			}
		}
	}
	if c.children != nil && !slices.Equal(doc.Children, c.children) {
		t.Errorf("children:\n%v\nwant:\n%v", doc.Children, c.children)
	}
	for _, child := range doc.Children {
		role, ok := doc.Role(mustURL(t, child.URL+"#x"))
		if !ok || role != child.Role {
			t.Errorf("Role(%s) = %v, %v", child.URL, role, ok)
		}
	}
	for _, k := range c.keys {
		if _, ok := doc.Keys[k]; !ok || len(doc.Keys) != len(c.keys) {
			t.Errorf("keys %v, want %v", doc.Keys, c.keys)
		}
	}
}

// checkNumber holds a count to the case; what the case does not name is 0.
func checkNumber(t *testing.T, want map[string]string, name string, got int) {
	t.Helper()
	n, _ := strconv.Atoi(want[name])
	if got != n {
		t.Errorf("%s is %d, want %d", name, got, n)
	}
}
