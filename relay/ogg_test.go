package relay

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// assembled is what an assembler made of a stream.
type assembled struct {
	chunks []*chunk
	codecs []string // told when each was published
	media  time.Duration
}

func (a assembled) bytes() (out []byte) {
	for _, c := range a.chunks {
		out = append(out, c.data...)
	}
	return out
}

// assemble runs a stream through an assembler, in parts of size bytes, all in one moment.
func assemble(b []byte, f family, size int, bits int64) (out assembled) {
	now := time.Now()
	var asm *assembler
	asm = newAssembler(0, f, bits, now, nil, func(c *chunk) {
		out.chunks, out.codecs = append(out.chunks, c), append(out.codecs, asm.codec)
	})
	for part := range slices.Chunk(b, size) {
		asm.audio(part, now)
	}
	asm.flush()
	out.media = time.Duration(asm.clock.pos())
	return out
}

// pages splits a stream of pages.
func pages(t testing.TB, b []byte) (all [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n, ok := pageBytes(b)
		if !ok || n == 0 || n > len(b) {
			t.Fatal("not a page")
		}
		all = append(all, b[:n])
		b = b[n:]
	}
	return all
}

// page makes one.
func page(flags byte, granule int64, serial uint32, packets ...[]byte) []byte {
	b := append([]byte(oggMark), 0, flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, serial)
	b = append(b, make([]byte, 9)...)
	var body []byte
	for _, p := range packets {
		for n := len(p); ; n -= 255 {
			b[26]++
			b = append(b, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		body = append(body, p...)
	}
	return seal(append(b, body...))
}

// seal sets the checksum of a page.
func seal(page []byte) []byte {
	binary.LittleEndian.PutUint32(page[22:], oggChecksum(page))
	return page
}

func opusHead(skip uint16) []byte {
	b := append([]byte("OpusHead\x01\x02"), byte(skip), byte(skip>>8))
	return append(b, 0x44, 0xac, 0, 0, 0, 0, 0)
}

func tags(mark string, comments ...string) []byte {
	b := append([]byte(mark), 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(comments)))
	for _, c := range comments {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(c))), c...)
	}
	return b
}

// opusStart is the header pages of a stream.
func opusStart(serial uint32, comments ...string) []byte {
	return append(page(2, 0, serial, opusHead(312)), page(0, 0, serial, tags("OpusTags", comments...))...)
}

// twenty is n packets of 20 ms: one frame each.
func twenty(n int) [][]byte { return slices.Repeat([][]byte{{1 << 3, 7, 7}}, n) }

// The durations are ffprobe's: -show_entries stream=duration_ts,time_base; of Opus it counts the 312 samples in that a
// decoder drops.
func TestOggFiles(t *testing.T) {
	for _, tc := range []struct {
		files         []string
		samples, rate int64
		codec, title  string // of the last
	}{
		{[]string{"vorbis.ogg"}, 88200, 44100, "vorbis", "Earshot - Änfang"},
		{[]string{"blocks.ogg"}, 88200, 44100, "vorbis", ""},
		{[]string{"opus.ogg"}, 96312 - 312, 48000, "opus", "Opus"},
		{[]string{"flac.ogg"}, 88200, 44100, "flac", "Flac"},
		{[]string{"vorbis.ogg", "opus.ogg", "flac.ogg", "flac.ogg"}, 8 * 44100, 44100, "flac", "Flac"},
		{[]string{"flac.ogg", "blocks.ogg", "vorbis.ogg"}, 6 * 44100, 44100, "vorbis", "Earshot - Änfang"},
	} {
		var b []byte
		for _, f := range tc.files {
			b = append(b, fixture(t, f)...)
		}
		want := time.Duration(tc.samples * int64(time.Second) / tc.rate)
		for _, size := range []int{1, 1000, len(b)} {
			out := assemble(b, mpeg, size, 0) // whatever the type says
			last := out.chunks[len(out.chunks)-1]
			if !bytes.Equal(out.bytes(), b) || out.media != want || last.title.text(charsetOf("")) != tc.title || out.codecs[len(out.codecs)-1] != tc.codec {
				t.Errorf("%v by %d: %d of %d bytes, %v of %v, %q, %q", tc.files, size, len(out.bytes()), len(b), out.media, want,
					out.codecs[len(out.codecs)-1], last.title.text(charsetOf("")))
			}
			checkLinks(t, out, len(tc.files))
		}
	}
}

