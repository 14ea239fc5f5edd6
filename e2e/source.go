package e2e

import (
	"fmt"
	"testing"
	"time"
)

// programme is what the sources play: a tone that can be told from silence over noise that fills the bit rate.
var programme = []string{
	"-re", "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=44100",
	"-re", "-f", "lavfi", "-i", "anoisesrc=color=pink:amplitude=0.2:sample_rate=44100",
	"-filter_complex", "[0][1]amix=inputs=2,aformat=channel_layouts=stereo",
}

// codec is how a source encodes for Icecast.
type codec struct {
	mount       string
	contentType string
	encode      []string
	name        string // as ffprobe calls it
	bitRate     int    // bit/s
}

var (
	mp3 = codec{
		mount:       "/radio.mp3",
		contentType: "audio/mpeg",
		encode:      []string{"-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"},
		name:        "mp3",
		bitRate:     128_000,
	}
	aac = codec{
		mount:       "/radio.aac",
		contentType: "audio/aac",
		encode:      []string{"-c:a", "aac", "-b:a", "96k", "-f", "adts"},
		name:        "aac",
		bitRate:     96_000,
	}
)

// startSource has ffmpeg feed Icecast in real time, and waits until the mount is on air.
func startSource(t testing.TB, i *icecast, c codec) {
	t.Helper()
	args := append([]string{"-nostdin", "-hide_banner", "-loglevel", "warning"}, programme...)
	args = append(args, c.encode...)
	args = append(args, "-content_type", c.contentType,
		"-ice_name", "Earshot end to end", "-ice_genre", "Tones", "-ice_description", "A tone over pink noise",
		"-ice_url", "http://radio.example/", "-ice_public", "0",
		fmt.Sprintf("icecast://source:%s@%s%s", sourcePassword, i.host, c.mount))
	start(t, "ffmpeg", args...)
	i.waitListeners(t, 10*time.Second, c.mount, 0)
}
