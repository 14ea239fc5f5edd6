package playlist

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lockstep walks a playlist and its spliced copy by the second parser's tokens: between them nothing may differ,
// and of a token only may have become what fates allows. It returns the first thing wrong.
func (s *secondSplice) lockstep(in, out []byte) error {
	before, after := readSecond(in, s.base, s.imports), readSecond(out, s.base, s.imports)
	if len(before.tokens) != len(after.tokens) {
		return fmt.Errorf("%d URIs became %d", len(before.tokens), len(after.tokens))
	}
	i, o := 0, 0
	for n := range before.tokens {
		b, a := &before.tokens[n], &after.tokens[n]
		if string(in[i:b.start]) != string(out[o:a.start]) {
			return fmt.Errorf("before %q: %q became %q", b.text, in[i:b.start], out[o:a.start])
		}
		if err := s.became(b, a); err != nil {
			return fmt.Errorf("%s %s: %w", b.tag, b.attr, err)
		}
		i, o = b.end, a.end
	}
	if string(in[i:]) != string(out[o:]) {
		return fmt.Errorf("at the end %q became %q", in[i:], out[o:])
	}
	return nil
}

// became tells whether b may have become a.
func (s *secondSplice) became(b, a *secondToken) error {
	switch {
	case b.doubtful:
		return nil // readers differ in what it names; that it stays one token is all there is to say
	case b.unknown:
		if a.text != b.text {
			return fmt.Errorf("%q has an unknown variable and became %q", b.text, a.text)
		}
		return nil
	}
	if trimmed := strings.TrimFunc(b.full, secondSpace); trimmed != b.full { // spaces come from a variable
		k := secondToken{tag: b.tag, quoted: b.quoted, secondText: secondText{full: trimmed}}
		if fates := s.fates(&k); slices.Equal(fates, []string{trimmed}) && a.text != b.text {
			return fmt.Errorf("%q is to be left alone and became %q", b.text, a.text)
		}
		return nil
	}
	fates := s.fates(b)
	if !slices.ContainsFunc(fates, func(fate string) bool { return alike(b.full, fate, a.full) }) {
		return fmt.Errorf("%q became %q, not %q", b.text, a.text, fates)
	}
	if slices.Equal(fates, []string{b.full}) && a.text != b.text {
		return fmt.Errorf("%q is to be left alone and became %q", b.text, a.text)
	}
	return s.becameRaw(b, a, fates)
}

// alike tells whether got is the fate of was. What is moved may lose its tabs and line ends, for they are no part of
// it to URL parsers; what stays keeps them.
func alike(was, fate, got string) bool {
	before, _, _ := splitURI(was)
	after, _, _ := splitURI(fate)
	return got == fate || before != after && secondBreaks.Replace(got) == secondBreaks.Replace(fate)
}

// becameRaw holds that a relative URI keeps its variables as they are written, unless one of them holds a
// parameter of ours or a fragment, so that no splice of the raw text would do.
func (s *secondSplice) becameRaw(b, a *secondToken, fates []string) error {
	hier, query, fragment := splitURI(b.full)
	if !b.named || b.hash || withoutOurs(query) != query ||
		!slices.Equal(fates, []string{added(hier, query, fragment, s.params(b.tag))}) {
		return nil
	}
	raw, fragment, has := strings.Cut(b.text, "#")
	if params := s.params(b.tag); params != "" {
		raw += joint(query) + params
	}
	if has {
		raw += "#" + fragment
	}
	if a.text != raw {
		return fmt.Errorf("%q became %q, not %q: its variables were lost", b.text, a.text, raw)
	}
	return nil
}

// secondRemoveRE is what the tests' own Additions put into a URI.
var secondRemoveRE = regexp.MustCompile(`[?&]X-Playback-Session-Id=s%201&earshot=[gmk]1`)

// removed takes the tests' own parameters out again.
func removed(out []byte, base *url.URL) string {
	var b strings.Builder
	i := 0
	for _, k := range readSecond(out, base, nil).tokens {
		b.Write(out[i:k.start])
		hier, fragment, has := strings.Cut(k.text, "#")
		b.WriteString(secondRemoveRE.ReplaceAllString(hier, ""))
		if has {
			b.WriteString("#" + fragment)
		}
		i = k.end
	}
	return b.String() + string(out[i:])
}

// comesBack tells whether removal must give the input back: no URI of ours has to become a path, none holds what
// the tests add, and none brings ours from elsewhere.
func (s *secondSplice) comesBack(in []byte) bool {
	for _, k := range readSecond(in, s.base, s.imports).tokens {
		hier, query, _ := splitURI(k.full)
		fates := s.fates(&k)
		if k.doubtful || k.hash || withoutOurs(query) != query {
			return false
		}
		moves := slices.ContainsFunc(fates, func(fate string) bool {
			path, _, _ := splitURI(fate)
			return path != hier || fate != k.full && secondBreaks.Replace(k.full) != k.full
		})
		if !k.unknown && (moves || hier+query == "") {
			return false
		}
	}
	return true
}

// structure is what a playlist says, with names for its URIs: what they resolve to, without ours. A URI that is
// doubtful in the input has none.
func (s *secondSplice) structure(body, input []byte) string {
	p, first := readSecond(body, s.base, s.imports), readSecond(input, s.base, s.imports)
	var b strings.Builder
	fmt.Fprintln(&b, p.kind, len(p.tokens))
	for i := range p.tokens {
		if i < len(first.tokens) && !first.tokens[i].doubtful {
			fmt.Fprintln(&b, p.tokens[i].tag, p.tokens[i].attr, p.tokens[i].unknown, s.name(&p.tokens[i]))
		}
	}
	for _, t := range p.tags {
		fmt.Fprintf(&b, "%q\n", fmt.Sprint(t))
	}
	for _, seg := range p.segments {
		fmt.Fprintf(&b, "%+v\n", seg)
	}
	fmt.Fprintln(&b, p.vars)
	return b.String()
}