// checkLinks checks what a listener who joins relies on.
func checkLinks(t *testing.T, out assembled, want int) {
	t.Helper()
	links, preamble := 0, []byte(nil)
	for i, c := range out.chunks {
		if beginsLink(c.data) {
			links, preamble = links+1, c.data
			if c.preamble != nil || c.start != c.end || !c.entry {
				t.Errorf("chunk %d: header pages with a preamble, with time or no entry", i)
			}
		} else if len(c.preamble) == 0 || &c.preamble[0] != &preamble[0] {
			t.Errorf("chunk %d has not the header pages of its stream", i)
		}
		if c.entry == (c.data[5]&1 != 0) {
			t.Errorf("chunk %d: entry %v, flags %x", i, c.entry, c.data[5])
		}
		if out.codecs[i] == "" {
			t.Errorf("chunk %d came before its codec was told", i)
		}
	}
	if links != want {
		t.Errorf("%d logical streams of %d", links, want)
	}
}

// A stream joined in its middle, as an Icecast serves it: the first page is worth what is in its packets. Of Vorbis the
// first block yields nothing.
func TestOggJoinedInTheMiddle(t *testing.T) {
	for _, tc := range []struct {
		file    string
		headers int // pages
		slack   int64
		rate    int64
	}{
		{"vorbis.ogg", 2, 2048, 44100}, {"blocks.ogg", 2, 2048, 44100}, {"opus.ogg", 2, 0, 48000}, {"flac.ogg", 2, 0, 44100},
	} {
		all := pages(t, fixture(t, tc.file))
		granule := func(i int) int64 { return int64(binary.LittleEndian.Uint64(all[i][6:])) }
		for from := tc.headers + 1; from < len(all)-1; from++ {
			b := bytes.Join(slices.Concat(all[:tc.headers], all[from:]), nil)
			want := granule(len(all)-1) - granule(from-1)
			got := assemble(b, ogg, len(b), 0)
			samples := (int64(got.media)*tc.rate + int64(time.Second)/2) / int64(time.Second)
			if samples > want || samples < want-tc.slack {
				t.Errorf("%s from page %d: %d samples of %d", tc.file, from, samples, want)
			}
			if tail := b[5:]; len(assemble(tail, ogg, 100, 0).bytes()) == 0 {
				t.Errorf("%s: nothing passes without the beginning", tc.file)
			}
		}
	}
}

// What a page says of time is believed no further than its packets reach.
func TestOggGranules(t *testing.T) {
	second := func(granule int64) []byte { return page(0, granule, 7, twenty(50)...) }
	half := slices.Concat(twenty(24), [][]byte{append(twenty(1)[0], make([]byte, 600)...)})
	split := func() []byte { // the last packet goes on, on another page
		b := page(0, 24*960, 7, half...)
		b[26]--
		return seal(slices.Delete(b, 27+26, 27+27)[:27+26+24*3+510])
	}()
	for _, tc := range []struct {
		name string
		data []byte
		want time.Duration
	}{
		{"the beginning", second(48000), time.Second - 6500*time.Microsecond},
		{"pages in a row", slices.Concat(second(48000), second(96000)), 2*time.Second - 6500*time.Microsecond},
		{"joined late", second(48000 * 3600), time.Second},
		{"a jump of hours", slices.Concat(second(48000), second(48000*36000)), 2*time.Second - 6500*time.Microsecond},
		{"back", slices.Concat(second(480000), second(1000)), 2 * time.Second},
		{"the same twice", slices.Concat(second(480000), second(480000)), time.Second},
		{"the largest", slices.Concat(second(1<<63-1), second(0)), 2 * time.Second},
		{"joined within a packet", page(1, 480000, 7, twenty(51)...), time.Second},
		{"no packet ends", slices.Concat(second(480000), page(0, -1, 7, twenty(10)...)), time.Second},
		{"no packets", slices.Concat(second(480000), page(0, 480000*2, 7)), time.Second},
		{"cut short at the end", slices.Concat(second(480000), page(4, 480100, 7, twenty(50)...)), time.Second + 100*time.Second/48000},
		{"a packet over two pages", slices.Concat(split, page(1, 25*960, 7, make([]byte, 93))), 493500 * time.Microsecond},
	} {
		b := append(opusStart(7), tc.data...)
		out := assemble(b, ogg, 50, 0)
		if (out.media-tc.want).Abs() > time.Microsecond || !bytes.Equal(out.bytes(), b) {
			t.Errorf("%s: %v, want %v; %d of %d bytes", tc.name, out.media, tc.want, len(out.bytes()), len(b))
		}
	}
}

