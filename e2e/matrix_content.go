package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kind is one way to lay out content in HLS. All kinds are cut from one recording, so that they cost little to make; each is a folder
// with a master.m3u8.
type kind struct {
	name     string
	length   float64  // seconds
	variants []string // its variants' playlists: what makes listening time
	grows    bool     // it is an EVENT that is still going on when a player comes
	cues     int      // lines of subtitles
	slow     string   // a playlist that is long in coming
	beside   []string // what the names of files begin with that a player must fetch, but for the variants
}

// library holds all kinds, a folder each.
type library struct {
	dir    string
	length int // seconds of recording
}

// The codecs of the recording, as masters name them.
const (
	videoCodec = "avc1.42c00b"
	audioCodec = "mp4a.40.2"
	stream     = `#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,CODECS="` + videoCodec + "," + audioCodec + `"`
	betterOne  = `#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=192x108,CODECS="` + videoCodec + "," + audioCodec + `"`
	videoOnly  = `#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x90,CODECS="` + videoCodec + `"`
)

// newLibrary records: two pictures of different size, and two languages, which are two tones. A key frame comes every half second. The
// sound begins with the picture, and not a frame of AAC before it: players find the hole, or jump it, as fast as they happen to be.
func newLibrary(t testing.TB, length int) *library {
	l := &library{dir: t.TempDir(), length: length}
	args := []string{"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10"}
	for _, tone := range []string{"440", "660"} {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency="+tone+":sample_rate=44100")
	}
	args = append(args, "-t", fmt.Sprint(length), "-map", "0:v", "-map", "0:v", "-map", "1:a", "-map", "2:a", "-af", "asetpts=PTS+1024",
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
		"-g", "5", "-keyint_min", "5", "-sc_threshold", "0", "-b:v:0", "80k", "-b:v:1", "160k", "-s:v:1", "192x108",
		"-c:a", "aac", "-b:a", "48k", filepath.Join(l.dir, "recording.mp4"))
	l.run(t, args...)
	return l
}

// kinds makes them all.
func (l *library) kinds(t testing.TB) []kind {
	return []kind{
		l.ts(t), l.fmp4(t), l.packedAAC(t), l.packedMP3(t), l.languages(t), l.subtitles(t), l.encrypted(t), l.byteRanges(t), l.iframes(t),
		l.event(t), l.long(t),
	}
}

func (l *library) kind(name string, variants ...string) kind {
	return kind{name: name, length: float64(l.length), variants: variants}
}

// mux has ffmpeg's HLS muxer lay the recording's tracks out as they are. Segments lie beside the playlist.
func (l *library) mux(t testing.TB, playlist string, out ...string) {
	t.Helper()
	l.ffmpeg(t, nil, append(append([]string{"-c", "copy", "-f", "hls", "-hls_playlist_type", "vod"}, out...), l.path(t, playlist))...)
}

// ffmpeg makes something of the recording. in are the options of the input, out those of the output and its name.
func (l *library) ffmpeg(t testing.TB, in []string, out ...string) {
	t.Helper()
	args := append([]string{"-nostdin", "-v", "error"}, in...)
	args = append(args, "-i", filepath.Join(l.dir, "recording.mp4"))
	l.run(t, append(args, out...)...)
}

// run is not the harness's: who reads of a test that fails need not read how its content was made.
func (l *library) run(t testing.TB, args ...string) {
	t.Helper()
	if said, err := exec.Command(program(t, "ffmpeg"), args...).CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("ffmpeg %q: %v\n%s", args, err, said)
	}
}