// name is what a token names, wherever it stands: two of one name are one resource to a player.
func (s *secondSplice) name(k *secondToken) string {
	plain := secondSplice{base: s.base, mounts: [][2]string{{s.base.Scheme + "://" + strings.ToLower(s.base.Host), ""}}, rebase: true}
	if k.unknown || k.doubtful {
		return ""
	}
	return secondBreaks.Replace(plain.written(k)[0])
}

// checkSecond holds a splice by the package to the second parser. The mount must be samePlace: structure asks
// that a path at the edge means the same at the origin.
func checkSecond(t testing.TB, in []byte, base *url.URL) {
	t.Helper()
	s := secondSplice{base: base, mounts: samePlace,
		add: Additions{Session: "s 1", Grant: "g1", MasterGrant: "m1", KeyGrant: "k1"}}
	whole, doc, _ := spliceOnce(t, in, base, s.add)
	moved := doc.Plan(prefixMapper(samePlace), true).Splice(nil, &s.add)
	p := readSecond(in, base, nil)
	if p.kind != "" && len(p.wild) == 0 && p.kind != doc.Kind.String() {
		t.Fatalf("%q is %s, want %s", in, doc.Kind, p.kind)
	}
	omit := p.wild
	for _, b := range []*[]byte{&in, &whole, &moved} {
		*b = withoutLines(*b, omit)
	}
	s.checkPlain(t, in, whole)
	if err := checkMedia(in, doc); err != nil && len(omit) == 0 {
		t.Fatalf("%v\n%q", err, in)
	}
	s.rebase = true
	if err := s.lockstep(in, moved); err != nil {
		t.Fatalf("with rebase: %v\nfrom %q\nin   %q\nout  %q", err, base, in, moved)
	}
}

// checkPlain is checkSecond without rebase.
func (s *secondSplice) checkPlain(t testing.TB, in, out []byte) {
	t.Helper()
	if err := s.lockstep(in, out); err != nil {
		t.Fatalf("%v\nfrom %q\nin   %q\nout  %q", err, s.base, in, out)
	}
	if got := removed(out, s.base); got != string(in) && s.comesBack(in) {
		t.Fatalf("removal from\n%q\ngives\n%q\nwant\n%q", out, got, in)
	}
	if was, is := s.structure(in, in), s.structure(out, in); was != is {
		t.Fatalf("the spliced playlist\n%q\nreads\n%s\nthe other\n%s", out, is, was)
	}
	if a, b := s.equalStaysEqual(in, out); a != b {
		t.Fatalf("equal URIs became %q and %q in\n%q", a, b, out)
	}
	if s.plain(in) {
		was, ok := oracle(in)
		if is, still := oracle(out); ok && (!still || was != is) {
			t.Fatalf("grafov/m3u8 reads\n%s\nin %q\nand\n%s\nin %q", was, in, is, out)
		}
	}
}

var secondPlainRE = regexp.MustCompile(`^[A-Za-z0-9_/:~-][A-Za-z0-9._/:~-]*(?:\?[A-Za-z0-9._~=&-]*)?$`)

// plain tells whether a playlist is of a kind that any reader takes alike: no dot segments, variables, odd bytes.
func (s *secondSplice) plain(in []byte) bool {
	if bytes.ContainsFunc(in, func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
		return false
	}
	p := readSecond(in, s.base, s.imports)
	return len(p.wild) == 0 && !slices.ContainsFunc(p.tokens, func(k secondToken) bool {
		return !secondPlainRE.MatchString(k.text) || strings.Contains(k.text, "/.")
	})
}

// withoutLines leaves out what the second parser makes no claim of. A splice neither makes nor loses lines.
func withoutLines(body []byte, numbers []int) []byte {
	lines := bytes.SplitAfter(body, []byte("\n"))
	for _, n := range numbers {
		if n < len(lines) {
			lines[n] = nil
		}
	}
	return bytes.Join(lines, nil)
}

// TestSecondAgreesWithTheTable: the table itself, and what the package makes of it in the setting of each case.
func TestSecondAgreesWithTheTable(t *testing.T) {
	back := 0
	for _, c := range loadCases(t) {
		if (&secondSplice{base: c.base, mounts: samePlace}).comesBack(c.in) {
			back++
		}
		t.Run(c.name, func(t *testing.T) {
			s := secondSplice{base: c.base, mounts: c.mounts, rebase: c.rebase, imports: c.imports, add: c.add}
			if err := s.lockstep(c.in, c.out); err != nil {
				t.Errorf("the table: %v", err)
			}
			if err := s.lockstep(c.in, c.splice(t)); err != nil {
				t.Errorf("the package: %v", err)
			}
			checkSecond(t, c.in, c.base)
			checkSecond(t, c.out, c.base)
		})
	}
	if back < 30 {
		t.Errorf("only %d cases took part in removal", back)
	}
}

// splice is what the package makes of the case in its own setting.
func (c *testCase) splice(t *testing.T) []byte {
	doc, err := Parse(c.in, c.base)
	if err != nil {
		t.Fatal(err)
	}
	if doc, err = doc.Import(c.imports); err != nil {
		t.Fatal(err)
	}
	return doc.Plan(prefixMapper(c.mounts), c.rebase).Splice(nil, &c.add)
}
