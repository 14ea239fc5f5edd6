package e2e

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// languages is a picture with two languages to choose from, each track apart.
func (l *library) languages(t testing.TB) kind {
	for folder, track := range map[string]string{"v": "0:v:0", "en": "0:a:0", "de": "0:a:1"} {
		l.mux(t, "languages/"+folder+"/index.m3u8", "-map", track, "-hls_time", "2", "-hls_segment_type", "fmp4")
	}
	const audio = `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",AUTOSELECT=YES,`
	l.playlist(t, "languages/master.m3u8", "#EXT-X-VERSION:7",
		audio+`NAME="English",LANGUAGE="en",DEFAULT=YES,URI="en/index.m3u8"`,
		audio+`NAME="Deutsch",LANGUAGE="de",DEFAULT=NO,URI="de/index.m3u8"`,
		stream+`,AUDIO="audio"`, "v/index.m3u8")
	k := l.kind("languages", "v/index.m3u8")
	// What hls.js fetches first of another language depends on whether it has to wait for its playlist: it always has to.
	k.slow = "de/index.m3u8"
	k.beside = []string{"en/", "de/"}
	return k
}

// subtitles is a picture with a line of text every second, in segments of four.
func (l *library) subtitles(t testing.TB) kind {
	const every = 4
	l.mux(t, "subtitles/v/index.m3u8", "-map", "0:v:0", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_type", "fmp4")
	list := []string{"#EXT-X-VERSION:7", fmt.Sprintf("#EXT-X-TARGETDURATION:%d", every), "#EXT-X-PLAYLIST-TYPE:VOD"}
	for from := 0; from < l.length; from += every {
		text := "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"
		for s := from; s < from+every; s++ {
			text += fmt.Sprintf("\n00:00:%02d.000 --> 00:00:%02d.900\nsecond %d\n", s, s, s)
		}
		name := fmt.Sprintf("%03d.vtt", from)
		l.write(t, "subtitles/text/"+name, []byte(text))
		list = append(list, fmt.Sprintf("#EXTINF:%d,", every), name)
	}
	l.playlist(t, "subtitles/text/index.m3u8", append(list, "#EXT-X-ENDLIST")...)
	l.playlist(t, "subtitles/master.m3u8", "#EXT-X-VERSION:7",
		`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="text/index.m3u8"`,
		stream+`,SUBTITLES="text"`, "v/index.m3u8")
	k := l.kind("subtitles", "v/index.m3u8")
	k.beside, k.cues = []string{"text/"}, l.length
	return k
}

// encrypted is TS under AES-128 with two keys, one after the other: the first with the segment's number for an IV, the second with an
// IV of its own (RFC 8216, 5.2).
func (l *library) encrypted(t testing.TB) kind {
	l.mux(t, "encrypted/lo/index.m3u8", "-map", "0:v:0", "-map", "0:a:0", "-hls_time", "2", "-hls_segment_filename", l.path(t, "encrypted/lo/%03d.ts"))
	keys := [][]byte{[]byte("first key, no IV"), []byte("second key, + IV")}
	iv := []byte("IV of the second")
	for n, key := range keys {
		l.write(t, fmt.Sprintf("encrypted/keys/%d.key", n), key)
	}
	segments, err := filepath.Glob(filepath.Join(l.dir, "encrypted/lo/*.ts"))
	if err != nil {
		t.Fatal(err)
	}
	half := len(segments) / 2
	for n, name := range segments {
		name = "encrypted/lo/" + path.Base(name)
		if n < half {
			l.write(t, name, encrypt(t, l.read(t, name), keys[0], binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n))))
		} else {
			l.write(t, name, encrypt(t, l.read(t, name), keys[1], iv))
		}
	}
	const list = "encrypted/lo/index.m3u8"
	l.edit(t, list, "#EXTINF", "#EXT-X-KEY:METHOD=AES-128,URI=\"../keys/0.key\"\n#EXTINF")
	before := fmt.Sprintf("%03d.ts\n", half-1)
	l.edit(t, list, before, before+fmt.Sprintf("#EXT-X-KEY:METHOD=AES-128,URI=\"../keys/1.key\",IV=0x%x\n", iv))
	l.playlist(t, "encrypted/master.m3u8", `#EXT-X-SESSION-KEY:METHOD=AES-128,URI="keys/0.key"`, stream, "lo/index.m3u8")
	k := l.kind("encrypted", "lo/index.m3u8")
	k.beside = []string{"keys/0.key", "keys/1.key"}
	return k
}

// encrypt is AES-128-CBC with PKCS7 padding.
func encrypt(t testing.TB, text, key, iv []byte) []byte {
	t.Helper()
	c, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	pad := aes.BlockSize - len(text)%aes.BlockSize
	text = append(text, strings.Repeat(string(rune(pad)), pad)...)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(text, text)
	return text
}

func (l *library) packedAAC(t testing.TB) kind {
	l.cut(t, "aac", "-c", "copy", "-segment_format", "adts")
	return l.packed(t, "aac", audioCodec)
}

func (l *library) packedMP3(t testing.TB) kind {
	l.cut(t, "mp3", "-c:a", "libmp3lame", "-b:a", "64k", "-segment_format", "mp3", "-segment_format_options", "write_xing=0:id3v2_version=0")
	return l.packed(t, "mp3", "mp4a.40.34")
}

// cut has ffmpeg cut the first language into files of frames and nothing else, named in list.csv with where they begin and end.
func (l *library) cut(t testing.TB, ext string, out ...string) {
	t.Helper()
	l.ffmpeg(t, nil, append(append([]string{"-map", "0:a:0", "-f", "segment", "-segment_time", "2", "-segment_list", l.path(t, ext+"/list.csv")}, out...),
		l.path(t, ext+"/%03d."+ext))...)
}

// packed makes packed audio of what was cut: the timestamp before each segment's frames, and the playlists.
func (l *library) packed(t testing.TB, ext, codec string) kind {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(string(l.read(t, ext+"/list.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-PLAYLIST-TYPE:VOD"}
	for _, row := range rows {
		from, _ := strconv.ParseFloat(row[1], 64)
		to, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		name := ext + "/" + row[0]
		l.write(t, name, append(timestamp(from), l.read(t, name)...))
		list = append(list, fmt.Sprintf("#EXTINF:%.6f,", to-from), row[0])
	}
	l.playlist(t, ext+"/index.m3u8", append(list, "#EXT-X-ENDLIST")...)
	l.playlist(t, ext+"/master.m3u8", `#EXT-X-STREAM-INF:BANDWIDTH=70000,CODECS="`+codec+`"`, "index.m3u8")
	return l.kind(ext, "index.m3u8")
}

// timestamp is the ID3 tag that says when a segment of packed audio begins (RFC 8216, 3.4).
func timestamp(seconds float64) []byte {
	body := []byte("com.apple.streaming.transportStreamTimestamp\x00")
	body = binary.BigEndian.AppendUint64(body, uint64(seconds*90000+0.5))
	const frameHead, small = 10, 1 << 7 // sizes below 128 are the same with seven bits to a byte
	if len(body)+frameHead >= small {
		panic("the tag's sizes need more than a byte")
	}
	tag := []byte{'I', 'D', '3', 4, 0, 0, 0, 0, 0, byte(len(body) + frameHead), 'P', 'R', 'I', 'V', 0, 0, 0, byte(len(body)), 0, 0}
	return append(tag, body...)
}