func TestOggOfOtherKinds(t *testing.T) {
	vorbis, opus := pages(t, fixture(t, "vorbis.ogg")), pages(t, fixture(t, "opus.ogg"))
	mixed := bytes.Join(slices.Concat([][]byte{vorbis[0], opus[0]}, opus[1:2], vorbis[1:3], opus[2:4], vorbis[3:]), nil)
	speex := fixture(t, "speex.ogg")
	large := page(0, -1, 7, bytes.Repeat([]byte{1}, 60_000))
	flood := slices.Concat(page(2, 0, 7, opusHead(0)), bytes.Repeat(large, 6))
	for _, tc := range []struct {
		name     string
		b        []byte
		preamble int
	}{
		{"Speex", speex, 80 + 111},
		{"multiplexed", mixed, len(vorbis[0]) + len(opus[0]) + len(opus[1]) + len(vorbis[1])},
		{"no headers", bytes.Join(opus[2:], nil), 0},
		{"headers without end", flood, 0},
		{"Opus of another version", slices.Concat(page(2, 0, 7, []byte("OpusHead\x10............")), page(0, 0, 7, tags("OpusTags")), page(0, 9, 7, twenty(1)...)), 49 + 44},
	} {
		out := assemble(tc.b, ogg, 1000, 64_000)
		if !bytes.Equal(out.bytes(), tc.b) {
			t.Errorf("%s: %d of %d bytes", tc.name, len(out.bytes()), len(tc.b))
		}
		last := out.chunks[len(out.chunks)-1]
		if tc.name == "Speex" {
			tc.preamble = len(last.preamble)
			if want := time.Duration(len(speex)-tc.preamble) * 8 * time.Second / 64_000; (out.media-want).Abs() > time.Microsecond || tc.preamble == 0 {
				t.Errorf("Speex: %v, by the bitrate %v; %d bytes of headers", out.media, want, tc.preamble)
			}
		}
		if len(last.preamble) != tc.preamble {
			t.Errorf("%s: %d bytes of headers, want %d", tc.name, len(last.preamble), tc.preamble)
		}
	}
}

// A source that is cut off within a page, and goes on with another stream.
func TestOggDamaged(t *testing.T) {
	one, two := pages(t, fixture(t, "opus.ogg")), fixture(t, "flac.ogg")
	cut := slices.Concat(one[0], one[1], one[2], one[3][:600], two)
	out := assemble(cut, ogg, 333, 0)
	if want := time.Duration(193500)*time.Microsecond + 2*time.Second; out.media != want || !bytes.Equal(out.bytes(), cut) {
		t.Errorf("cut off: %v, want %v; %d of %d bytes", out.media, want, len(out.bytes()), len(cut))
	}
	bad := bytes.Clone(one[3])
	bad[100] ^= 1
	broken := bytes.Join([][]byte{one[0], one[1], one[2], bad, []byte("OggS\x00\x00 is no page"), one[4], one[5]}, nil)
	out = assemble(broken, ogg, 1, 0)
	if want := time.Duration(193500+400000) * time.Microsecond; out.media != want || !bytes.Equal(out.bytes(), broken) {
		t.Errorf("broken: %v, want %v; %d of %d bytes", out.media, want, len(out.bytes()), len(broken))
	}
}

