package demo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grafov/m3u8"
)

// media decodes the playlist of a variant.
func media(t *testing.T, o *Origin, variant string) *m3u8.MediaPlaylist {
	t.Helper()
	text := fetch(t, o, "/live/"+variant+"/index.m3u8")
	list, kind, err := m3u8.DecodeFrom(bytes.NewReader(text), true)
	if err != nil || kind != m3u8.MEDIA {
		t.Fatalf("%s: kind %v, %v\n%s", variant, kind, err, text)
	}
	return list.(*m3u8.MediaPlaylist)
}

// parseSegment checks the form of a segment and returns its time, in ticks, and its length, in samples.
func parseSegment(t *testing.T, b []byte) (ticks, samples uint64) {
	t.Helper()
	prefix := "ID3\x04\x00\x00\x00\x00\x00\x3fPRIV\x00\x00\x00\x35\x00\x00com.apple.streaming.transportStreamTimestamp\x00"
	if !strings.HasPrefix(string(b), prefix) {
		t.Fatalf("segment begins %q", b[:min(len(b), 80)])
	}
	b = b[len(prefix):]
	ticks, b = binary.BigEndian.Uint64(b), b[8:]
	for len(b) > 0 {
		n, err := adtsFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		// AAC-LC, sampling frequency index 3 (48 kHz), two channels, one raw data block.
		if b[2] != 0x4C || b[3]&0xC0 != 0x80 || b[6]&3 != 0 {
			t.Fatalf("ADTS header % x", b[:7])
		}
		samples += samplesPerAAC
		b = b[n:]
	}
	return ticks, samples
}

func TestSegmentsAreContinuous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOrigin(time.Now())
		for _, variant := range []string{"hi", "lo"} {
			var next uint64
			for seq := range uint64(6) {
				ticks, samples := parseSegment(t, fetch(t, o, fmt.Sprintf("/live/%s/%d.aac", variant, seq)))
				if ticks != next {
					t.Errorf("%s/%d: at %d ticks, want %d", variant, seq, ticks, next)
				}
				if samples != 190464 {
					t.Errorf("%s/%d: %d samples", variant, seq, samples)
				}
				next += samples * 90000 / sampleRate
			}
		}
	})
}

// The timestamp has 33 bits: it wraps after 26 hours, and the segments go on.
func TestTimestampWraps(t *testing.T) {
	v := newVariant("lo")
	const last = (1 << 33) / segmentTicks
	for seq := uint64(last - 20); seq < last+20; seq++ {
		this, samples := parseSegment(t, v.segment(seq))
		next, _ := parseSegment(t, v.segment(seq+1))
		if got, want := (next-this)&(1<<33-1), samples*90000/sampleRate; got != want || this >= 1<<33 {
			t.Errorf("segment %d at %d, the next at %d", seq, this, next)
		}
	}
	before, _ := parseSegment(t, v.segment(last))
	after, _ := parseSegment(t, v.segment(last+1))
	if after >= before {
		t.Errorf("no wrap between %d and %d", before, after)
	}
}

func TestClipIsRepeatedWhole(t *testing.T) {
	v := newVariant("hi")
	var audio []byte
	for seq := range uint64(len(v.segments)) {
		audio = append(audio, v.segment(seq)[len(timestampTag(0)):]...)
	}
	if !bytes.Equal(audio, clip("hi.aac")) {
		t.Error("the segments are not the clip")
	}
	if !bytes.Equal(v.segment(3)[73:], v.segment(3 + uint64(len(v.segments)))[73:]) {
		t.Error("the second round is not the first")
	}
}

func TestWindowRolls(t *testing.T) {
	const bar = 3968 * time.Millisecond
	for _, tt := range []struct {
		after time.Duration
		first uint64
	}{
		{0, 0},
		{bar - 1, 0},
		{bar, 1},
		{10*bar + bar/2, 10},
		{24 * time.Hour, 21774},
		{26*time.Hour + 30*time.Minute + 30*time.Second, 24049}, // the timestamp wraps in the window
		{400 * 24 * time.Hour, 8709677},
	} {
		t.Run(tt.after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				o := NewOrigin(start)
				time.Sleep(tt.after)
				testWindow(t, o, start, tt.first)
			})
		})
	}
}

func testWindow(t *testing.T, o *Origin, start time.Time, first uint64) {
	hi, lo := media(t, o, "hi"), media(t, o, "lo")
	if hi.String() != lo.String() {
		t.Errorf("variants differ:\n%s\n%s", hi, lo)
	}
	if hi.SeqNo != first || hi.Count() != 6 || hi.TargetDuration != 4 || hi.Closed {
		t.Errorf("sequence %d, want %d; %d segments; target %v", hi.SeqNo, first, hi.Count(), hi.TargetDuration)
	}
	for i, s := range hi.Segments[:hi.Count()] {
		seq := first + uint64(i)
		if want := fmt.Sprintf("%d.aac", seq); s.URI != want || s.Duration != 3.968 {
			t.Errorf("segment %s of %v s, want %s", s.URI, s.Duration, want)
		}
		pdt := start.Add((time.Duration(seq) - 6) * 3968 * time.Millisecond)
		if !s.ProgramDateTime.Equal(pdt) {
			t.Errorf("segment %d dated %v, want %v", seq, s.ProgramDateTime, pdt)
		}
		for _, variant := range []string{"hi", "lo"} {
			ticks, samples := parseSegment(t, fetch(t, o, "/live/"+variant+"/"+s.URI))
			if ticks != seq*357120&(1<<33-1) || samples != 190464 {
				t.Errorf("%s/%d: at %d ticks, %d samples", variant, seq, ticks, samples)
			}
		}
	}
	// What is to come is not there; what has just left the window still is; what left long ago is gone.
	if get(o, fmt.Sprintf("/live/hi/%d.aac", first+6)).Code != http.StatusNotFound {
		t.Error("a segment is served before it is complete")
	}
	if first > 20 {
		fetch(t, o, fmt.Sprintf("/live/hi/%d.aac", first-12))
		if get(o, fmt.Sprintf("/live/hi/%d.aac", first-13)).Code != http.StatusNotFound {
			t.Error("a segment is kept for too long")
		}
	}
}

