package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// parse runs a stream through an assembler, in parts of size bytes.
func parse(b []byte, size int) (out []byte, media time.Duration, codec string, chunks []*chunk) {
	now := time.Now() // and never later: the clock counts nothing
	asm := newAssembler(0, mpeg, 0, now, nil, func(c *chunk) { chunks = append(chunks, c) })
	for part := range slices.Chunk(b, size) {
		asm.audio(part, now)
	}
	asm.flush()
	for _, c := range chunks {
		out = append(out, c.data...)
	}
	return out, time.Duration(asm.clock.pos()), asm.codec, chunks
}

// The counts are ffprobe's: -count_packets. See testdata/README.md for the files.
func TestRealFiles(t *testing.T) {
	for _, tc := range []struct {
		file          string
		frames        int64
		samples, rate int64
		codec         string
	}{
		{"vbr.mp3", 116, 1152, 44100, "mp3"},
		{"mpeg1.mp3", 40, 1152, 44100, "mp3"},
		{"mpeg25.mp3", 30, 576, 8000, "mp3"},
		{"mpeg2.mp3", 79, 576, 22050, "mp3"},
		{"layer2.mp2", 84, 1152, 48000, "mpeg"},
		{"lc.aac", 131, 1024, 44100, "aac"},
	} {
		b, err := os.ReadFile("testdata/" + tc.file)
		if err != nil {
			t.Fatal(err)
		}
		want := time.Duration(tc.frames * tc.samples * int64(time.Second) / tc.rate)
		for _, size := range []int{1, 7, 1000, len(b)} {
			out, media, codec, chunks := parse(b, size)
			if !bytes.Equal(out, b) || media != want || codec != tc.codec {
				t.Errorf("%s by %d: %d of %d bytes, %v of %v, %q", tc.file, size, len(out), len(b), media, want, codec)
			}
			for i, c := range chunks {
				if len(c.data) > chunkBytes || i > 0 && c.start != chunks[i-1].end {
					t.Errorf("%s by %d: chunk %d has %d bytes and begins at %d", tc.file, size, i, len(c.data), c.start)
				}
			}
		}
		// Beginning within a frame, what is left of it goes, and no time with it.
		out, media, _, _ := parse(b[10:], 100)
		if lost := want - media; !bytes.HasSuffix(b, out) || len(out) < len(b)-2*1024 || lost <= 0 || lost > 2*time.Duration(tc.samples*1e9/tc.rate) {
			t.Errorf("%s from 10 on: %d bytes, %v lost", tc.file, len(out), lost)
		}
	}
}

// id3 is an ID3v2 tag that holds what looks like frames.
func id3(size int) []byte {
	b := append([]byte("ID3\x04\x00\x00"), byte(size>>21&127), byte(size>>14&127), byte(size>>7&127), byte(size&127))
	return append(b, bytes.Repeat([]byte{0xff, 0xfb, 0x90, 0x64}, size/4)...)
}

func TestBytesThatAreNoFrame(t *testing.T) {
	ten := mp3(10)
	tag1 := append([]byte("TAG"), bytes.Repeat([]byte{0xff}, 125)...)
	rubbish := bytes.Repeat([]byte("\xff\xf3?rubbish\xff"), 100)
	for _, tc := range []struct {
		name     string
		in, want []byte
		frames   int
	}{
		{"a tag in the middle", bytes.Join([][]byte{ten, id3(4000), ten}, nil), nil, 20},
		{"a large tag first", append(id3(40_000), ten...), nil, 10},
		{"an old tag in the middle", bytes.Join([][]byte{ten, tag1, ten}, nil), nil, 20},
		{"an APE tag in the middle", bytes.Join([][]byte{ten, apeTag(2000), ten}, nil), nil, 20},
		{"rubbish in the middle", bytes.Join([][]byte{ten, rubbish, ten}, nil), nil, 20},
		{"rubbish first", append(bytes.Clone(rubbish), ten...), ten, 10},
		{"half a frame last", append(bytes.Clone(ten), ten[:200]...), ten, 10},
		{"another rate", append(bytes.Clone(ten), adts(5)...), nil, -1},
		{"nothing but rubbish", bytes.Repeat([]byte("no frame"), 4000), nil, 0},
	} {
		if tc.want == nil {
			tc.want = tc.in
		}
		for _, size := range []int{1, 333, len(tc.in)} {
			out, media, _, _ := parse(tc.in, size)
			want := framesTime(tc.frames)
			if tc.frames < 0 {
				want = framesTime(10) + 5*1024*time.Second/44100
			}
			if !bytes.Equal(out, tc.want) || (media-want).Abs() > time.Microsecond {
				t.Errorf("%s by %d: %d of %d bytes, %v of %v", tc.name, size, len(out), len(tc.want), media, want)
			}
		}
	}
}

