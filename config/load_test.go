package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	t.Setenv("EARSHOT_TEST_EDGE", "edge-7")
	path := filepath.Join(t.TempDir(), "earshot.yaml")
	text := "edge: ${EARSHOT_TEST_EDGE}\nstreams: [{stream: a, path: /a, icy: 'http://icecast/a'}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Edge != "edge-7" {
		t.Errorf("edge %q", c.Edge)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "cannot be read: no such file or directory",
		dir:                             "cannot be read: is a directory",
	} {
		c, err := Load(path)
		var list Errors
		if c != nil || !errors.As(err, &list) || len(list) != 1 || list[0] != (Problem{File: path, Text: want}) {
			t.Errorf("got %v, %v; want %s", c, err, want)
		}
		if err != nil && err.Error() != path+": "+want {
			t.Errorf("got %s", err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("#\n", maxFile/2+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	if want := path + ": is larger than 1 MiB; a configuration must be smaller"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Files as large and as twisted as they may be are read, or refused, in bounded time. The limit is
// generous (each takes about half a second), and of processor time: a busy machine is no failure.
func TestBounded(t *testing.T) {
	fill := func(head, unit string) string { return head + strings.Repeat(unit, (maxFile-len(head))/len(unit)) }
	var streams, patterns strings.Builder
	streams.WriteString("streams:\n")
	for i := 0; streams.Len() < maxFile-100; i++ {
		fmt.Fprintf(&streams, "- {stream: s%d, path: /radio/s%d, icy: 'http://icecast/%d'}\n", i, i, i)
	}
	patterns.WriteString("streams:\n")
	for i := range maxPatterns {
		fmt.Fprintf(&patterns, "- {match: '^/(?P<a>.*)x(?P<b>.*)y%d/', group: 'g%d-${a}', hls: 'http://a/${b}/'}\n", i, i)
	}
	for i := 0; patterns.Len() < maxFile/32; i++ {
		fmt.Fprintf(&patterns, "- {stream: s%d, path: /%sx%d, icy: 'http://icecast/%d'}\n", i, strings.Repeat("x", 900), i, i)
	}
	long := strings.Repeat("a", 60_000)
	for name, text := range map[string]string{
		"streams":   streams.String(),
		"patterns":  patterns.String(),
		"brackets":  fill("a: ", "["),
		"braces":    fill("a: ", "{a: "),
		"dashes":    fill("", "- "),
		"scalars":   fill("streams:\n", "- a\n"),
		"unknown":   fill("", "strems: 1\n"),
		"comments":  fill("", "edge: a #\n"),
		"aliases":   fill("edge: &e [a,b,c,d,e,f]\nstreams:\n", "- *e\n"),
		"limits":    fill("limits:\n", "- {per: user, max: 1}\n"),
		"blackouts": fill("blackouts:\n", "- {id: a, where: {country: US}}\n"),
		"long":      fill("edge: &e "+long+"${A}\nstreams:\n", "- {hls: *e}\n"),
		"slashes":   "streams: [{group: a, path: '/" + strings.Repeat("a/", 500_000) + "', hls: 'http://a/'}]",
		"reference": fill("edge: '", "${A}") + "'",
	} {
		t.Run(name, func(t *testing.T) {
			start := cpuTime(t)
			_, err := Parse("a.yaml", []byte(text), func(string) (string, bool) { return long, true })
			took := cpuTime(t) - start
			t.Logf("%v for %d bytes", took, len(text))
			if took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if valid := name == "streams" || name == "patterns"; valid != (err == nil) {
				t.Errorf("error %.200v", err)
			}
		})
	}
}

func cpuTime(t *testing.T) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, text := range fixtures(f, dir+"/*.yaml") {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f.yaml", []byte(text), environment)
		if err == nil {
			checkAccepted(t, c)
			return
		}
		var list Errors
		if c != nil || !errors.As(err, &list) || len(list) == 0 {
			t.Fatalf("got %v, %v", c, err)
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u2028") +
			strings.Count(text, "\u2029") + strings.Count(text, "\u0085") + 1
		for _, p := range list {
			if p.File != "f.yaml" || p.Text == "" || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("%#v", p)
			}
			if p.Line < 0 || p.Line > lines {
				t.Errorf("a problem in line %d of %d: %s", p.Line, lines, p)
			}
		}
	})
}

// checkGuards is what the gate relies on.
func checkGuards(t *testing.T, c *Config) {
	if a := c.Auth; a != nil {
		if len(a.Tokens) == 0 && a.JWT == nil && a.SignedURL == nil && a.Callback == nil {
			t.Errorf("accepted %+v", a)
		}
		if j := a.JWT; j != nil && (j.Secret+j.Keys+j.JWKS == "" || j.Secret != "" && len(j.Secret) < 16 || j.User == "" || j.Param == "") {
			t.Errorf("accepted %+v", j)
		}
		if s := a.SignedURL; s != nil && (len(s.Key) < 16 || s.Param == "" || a.JWT != nil && a.JWT.Param == s.Param) {
			t.Errorf("accepted %+v", s)
		}
		if a.Callback != nil && !strings.Contains(a.Callback.URL, "://") {
			t.Errorf("accepted %+v", a.Callback)
		}
	}
	for _, l := range c.Limits {
		if l.Per == "" || l.Max < 1 || l.Line == 0 {
			t.Errorf("accepted %+v", l)
		}
	}
	for _, b := range c.Blackouts {
		places := len(b.Where.Country) + len(b.Where.Subdivision) + len(b.Where.Metro) + len(b.Where.Postal) +
			len(b.Except.Country) + len(b.Except.Subdivision) + len(b.Except.Metro) + len(b.Except.Postal)
		if b.ID == "" || b.Line == 0 || places > 0 && c.Geo == "" || !b.From.IsZero() && !b.To.IsZero() && !b.From.Before(b.To) {
			t.Errorf("accepted %+v", b)
		}
	}
}

// checkAccepted is what the rest of Earshot relies on.
func checkAccepted(t *testing.T, c *Config) {
	if len(c.Streams) == 0 || len(c.Listen) == 0 || c.Store != "" || c.Live != "" && len(c.Secrets) == 0 {
		t.Errorf("accepted %+v", c)
	}
	checkGuards(t, c)
	if !isLoopback(c.Admin.Addr) && c.Admin.Token == "" {
		t.Errorf("admin %q is open to all", c.Admin.Addr)
	}
	for _, s := range c.Streams {
		hls, icy := len(s.HLS) > 0 && s.Group != "", len(s.ICY) > 0 && s.Stream != ""
		if hls == icy || (s.Path == "") == (s.Match == nil) || s.Line == 0 {
			t.Errorf("accepted %+v", s)
		}
		if s.Match == nil && len(ExpandNames(s.Group+s.Stream)) > 0 {
			t.Errorf("accepted %+v", s)
		}
		for _, template := range append(append([]string{s.Group, s.Stream}, s.HLS...), s.ICY...) {
			host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(template, "http://"), "https://"), "/")
			if strings.Count(template, "$") != len(ExpandNames(template)) || template != s.Group && template != s.Stream && strings.Contains(host, "$") {
				t.Errorf("accepted %q", template)
			}
		}
		if hls && s.Match == nil && !strings.HasSuffix(s.Path, "/") {
			t.Errorf("accepted %+v", s)
		}
	}
}
