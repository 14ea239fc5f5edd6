package e2e

import (
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What ffmpeg says: which URL it opens, at which address each of its parts lies, and what it complains of. The first is told at level info.
var (
	opening  = regexp.MustCompile(`\[info\] Opening '(?:crypto\+)?([^']*)' for reading`)
	address  = regexp.MustCompile(` @ 0x[0-9a-f]+`)
	trouble  = regexp.MustCompile(`\[(warning|error|fatal|panic)\]`)
	personal = regexp.MustCompile(`\?X-Playback-Session-Id=[^ )]*`)
	pictures = regexp.MustCompile(`#EXT-X-I-FRAME-STREAM-INF:.*URI="([^"]*)"`)
)

// ffmpeg decodes every track of a play, and returns what it asked for, in its own words, and a digest of each frame with its time.
func (m *matrix) ffmpeg(t *testing.T, k kind, base string) (p *played, frames []string) {
	t.Helper()
	args := []string{"-nostdin", "-hide_banner", "-nostats", "-v", "level+info"}
	if k.grows {
		args = append(args, "-live_start_index", "0") // else it begins near the end
	}
	cmd := exec.Command(program(t, "ffmpeg"), append(args, "-i", m.source(t, k, base), "-map", "0", "-f", "framemd5", "-")...)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Errorf("ffmpeg: %v\n%s", err, tail(log.String(), 20))
	}
	p = &played{base: base}
	for line := range strings.Lines(log.String()) {
		line = strings.TrimSpace(address.ReplaceAllString(line, ""))
		if u := opening.FindStringSubmatch(line); u != nil {
			p.Requests = append(p.Requests, fetched{URL: u[1]})
		} else if trouble.MatchString(line) {
			p.Errors = append(p.Errors, personal.ReplaceAllString(line, ""))
		}
	}
	return p, strings.Split(out.String(), "\n")
}

// source is what ffmpeg opens: the master, but where there are I-frames, of which it knows nothing there, their playlist as the master
// names it.
func (m *matrix) source(t *testing.T, k kind, base string) string {
	t.Helper()
	master := base + "master.m3u8"
	if k.name != "iframes" {
		return master
	}
	found := pictures.FindStringSubmatch(mustGet(t, master))
	if found == nil {
		t.Fatal("the master names no I-frames")
	}
	u, err := url.Parse(master)
	if err != nil {
		t.Fatal(err)
	}
	if u, err = u.Parse(found[1]); err != nil {
		t.Fatal(err)
	}
	return u.String()
}
