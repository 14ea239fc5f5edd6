package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestNobodysKeys: a blackout or a limit for a stream that there is not is noticed, with its line, and no other is.
func TestNobodysKeys(t *testing.T) {
	const streams = `streams:
  - {group: news, path: /news/, hls: 'http://a/news/'}
  - {stream: kpcc, path: /kpcc.mp3, icy: 'http://a/kpcc.mp3'}
`
	const pattern = "  - {match: '^/tv/(?P<ch>[a-z]+)/', group: 'tv-${ch}', hls: 'http://a/${ch}/'}\n"
	for _, c := range []struct {
		name, streams, key string
		known              bool
	}{
		{"a group", streams, "news", true},
		{"a mount", streams, "kpcc", true},
		{"case counts", streams, "News", false},
		{"a slip of the pen", streams, "nwes", false},
		{"all", streams, "'*'", true},
		{"that begin so", streams, "'ne*'", true},
		{"that end so", streams, "'*cc'", true},
		{"with it inside", streams, "'k*c*'", true},
		{"not both at once", streams, "'news*news'", false},
		{"in that order", streams, "'*s*w*'", false},
		{"no pattern", streams, "tv-one", false},
		{"of a pattern", streams + pattern, "tv-one", true},
		{"wider than a pattern", streams + pattern, "'t*'", true},
		{"beside a pattern", streams + pattern, "'radio-*'", false},
		{"none of a pattern", streams + pattern, "tw-one", false},
	} {
		text := c.streams + "blackouts:\n  - id: a\n    streams:\n      - " + c.key + "\nlimits:\n  - per: user\n    max: 1\n    group: " + c.key + "\n"
		got, err := Parse("a.yaml", []byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		said := strings.Join(got.Notices(), "\n")
		if c.known != (said == "") {
			t.Errorf("%s: notices %q", c.name, said)
		}
		lines := strings.Count(text, "\n")
		for _, want := range []string{fmt.Sprintf("a.yaml:%d: blackouts[0].streams[0]: ", lines-4), fmt.Sprintf("a.yaml:%d: limits[0].group: ", lines)} {
			if !c.known && !strings.Contains(said, want) {
				t.Errorf("%s: %q says nothing of %q", c.name, said, want)
			}
		}
	}
}
