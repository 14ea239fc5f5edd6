package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"
)

// The format is told by the first bytes; the type only helps where they say nothing.
func TestFormatOf(t *testing.T) {
	ogged := fixture(t, "opus.ogg")
	webm := append([]byte("\x1aE\xdf\xa3"), bytes.Repeat([]byte{7}, 10_000)...)
	for _, tc := range []struct {
		name string
		b    []byte
		f    family
		want string
	}{
		{"Ogg as MP3", ogged, mpeg, "*relay.oggFramer"},
		{"Ogg from the middle of a page", ogged[100:], ogg, "*relay.oggFramer"},
		{"Ogg as anything", ogged[100:], "application/octet-stream", "*relay.oggFramer"},
		{"MP3 as Ogg", mp3(20), ogg, "*relay.framer"},
		{"MP3 as anything, from the middle of a frame", mp3(20)[50:], "application/octet-stream", "*relay.framer"},
		{"ADTS as MP3", adts(20), mpeg, "*relay.framer"},
		{"two headers by chance", append(mp3(2), make([]byte, 10_000)...), "audio/wav", "relay.passer"},
		{"FLAC", fixture(t, "native.flac"), "audio/flac", "relay.passer"},
		{"FLAC as MP3", fixture(t, "native.flac"), mpeg, "relay.passer"},
		{"WebM", webm, "audio/webm", "relay.passer"},
		{"too few bytes", []byte("Ogg"), mpeg, "<nil>"},
		{"zeros", make([]byte, 8000), "audio/wav", "<nil>"},
		{"more zeros", make([]byte, 9000), "audio/wav", "relay.passer"},
		{"zeros as Ogg", make([]byte, 9000), ogg, "*relay.oggFramer"},
	} {
		if got := fmt.Sprintf("%T", formatOf(tc.b, tc.f, false)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if formatOf(tc.b, tc.f, true) == nil {
			t.Errorf("%s: never decided", tc.name)
		}
	}
}

// What its first bytes do not tell is not held back for long, and passes whole.
func TestFormatIsDecidedInTime(t *testing.T) {
	var out []byte
	now := time.Now()
	a := newAssembler(0, "audio/wav", 0, now, nil, func(c *chunk) { out = append(out, c.data...) })
	a.audio([]byte("four score and seven"), now)
	if a.due() != now.Add(chunkAge) {
		t.Errorf("due after %v", a.due().Sub(now))
	}
	a.flushDue(now.Add(chunkAge))
	a.flush()
	if string(out) != "four score and seven" {
		t.Errorf("%q went out", out)
	}
}

func TestPassesByTheBitrate(t *testing.T) {
	free := bytes.Repeat(append([]byte{0xff, 0xfb, 0x00, 0x64}, bytes.Repeat([]byte{0x55}, 400)...), 200) // MP3 in the free format
	for _, tc := range []struct {
		name string
		b    []byte
		f    family
	}{
		{"free format", free, mpeg},
		{"FLAC", fixture(t, "native.flac"), "audio/flac"},
	} {
		out := assemble(tc.b, tc.f, 1000, 128_000)
		if want := time.Duration(len(tc.b)) * 8 * time.Second / 128_000; (out.media-want).Abs() > time.Microsecond || !bytes.Equal(out.bytes(), tc.b) {
			t.Errorf("%s: %v of %v, %d of %d bytes", tc.name, out.media, want, len(out.bytes()), len(tc.b))
		}
	}
	lost := slices.Concat(mp3(10), bytes.Repeat([]byte("no frame"), 20_000), mp3(10))
	out := assemble(lost, mpeg, 1000, 128_000)
	least, most := framesTime(20)+9*time.Second-time.Duration(maxLead)*8*time.Second/128_000, framesTime(20)+10*time.Second
	if out.media < least || out.media > most || !bytes.Equal(out.bytes(), lost) {
		t.Errorf("frames, none for long, frames: %v, %d bytes", out.media, len(out.bytes()))
	}
}

func TestADTS(t *testing.T) {
	header := func(protection, rate, blocks, length int) []byte {
		return []byte{0xff, 0xf0 | byte(protection), 0x40 | byte(rate<<2), 0x80 | byte(length>>11), byte(length >> 3), byte(length<<5) | 0x1f, 0xfc | byte(blocks)}
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want frame // kind apart
		ok   bool
	}{
		{"LC", header(1, 4, 0, 300), frame{bytes: 300, samples: 1024, rate: 44100}, true},
		{"with a checksum", header(0, 4, 0, 300), frame{bytes: 300, samples: 1024, rate: 44100}, true},
		{"HE: the rate of the core", header(1, 7, 0, 300), frame{bytes: 300, samples: 1024, rate: 22050}, true},
		{"four blocks", header(1, 3, 3, 1500), frame{bytes: 1500, samples: 4096, rate: 48000}, true},
		{"a header only", header(1, 4, 0, 7), frame{}, false},
		{"a header and a checksum only", header(0, 4, 0, 9), frame{}, false},
		{"a rate that is none", header(1, 13, 0, 300), frame{}, false},
	} {
		got, ok := parseFrame(tc.b)
		got.kind = 0
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %+v, %v", tc.name, got, ok)
		}
	}
}

