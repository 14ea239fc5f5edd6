package e2e

import (
	"strings"
	"time"
)

// format is a codec as a source sends it to Icecast, and what is known of it.
type format struct {
	codec
	demuxer string // ffmpeg's name for the container
	rate    int    // samples per second, as decoded
	frame   string // how its frames are told apart: mpeg, adts or ogg
	mpg123  bool   // plays it
}

// formats are what radio is sent in.
//
// The AAC encoder is not to use perceptual noise: a decoder makes that up, each from where it began, and no two would agree.
var formats = []format{
	{codec: codec{mount: "/cbr.mp3", contentType: "audio/mpeg", name: "mp3",
		encode: []string{"-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "3", "-metadata", "title=Tagged", "-f", "mp3"}},
		demuxer: "mp3", rate: 44100, frame: "mpeg", mpg123: true},
	{codec: codec{mount: "/vbr.mp3", contentType: "audio/mpeg", name: "mp3",
		encode: []string{"-c:a", "libmp3lame", "-q:a", "3", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"}},
		demuxer: "mp3", rate: 44100, frame: "mpeg", mpg123: true},
	{codec: codec{mount: "/low.mp3", contentType: "audio/mpeg", name: "mp3",
		encode: []string{"-ar", "22050", "-c:a", "libmp3lame", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"}},
		demuxer: "mp3", rate: 22050, frame: "mpeg", mpg123: true},
	{codec: codec{mount: "/lc.aac", contentType: "audio/aac", name: "aac",
		encode: []string{"-c:a", "aac", "-aac_pns", "0", "-b:a", "96k", "-f", "adts"}},
		demuxer: "aac", rate: 44100, frame: "adts"},
	{codec: codec{mount: "/vorbis.ogg", contentType: "application/ogg", name: "vorbis",
		encode: []string{"-c:a", "libvorbis", "-b:a", "128k", "-page_duration", "200000", "-f", "ogg"}},
		demuxer: "ogg", rate: 44100, frame: "ogg"},
	{codec: codec{mount: "/opus.ogg", contentType: "audio/ogg", name: "opus",
		encode: []string{"-ar", "48000", "-c:a", "libopus", "-b:a", "96k", "-page_duration", "200000", "-f", "ogg"}},
		demuxer: "ogg", rate: 48000, frame: "ogg"},
	{codec: codec{mount: "/flac.ogg", contentType: "application/ogg", name: "flac",
		encode: []string{"-sample_fmt", "s16", "-c:a", "flac", "-page_duration", "200000", "-f", "ogg"}},
		demuxer: "ogg", rate: 44100, frame: "ogg"},
}

// key is the stream's key, and what the tests call it.
func (f *format) key() string { return strings.NewReplacer("/", "", ".", "-").Replace(f.mount) }

// primed is how long a decoder may take to begin: what it makes of frames whose predecessors it has not had is its own. Opus takes
// up to 0.6 seconds until what it predicts from no longer shows.
const primed = time.Second