// Dates are whole milliseconds wherever in one the origin starts, and a clock before the start finds the first window.
func TestStartOffTheBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(123456789 * time.Nanosecond)
		p := media(t, NewOrigin(start), "hi")
		want := start.Add(-6 * 3968 * time.Millisecond).Truncate(time.Millisecond)
		if got := p.Segments[0].ProgramDateTime; p.SeqNo != 0 || !got.Equal(want) {
			t.Errorf("segment %d at %v, want 0 at %v", p.SeqNo, got, want)
		}
	})
}

func TestSameStartSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(-time.Hour)
		a, b := NewOrigin(start), NewOrigin(start)
		paths := []string{"/live/master.m3u8", "/live/hi/index.m3u8", "/live/lo/" + media(t, a, "lo").Segments[2].URI}
		for _, path := range paths {
			if !bytes.Equal(fetch(t, a, path), fetch(t, b, path)) {
				t.Errorf("%s differs", path)
			}
		}
	})
}

func TestMaster(t *testing.T) {
	o := NewOrigin(time.Now())
	list, kind, err := m3u8.DecodeFrom(bytes.NewReader(fetch(t, o, "/live/master.m3u8")), true)
	if err != nil || kind != m3u8.MASTER {
		t.Fatalf("kind %v, %v", kind, err)
	}
	variants := list.(*m3u8.MasterPlaylist).Variants
	if len(variants) != 2 || variants[0].URI != "hi/index.m3u8" || variants[1].URI != "lo/index.m3u8" {
		t.Fatalf("variants %v", variants)
	}
	for i, v := range o.variants {
		if variants[i].Codecs != "mp4a.40.2" {
			t.Errorf("%s: codecs %q", v.name, variants[i].Codecs)
		}
		for seq := range uint64(8) {
			bits := float64(8*len(v.segment(seq))) / 3.968
			if peak := float64(variants[i].Bandwidth); bits > peak || bits < 0.9*peak {
				t.Errorf("%s/%d: %.0f bit/s under a BANDWIDTH of %.0f", v.name, seq, bits, peak)
			}
		}
	}
}

func TestHTTP(t *testing.T) {
	o := NewOrigin(time.Now())
	for _, tt := range []struct {
		method, path, header string
		status               int
		contentType          string
	}{
		{"GET", "/live/master.m3u8", "", 200, "application/vnd.apple.mpegurl"},
		{"HEAD", "/live/hi/index.m3u8", "", 200, "application/vnd.apple.mpegurl"},
		{"GET", "/live/hi/0.aac", "", 200, "audio/aac"},
		{"GET", "/live/hi/0.aac", "bytes=0-99", 206, "audio/aac"},
		{"HEAD", "/radio.mp3", "", 200, "audio/mpeg"},
		{"POST", "/live/master.m3u8", "", 405, ""},
		{"GET", "/live/mid/index.m3u8", "", 404, ""},
		{"GET", "/live/mid/0.aac", "", 404, ""},
		{"GET", "/live/hi/00.aac", "", 404, ""},
		{"GET", "/live/hi/-1.aac", "", 404, ""},
		{"GET", "/live/hi/0.ts", "", 404, ""},
		{"GET", "/live/hi/18446744073709551615.aac", "", 404, ""},
		{"GET", "/", "", 404, ""},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		if tt.header != "" {
			r.Header.Set("Range", tt.header)
		}
		w := httptest.NewRecorder()
		o.ServeHTTP(w, r)
		if w.Code != tt.status || tt.contentType != "" && w.Header().Get("Content-Type") != tt.contentType {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

func TestCutADTSRefusesWhatIsNot(t *testing.T) {
	whole := clip("lo.aac")
	for name, b := range map[string][]byte{
		"noise": []byte("certainly not a frame"), "short": whole[:5], "half a frame": whole[:100],
		"half a segment": whole[:len(whole)/16], "no sync": append(whole[:len(whole):len(whole)], 0),
	} {
		if pieces, err := cutADTS(b, segmentFrames); err == nil {
			t.Errorf("%s: %d pieces and no error", name, len(pieces))
		}
	}
}

func TestClipsAreSmall(t *testing.T) {
	total := int64(0)
	for _, name := range []string{"hi.aac", "lo.aac", "radio.mp3"} {
		info, err := fs.Stat(clips, "clips/"+name)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 1_500_000 {
		t.Errorf("%d bytes embedded", total)
	}
}

func BenchmarkMediaPlaylist(b *testing.B) {
	o := NewOrigin(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		get(o, "/live/hi/index.m3u8")
	}
}