func TestOpusPackets(t *testing.T) {
	for _, tc := range []struct {
		b    []byte
		want int64
	}{
		{nil, 0}, {[]byte{0}, 480}, {[]byte{3 << 3}, 2880}, {[]byte{12 << 3}, 480}, {[]byte{13<<3 | 1}, 1920}, {[]byte{16 << 3}, 120},
		{[]byte{31<<3 | 2}, 1920}, {[]byte{31<<3 | 3}, 0}, {[]byte{31<<3 | 3, 3 | 0xc0}, 2880}, {[]byte{31<<3 | 3, 63}, 5760},
	} {
		if got, _ := new(opus).samples(tc.b); got != tc.want {
			t.Errorf("%x: %d samples, want %d", tc.b, got, tc.want)
		}
	}
}

func TestFLACPackets(t *testing.T) {
	for _, tc := range []struct {
		b    []byte
		want int64
	}{
		{nil, 0}, {[]byte("no frame"), 0},
		{[]byte{0xff, 0xf8, 0x19, 0, 0, 0}, 192}, {[]byte{0xff, 0xf8, 0x29, 0, 0, 0}, 576}, {[]byte{0xff, 0xf8, 0x59, 0, 0, 0}, 4608},
		{[]byte{0xff, 0xf9, 0xc9, 0, 0, 0}, 4096}, {[]byte{0xff, 0xf8, 0xf9, 0, 0, 0}, 32768}, {[]byte{0xff, 0xf8, 0x09, 0, 0, 0}, 0},
		{[]byte{0xff, 0xf8, 0x69, 0, 5, 99, 0}, 100}, {[]byte{0xff, 0xf8, 0x79, 0, 0xc2, 0x80, 0x0f, 0x9f}, 4000},
		{[]byte{0xff, 0xf9, 0x79, 0, 0xfe, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x0f, 0x9f}, 4000},
		{[]byte{0xff, 0xf9, 0x79, 0, 0xff, 0x80, 0x80}, 0},
	} {
		if got, _ := new(flac).samples(tc.b); got != tc.want {
			t.Errorf("%x: %d samples, want %d", tc.b, got, tc.want)
		}
	}
}

// Without its modes a Vorbis page is worth its granule, if that can be.
func TestVorbisWithoutModes(t *testing.T) {
	v := new(vorbis)
	head := append([]byte("\x01vorbis\x00\x00\x00\x00\x01\x44\xac\x00\x00"), make([]byte, 14)...)
	head[28], head[29] = 0xb8, 1
	setup := []byte("\x05vorbis no modes")
	b := slices.Concat(page(2, 0, 7, head), page(0, 0, 7, tags("\x03vorbis"), setup))
	packets := [][]byte{{0, 1}, {0, 2}, {0, 3}, {0, 4}} // of 1024 samples at most
	for _, granule := range []int64{1 << 40, 1<<40 + 3000, 1<<40 + 10_000, 5} {
		b = append(b, page(0, granule, 7, packets...)...)
	}
	if out := assemble(b, ogg, len(b), 0); out.media.Round(time.Microsecond) != (3000 * time.Second / 44100).Round(time.Microsecond) {
		t.Errorf("worth %v", out.media)
	}
	for _, b := range [][]byte{nil, {0}, bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{0xff}, 100)} {
		if vorbisModes(b) != nil {
			t.Errorf("%x has modes", b)
		}
	}
	if _, ok := v.header(0, head[:20]); ok {
		t.Error("half a header is taken")
	}
}

func TestMetadataInside(t *testing.T) {
	for contentType, want := range map[string]bool{"audio/mpeg": true, "audio/aacp": true, "application/ogg": false, "Audio/Ogg; codecs=opus": false, "video/ogg": false} {
		if (Info{ContentType: contentType}).Metadata() != want {
			t.Errorf("%s: %v", contentType, !want)
		}
	}
}

// apeTag is one with its header, that holds what looks like frames.
func apeTag(items int) []byte {
	b := append([]byte("APETAGEX\xd0\x07\x00\x00"), make([]byte, 20)...)
	binary.LittleEndian.PutUint32(b[12:], uint32(items)+apeHeader)
	foot := bytes.Clone(b)
	binary.LittleEndian.PutUint32(b[20:], 0xa0000000)
	binary.LittleEndian.PutUint32(foot[20:], 0x80000000)
	return slices.Concat(b, mp3(1 + items/frameBytes)[:items], foot)
}

// BenchmarkFrameSecond is what a second of the usual costs, from the source to the ring.
//
//	go test ./relay -run '^$' -bench FrameSecond
func BenchmarkFrameSecond(b *testing.B) {
	second := func(name string, from, n int) []byte {
		all := pages(b, fixture(b, name))
		return bytes.Join(all[from:from+n], nil)
	}
	for _, tc := range []struct {
		name   string
		first  []byte
		second []byte
	}{
		{"mp3", nil, mp3(38)},
		{"aac", nil, adts(43)},
		{"opus", second("opus.ogg", 0, 2), second("opus.ogg", 2, 5)},
		{"vorbis", second("blocks.ogg", 0, 2), second("blocks.ogg", 2, 5)},
	} {
		b.Run(tc.name, func(b *testing.B) {
			now := time.Now()
			a := newAssembler(0, mpeg, 0, now, nil, func(*chunk) {})
			a.audio(tc.first, now)
			b.SetBytes(int64(len(tc.second)))
			b.ReportAllocs()
			for b.Loop() {
				a.audio(tc.second, now)
			}
		})
	}
}