// Noise among header pages goes, and a stream of nothing but noise after the first one passes.
func TestOggNoiseAmongHeaders(t *testing.T) {
	all := pages(t, fixture(t, "opus.ogg"))
	whole := bytes.Join(all, nil)
	noisy := bytes.Join(slices.Concat(all[:1], [][]byte{[]byte("noise")}, all[1:]), nil)
	if out := assemble(noisy, ogg, 10, 0); !bytes.Equal(out.bytes(), whole) {
		t.Errorf("%d bytes of %d", len(out.bytes()), len(whole))
	}
	endless := append(bytes.Clone(all[0]), make([]byte, 100_000)...)
	if out := assemble(endless, ogg, 1000, 64_000); len(out.bytes()) < 80_000 || out.media < 10*time.Second {
		t.Errorf("%d bytes of noise, %v", len(out.bytes()), out.media)
	}
}

func TestOggTitles(t *testing.T) {
	long := string(bytes.Repeat([]byte("ä"), 900))
	for _, tc := range []struct {
		comments []string
		want     string
	}{
		{[]string{"TITLE=One"}, "One"},
		{[]string{"title=One", "Artist=A", "artist=B"}, "A - One"},
		{[]string{"ARTIST=A"}, ""},
		{[]string{"TITLE=\xff\x00a\r\nb "}, "ab"},
		{[]string{"TITLE=" + long}, long[:1024]},
		{[]string{"TITLE"}, ""},
		{nil, ""},
	} {
		b := append(opusStart(7, tc.comments...), page(0, 960, 7, twenty(1)...)...)
		for i, c := range assemble(b, ogg, len(b), 0).chunks {
			if c.title.text(charsetOf("")) != tc.want {
				t.Errorf("%q: chunk %d has %q, want %q", tc.comments, i, c.title.text(charsetOf("")), tc.want)
			}
		}
	}
	lie := tags("OpusTags", "TITLE=One")
	binary.LittleEndian.PutUint32(lie[16:], 1<<31)
	if got := titleOf(lie[8:]); got != "" {
		t.Errorf("a comment longer than all: %q", got)
	}
}

// FuzzOgg repairs checksums, so that what is in the pages is reached.
func FuzzOgg(f *testing.F) {
	for _, name := range []string{"vorbis.ogg", "opus.ogg", "flac.ogg", "speex.ogg"} {
		b := fixture(f, name)
		f.Add(b[:min(len(b), 6000)], 1000)
	}
	f.Add(slices.Concat(opusStart(1, "TITLE=a"), page(0, 960, 1, twenty(1)...), opusStart(1), page(4, 1, 1)), 3)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		b = bytes.Clone(b)
		for rest := b; len(rest) > 0; {
			n, ok := pageBytes(rest)
			if !ok || n > len(rest) {
				break
			}
			if n > 0 {
				seal(rest[:n])
			}
			rest = rest[max(n, 1):]
		}
		out := assemble(b, ogg, max(size, 1), 0)
		if len(out.bytes()) > len(b) || out.media < 0 || out.media > time.Duration(1+len(b)/oggHeader)*maxPageTime*time.Second {
			t.Errorf("%d bytes became %d, %v", len(b), len(out.bytes()), out.media)
		}
		for i, c := range out.chunks {
			if c.end < c.start || i > 0 && c.start != out.chunks[i-1].end || len(c.data) == 0 || len(c.preamble) > maxHeaders {
				t.Errorf("chunk %d: %d bytes, %d to %d, %d of headers", i, len(c.data), c.start, c.end, len(c.preamble))
			}
		}
	})
}