// The clock does not drift and does not overflow.
func TestClock(t *testing.T) {
	c := clock{base: 1_700_000_000_000_000_000}
	for range 1000 {
		c.add(1152, 44100)
	}
	c.samples += 3600 * 24 * 365 * 44100 // a year
	if got, want := c.pos()-1_700_000_000_000_000_000, int64(365*24*time.Hour)+1000*1152*int64(time.Second)/44100; got != want {
		t.Errorf("pos = %d, want %d", got, want)
	}
	before := c.pos()
	if c.add(48000, 48000); c.pos() != before+int64(time.Second) {
		t.Error("another rate does not go on from where the first had come")
	}
}

// A title belongs to the first frame that begins after it.
func TestTitleIsPinnedToItsFrame(t *testing.T) {
	var chunks []*chunk
	asm := newAssembler(0, mpeg, 0, time.Now(), nil, func(c *chunk) { chunks = append(chunks, c) })
	audio := mp3(6)
	now := time.Now()
	asm.audio(audio[:2*frameBytes+100], now)
	asm.metadata(block("A"))
	asm.audio(audio[2*frameBytes+100:5*frameBytes], now)
	asm.metadata(block("A"))
	asm.metadata(block("B"))
	asm.audio(audio[5*frameBytes:], now)
	asm.flush()
	var got []string
	for _, c := range chunks {
		text := "-"
		if c.title != nil {
			text = string(bytes.TrimRight(c.title.block[1:], "\x00"))
		}
		for range len(c.data) / frameBytes {
			got = append(got, text)
		}
	}
	if s := strings.Join(got, ""); s != "---AAB" {
		t.Errorf("titles of the frames: %s", s)
	}
}

func FuzzAssembler(f *testing.F) {
	f.Add(mp3(3), 100)
	f.Add(adts(3), 7)
	f.Add(append(id3(100), mp3(3)...), 1)
	f.Add([]byte("\xff\xf1\x50\x80\x00\x1f\xfcTAGID3"), 3)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 {
			size = 1
		}
		out, media, _, chunks := parse(b, size)
		if len(out) > len(b) || media < 0 || !bytes.Contains(b, out) && !bytes.Contains(b, []byte(oggMark)) {
			t.Errorf("%d bytes became %d, %v", len(b), len(out), media)
		}
		for i, c := range chunks {
			if c.end < c.start || i > 0 && c.start != chunks[i-1].end || len(c.data) == 0 {
				t.Errorf("chunk %d: %d bytes, %d to %d", i, len(c.data), c.start, c.end)
			}
		}
	})
}

func FuzzDeframer(f *testing.F) {
	f.Add(interleaved(mp3(3), 100, map[int]string{0: "a", 3: "b"}), 100, 9)
	f.Fuzz(func(t *testing.T, b []byte, interval, size int) {
		if interval < 1 || interval > maxInterval || size < 1 {
			return
		}
		d := newDeframer(interval)
		taken := 0
		for part := range slices.Chunk(b, size) {
			for len(part) > 0 {
				audio, block, rest := d.next(part)
				if len(rest) >= len(part) {
					t.Fatal("nothing was taken")
				}
				if block != nil && len(block) != 1+16*int(block[0]) {
					t.Fatalf("a block of %d bytes", len(block))
				}
				taken += len(audio)
				part = rest
			}
		}
		if taken > len(b) {
			t.Fatalf("%d bytes of audio in %d", taken, len(b))
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("ICY 200 OK\r\nicy-metaint:8192\r\nicy-br: 128,128\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: /x\r\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHead(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		h.interval()
		h.bitrate()
		for _, field := range h.info().Header {
			if len(field.Value) > maxValue || clean(field.Value) != field.Value {
				t.Errorf("%q passes", field.Value)
			}
		}
		(&title{block: append([]byte{1}, b...)}).text(charmap.Windows1252)
	})
}

func TestBurstBounds(t *testing.T) {
	r := newRing(Mount{Burst: 1000, Rewind: time.Second}.withDefaults(new(Options)), func() {})
	r.begin(1)
	payload := make([]byte, 300)
	for i := range 1000 {
		binary.BigEndian.PutUint32(payload, uint32(i))
		r.publish(1, &chunk{data: bytes.Clone(payload), start: int64(i) * 1e8, end: int64(i+1) * 1e8, entry: true})
		r.publish(2, &chunk{data: payload})
	}
	if r.bytes != int64(len(r.chunks))*300 || len(r.chunks) != 111 { // a second, and ten to spare
		t.Errorf("%d chunks, %d bytes", len(r.chunks), r.bytes)
	}
	n := 0
	for c := r.join().next.Load(); c != nil; c = c.next.Load() {
		n++
	}
	if n != 4 {
		t.Errorf("a listener begins %d chunks back", n)
	}
}

// Chunks cost more than their bytes: a title for every byte would fill the memory.
func TestRingBoundsChunks(t *testing.T) {
	r := newRing(Mount{}.withDefaults(new(Options)), func() {})
	r.begin(1)
	for range 100_000 {
		r.publish(1, &chunk{data: []byte{0}, title: new(title)})
	}
	if n := len(r.chunks); n > 6000 || r.join() == nil {
		t.Errorf("%d chunks are kept", n)
	}
}