// path is where a file of the library is to be, in a folder that there is.
func (l *library) path(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (l *library) write(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(l.path(t, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (l *library) read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l *library) playlist(t testing.TB, name string, lines ...string) {
	t.Helper()
	l.write(t, name, []byte("#EXTM3U\n"+strings.Join(lines, "\n")+"\n"))
}

// edit changes a playlist that ffmpeg wrote.
func (l *library) edit(t testing.TB, name, old, new string) {
	t.Helper()
	text := string(l.read(t, name))
	if !strings.Contains(text, old) {
		t.Fatalf("ffmpeg wrote no %q in %s:\n%.500s", old, name, text)
	}
	l.write(t, name, []byte(strings.Replace(text, old, new, 1)))
}

func (l *library) ts(t testing.TB) kind {
	l.mux(t, "ts/lo/index.m3u8", "-map", "0:v:0", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_filename", l.path(t, "ts/lo/%03d.ts"))
	l.mux(t, "ts/hi/index.m3u8", "-map", "0:v:1", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_filename", l.path(t, "ts/hi/%03d.ts"))
	l.playlist(t, "ts/master.m3u8", stream, "lo/index.m3u8", betterOne, "hi/index.m3u8")
	return l.kind("ts", "lo/index.m3u8", "hi/index.m3u8")
}

func (l *library) fmp4(t testing.TB) kind {
	l.mux(t, "fmp4/lo/index.m3u8", "-map", "0:v:0", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_type", "fmp4")
	l.mux(t, "fmp4/hi/index.m3u8", "-map", "0:v:1", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_type", "fmp4")
	l.playlist(t, "fmp4/master.m3u8", "#EXT-X-VERSION:7", stream, "lo/index.m3u8", betterOne, "hi/index.m3u8")
	return l.kind("fmp4", "lo/index.m3u8", "hi/index.m3u8")
}

// byteRanges is one file with everything, init section included.
func (l *library) byteRanges(t testing.TB) kind {
	l.mux(t, "ranges/index.m3u8", "-map", "0:v:0", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_type", "fmp4",
		"-hls_flags", "single_file", "-hls_segment_filename", l.path(t, "ranges/media.mp4"))
	l.playlist(t, "ranges/master.m3u8", "#EXT-X-VERSION:7", stream, "index.m3u8")
	return l.kind("ranges", "index.m3u8")
}

// iframes adds an I-frame playlist to a show without sound: a picture a second, each of them a byte range of one file.
func (l *library) iframes(t testing.TB) kind {
	const pictures = "iframes/iframes.m3u8"
	l.mux(t, "iframes/index.m3u8", "-map", "0:v:0", "-hls_time", "2", "-hls_segment_type", "fmp4")
	l.ffmpeg(t, nil, "-map", "0:v:0", "-an", "-vf", "fps=1", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "1",
		"-f", "hls", "-hls_playlist_type", "vod", "-hls_time", "1", "-hls_segment_type", "fmp4", "-hls_flags", "single_file",
		"-hls_segment_filename", l.path(t, "iframes/pictures.mp4"), l.path(t, pictures))
	l.edit(t, pictures, "#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-I-FRAMES-ONLY\n")
	l.playlist(t, "iframes/master.m3u8", "#EXT-X-VERSION:7", videoOnly, "index.m3u8",
		`#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=50000,RESOLUTION=160x90,CODECS="`+videoCodec+`",URI="iframes.m3u8"`)
	k := l.kind("iframes", "index.m3u8")
	k.beside = []string{"iframes.m3u8", "pictures.mp4"}
	return k
}

// event is a show of one-second segments, of which the origin at first names a few only.
func (l *library) event(t testing.TB) kind {
	l.mux(t, "event/index.m3u8", "-map", "0:v:0", "-map", "0:a:0", "-hls_time", "1", "-hls_segment_filename", l.path(t, "event/%03d.ts"))
	l.edit(t, "event/index.m3u8", "PLAYLIST-TYPE:VOD", "PLAYLIST-TYPE:EVENT")
	l.playlist(t, "event/master.m3u8", stream, "index.m3u8")
	k := l.kind("event", "index.m3u8")
	k.grows = true
	return k
}

// long is 2,000 segments of half a second: the picture, over and over.
func (l *library) long(t testing.TB) kind {
	seconds := 300
	if os.Getenv("EARSHOT_LONG") != "" {
		seconds = 1000
	}
	l.ffmpeg(t, []string{"-stream_loop", fmt.Sprint(seconds / l.length)}, "-map", "0:v:0", "-c", "copy", "-t", fmt.Sprint(seconds),
		"-f", "hls", "-hls_playlist_type", "vod", "-hls_time", "0.5", "-hls_segment_filename", l.path(t, "long/%04d.ts"), l.path(t, "long/index.m3u8"))
	l.edit(t, "long/index.m3u8", "TARGETDURATION:0", "TARGETDURATION:1") // which ffmpeg rounds down
	l.playlist(t, "long/master.m3u8", videoOnly, "index.m3u8")
	k := l.kind("long", "index.m3u8")
	k.length = float64(seconds)
	return k
}
