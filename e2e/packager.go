package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// segmentKind is how the packager wraps its segments.
type segmentKind string

const (
	mpegTS segmentKind = "mpegts"
	fmp4   segmentKind = "fmp4"
)

// startPackager has ffmpeg write a live HLS group into dir: master.m3u8 with the variants hi/index.m3u8 and lo/index.m3u8, eight
// segments of two seconds each. It returns when a player can start and have some seconds in hand.
func startPackager(t testing.TB, dir string, kind segmentKind) {
	t.Helper()
	args := append([]string{"-nostdin", "-hide_banner", "-loglevel", "warning"}, programme...)
	args[len(args)-1] += ",asplit[hi][lo]"
	ext := "ts"
	if kind == fmp4 {
		ext = "m4s"
	}
	args = append(args,
		"-map", "[hi]", "-c:a:0", "aac", "-b:a:0", "128k",
		"-map", "[lo]", "-c:a:1", "aac", "-b:a:1", "64k",
		"-f", "hls", "-hls_time", "2", "-hls_list_size", "8", "-hls_delete_threshold", "4",
		"-hls_flags", "program_date_time+delete_segments+independent_segments+temp_file",
		"-hls_segment_type", string(kind), "-hls_segment_filename", filepath.Join(dir, "%v", "%05d."+ext),
		"-master_pl_name", "master.m3u8", "-var_stream_map", "a:0,name:hi a:1,name:lo",
		filepath.Join(dir, "%v", "index.m3u8"))
	start(t, "ffmpeg", args...).ready(t, 30*time.Second, "a live window", func() error {
		for _, name := range []string{"hi/index.m3u8", "lo/index.m3u8", "master.m3u8"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			if n := strings.Count(string(text), "#EXTINF"); n < 4 && name != "master.m3u8" {
				return fmt.Errorf("%s has %d segments", name, n)
			}
		}
		return nil
	})
}
