package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestProbe: `earshot check -probe` says what an Icecast and a packager have on air, and what listeners would fetch past the edge.
func TestProbe(t *testing.T) {
	t.Parallel()
	i := startIcecast(t)
	startSource(t, i, mp3)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhi.m3u8\n",
		"hi.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys.example/1\"\n" +
			"#EXTINF:6,\n1.ts\n#EXTINF:6,\n2.ts\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	origin := startFileServer(t, dir)
	config := filepath.Join(t.TempDir(), "earshot.yaml")
	text := "streams:\n" + hlsStream("live", "/hls/live/", origin.URL+"/") + icyStream("mp3", mp3.mount, i.url(mp3.mount))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	said := run(t, 20*time.Second, earshot, "check", "-probe", "-config", config)
	for _, want := range []string{
		`(?m)^live \(line 2\) at ` + regexp.QuoteMeta(origin.URL) + `/\n  /hls/live/master.m3u8: a master of 1 playlist, 2 segments$`,
		`(?m)^    https://keys.example/ \(EXT-X-KEY\): 1, such as "https://keys.example/1" in /hls/live/hi.m3u8$`,
		`(?m)^mp3 \(line 3\) at ` + regexp.QuoteMeta(i.url(mp3.mount)) + `\n  on air: audio/mpeg`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
	for _, u := range origin.asked() {
		if strings.HasSuffix(u.Path, ".ts") {
			t.Errorf("a probe fetches %s", u.Path)
		}
	}
}
