package playlist

import (
	"strings"
	"testing"
)

// oddLines are what people and fuzzers write, each line a playlist's rest. They hold all properties, and a fuzzer
// starts from them.
var oddLines = []string{
	// attribute lists
	`#EXT-X-MAP:URI="a"junk,B=c`, `#EXT-X-MAP:URI="a"junk"x,URI=b",URI=c`, `#EXT-X-MAP:URI=a"b,c",URI=d`, `#EXT-X-MAP:"a=",URI=b`,
	`#EXT-X-MAP:A"b,URI=c"=d,URI=e`, `#EXT-X-MAP:,,URI=b`, `#EXT-X-MAP:URI,URI=b`, `#EXT-X-MAP:URI=a=b?c=d`,
	`#EXT-X-MAP:URI="a",URI="b`,
	`#EXT-X-MAP:A="x"URI="b"`, `#EXT-X-MAP :URI=a`, `#EXT-X-MAP: URI = a b `, "#EXT-X-MAP:URI=\va\v",
	"#EXT-X-MAP:\x05URI=a", ` #EXT-X-MAP:URI="a"`,
	`#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,URI=a`, `#EXT-X-DATERANGE:X-URI=a,X-ASSET-LIST="b",X-ASSET-URI="c"`,
	`#EXT-X-CONTENT-STEERING:SERVER-URI="a",URI="b"`,
	// spaces and other bytes
	"a\v", "\x00a", "a\x00", "\u00a0a", "a\tb", "a?\tearshot=1", "a\\b", `..\..\x`,
	// another host, to somebody
	"/\t/evil.example/x", "ht\ttp://evil.example/x", `http:\\evil.example/x`,
	`http://packager:8000\@evil.example/live/x`, `\/evil.example/x`, "//", "///", "http:///live/a",
	// ours by another name
	"http://u:p@packager:8000/live/a", "http://packager:8000:/live/a", "//packager:8000/live/\x13",
	"http://packager:8000/live/[", "http://packager:8000/live/%zz?%zz",
	`http://packager:8000/live/a\b`, "http://packager:8000/live/ü?ü", "/live//a", "/live/.",
	// not ours by a hair
	"http://packager:08000/live/a", "http://packager:8000", "http://packager:8000?x", "http://[::1/live/", "/livea",
	"/live/..", "/live/../a", "/live/%2e%2E/a",
	// relative
	"a/../b", "a/..", "./..", ".", "..", "?", "??", "?#", "a?#", "a##", "{$x", "a{$}b", "1:2", "+a:b", "a%3Ab",
	// variables
	`#EXT-X-DEFINE:NAME="a",VALUE="b"` + "\n" + `#EXT-X-DEFINE:NAME="a",VALUE="/c"` + "\n{$a}",
	`#EXT-X-DEFINE:NAME="a",VALUE="  b  "` + "\n{$a}x\nx{$a}", `#EXT-X-DEFINE:NAME="a",VALUE="earshot"` + "\nx?{$a}=1\nx?b&{$a}=1",
	`#EXT-X-DEFINE:NAME="a",VALUE="#"` + "\n{$a}x\nx{$a}\n" + `#EXT-X-MAP:URI="{$a}"`, `#EXT-X-DEFINE:NAME="a",VALUE=""` + "\n{$a}",
	`#EXT-X-DEFINE:NAME="a",VALUE="//evil.example"` + "\n{$a}/x",
	`#EXT-X-DEFINE:NAME="a",VALUE="/evil.example"` + "\n/{$a}/x\n\\{$a}/x",
	`#EXT-X-DEFINE:NAME=a,VALUE=b` + "\n{$a}", `#EXT-X-DEFINE:NAME="a",VALUE="?"` + "\nx{$a}y?z&earshot=1",
	`#EXT-X-DEFINE:NAME="a",VALUE="?b"` + "\nx{$a}earshot=1\nx&earshot=2{$a}",
	`#EXT-X-DEFINE:NAME="a",VALUE="%"` + "\nx{$a}zz\n{$a}2e./y",
	`#EXT-X-DEFINE:QUERYPARAM="q"` + "\nx{$q}", `#EXT-X-DEFINE:NAME="a",VALUE="b",X="` + "\n{$a}",
	`#EXT-X-DEFINE:NAME="{$a}",VALUE="d"` + "\n{$a}",
	// kinds and segments
	"#EXT-X-TARGETDURATION:6\n#EXT-X-STREAM-INF:B=1\nx", "#EXTINF:6\n#EXT-X-STREAM-INF:B=1\nx",
	"#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA:URI=a",
	"#EXT-X-PART:URI=x", "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXTINF:1,\na", "#EXTINFX:1\na", "#EXTINF :1\na", "#EXTINF\na",
	" #EXTINF:1\na",
	"#EXT-X-GAP\n#EXT-X-DISCONTINUITY\n#EXTINF:2.5,a,b\n#EXT-X-BYTERANGE:5@7\na\n#EXT-X-BYTERANGE:6\n#EXTINF:1\na\n#EXTINF:1\nb",
}

func oddPlaylist(line string) []byte { return []byte("#EXTM3U\n" + line) }

func TestSecondOnOddLines(t *testing.T) {
	for _, base := range []string{"http://packager:8000/live/index.m3u8", "http://packager:8000/live/a/b/i?q=%231&q=2",
		"http://packager:8000/other/i", "http://packager:8000/live/../live/%2e%2e/live/i", "http://packager:8000"} {
		for _, line := range oddLines {
			t.Run(strings.ReplaceAll(line, "/", "|"), func(t *testing.T) {
				checkProperties(t, oddPlaylist(line), mustURL(t, base))
				checkSecond(t, oddPlaylist(line), mustURL(t, base))
			})
		}
	}
}
