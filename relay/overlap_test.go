package relay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// runs is a ring that takes the audio of several runs.
type runs struct {
	ring  *ring
	out   []byte
	last  *chunk
	media time.Duration
	now   time.Time
}

func newRuns() *runs {
	r := &runs{ring: newRing(Mount{Burst: 1 << 20, Rewind: time.Hour}, func() {}), now: time.Now()}
	r.ring.begin(1)
	return r
}

func (r *runs) publish(c *chunk) {
	r.ring.publish(1, c)
	r.out, r.last = append(r.out, c.data...), c
}

func (r *runs) begin(f family) *assembler {
	a := newAssembler(int64(r.media), f, 0, r.now, nil, r.publish)
	a.resume(r.ring.past(maxPast))
	return a
}

// run is one from beginning to end, as it comes in parts of size bytes.
func (r *runs) run(b []byte, f family, size int) {
	a := r.begin(f)
	for part := range slices.Chunk(b, size) {
		a.audio(part, r.now)
	}
	a.flush()
	r.media = time.Duration(a.clock.pos())
}

// Wherever runs break off, and however far back the next begins: everything is relayed once. (layer2.mp2 will not do:
// its frames repeat, as the sine does, and then some are relayed twice.)
func TestOverlapOfFrames(t *testing.T) {
	for _, tc := range []struct {
		file string
		f    family
		time time.Duration
	}{
		{"vbr.mp3", mpeg, 116 * 1152 * time.Second / 44100}, {"lc.aac", aac, 131 * 1024 * time.Second / 44100},
	} {
		whole := fixture(t, tc.file)
		for seed := range uint64(60) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			r := newRuns()
			end := 3000 + rnd.IntN(3000)
			r.run(whole[:end], tc.f, 1+rnd.IntN(2000))
			for len(r.out) < len(whole) {
				// A frame that began before the first byte goes, so the repeat is to be a frame longer than the least.
				from := max(0, len(r.out)-3000-rnd.IntN(10000))
				end = min(len(whole), from+3000+rnd.IntN(15000))
				r.run(whole[from:end], tc.f, 1+rnd.IntN(2000))
			}
			if !bytes.Equal(r.out, whole) || (r.media-tc.time).Abs() > time.Microsecond*20 {
				t.Fatalf("%s, seed %d: %d of %d bytes, %v of %v", tc.file, seed, len(r.out), len(whole), r.media, tc.time)
			}
		}
	}
}

// An Icecast sends the header pages that its burst belongs to, then the burst.
func TestOverlapOfPages(t *testing.T) {
	var whole [][]byte
	var headers [][]byte // that a page belongs to
	for _, file := range []string{"opus.ogg", "flac.ogg", "blocks.ogg", "opus.ogg"} {
		all := pages(t, fixture(t, file))
		whole = append(whole, all...)
		for range all {
			headers = append(headers, bytes.Join(all[:2], nil))
		}
	}
	stream := bytes.Join(whole, nil)
	isHeader := func(i int) bool {
		return bytes.HasPrefix(headers[i], whole[i]) || bytes.HasSuffix(headers[i], whole[i])
	}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		r := newRuns()
		at := 3 + rnd.IntN(5)
		r.run(bytes.Join(whole[:at], nil), ogg, 1+rnd.IntN(9000))
		for at < len(whole) {
			from := max(0, at-1-rnd.IntN(8))
			at = min(len(whole), max(at, from)+rnd.IntN(8))
			for at < len(whole) && isHeader(at-1) {
				at++ // headers that broke off go out with the next run
			}
			burst := bytes.Join(whole[from:at], nil)
			if !isHeader(from) {
				burst = append(bytes.Clone(headers[from]), burst...)
			} else if !bytes.HasPrefix(headers[from], whole[from]) {
				burst = append(bytes.Clone(whole[from-1]), burst...)
			}
			r.run(burst, ogg, 1+rnd.IntN(9000))
		}
		if want := 8 * time.Second; !bytes.Equal(r.out, stream) || (r.media-want).Abs() > time.Microsecond {
			t.Fatalf("seed %d: %d of %d bytes, %v", seed, len(r.out), len(stream), r.media)
		}
	}
}

// After a gap the same logical stream goes on without its header pages, and a joiner gets the very same ones.
func TestOverlapGapInPages(t *testing.T) {
	all := pages(t, fixture(t, "opus.ogg"))
	r := newRuns()
	r.run(bytes.Join(all[:4], nil), ogg, 1000)
	before := r.last
	r.run(bytes.Join(slices.Concat(all[:2], all[5:7]), nil), ogg, 1000)
	if want := bytes.Join(slices.Concat(all[:4], all[5:7]), nil); !bytes.Equal(r.out, want) || &r.last.preamble[0] != &before.preamble[0] {
		t.Errorf("%d of %d bytes, or other header pages", len(r.out), len(want))
	}
	other := fixture(t, "flac.ogg")
	length := len(r.out)
	if r.run(other, ogg, 1000); !bytes.Equal(r.out[length:], other) {
		t.Error("another stream is not relayed from its headers on")
	}
	length = len(r.out)
	if r.run(bytes.Join(all, nil), ogg, 1000); !bytes.Equal(r.out[length:], bytes.Join(all, nil)) {
		t.Error("the first stream again is not relayed from its headers on")
	}
}

// Where it is not surely a repeat it goes out.
func TestOverlapThatIsNone(t *testing.T) {
	music, other := mp3(400), mp3(600)[400*frameBytes:]
	silence := bytes.Repeat(mp3(1), 100)
	f := func(n int) int { return n * frameBytes }
	for _, tc := range []struct {
		name       string
		past, next []byte
		skip       int // frames
	}{
		{"nothing before", nil, music, 0},
		{"all of it", music, music, 400},
		{"a part and more", music, slices.Concat(music[f(300):], other), 100},
		{"a gap", music, other, 0},
		{"stops before the end", music, slices.Concat(music[f(100):f(390)], other), 0},
		{"misses a frame", music, slices.Concat(music[f(300):f(350)], music[f(351):], other), 0},
		{"one frame: too few to tell", music, slices.Concat(music[f(399):], other), 0},
		{"two", music, slices.Concat(music[f(398):], other), 2},
		{"a jingle twice", slices.Concat(music, other, music), slices.Concat(music, other), 400},
		{"a jingle, and the break within it", slices.Concat(music, other, music[:f(50)]), slices.Concat(music, other), 50},
		{"silence at the break", slices.Concat(music, silence), slices.Concat(silence, other), 2},
		{"silence in the middle", slices.Concat(music, silence, other), slices.Concat(silence[f(60):], other, music), 240},
		{"silence only", silence, silence, 2},
	} {
		for _, size := range []int{100, 1 << 20} {
			r := newRuns()
			r.run(tc.past, mpeg, 1<<20)
			r.out = nil
			if r.run(tc.next, mpeg, size); !bytes.Equal(r.out, tc.next[f(tc.skip):]) {
				t.Errorf("%s by %d: %d frames left out, want %d", tc.name, size, (len(tc.next)-len(r.out))/frameBytes, tc.skip)
			}
		}
	}
}

// It does not wait for ever, nor hold everything; and while it waits it says until when.
func TestOverlapIsBounded(t *testing.T) {
	music := mp3(2000)
	r := newRuns()
	r.run(music, mpeg, 1<<20)
	r.out = nil
	a := r.begin(mpeg)
	part := music[1000*frameBytes:][:100*frameBytes]
	a.audio(part, r.now)
	if due := a.due(); len(r.out) > 0 || due != r.now.Add(maxHold) {
		t.Errorf("%d bytes went out, due %v", len(r.out), due.Sub(r.now))
	}
	a.flushDue(r.now.Add(maxHold - 1))
	if len(r.out) > 0 {
		t.Error("it did not wait")
	}
	a.flushDue(r.now.Add(maxHold))
	a.cut()
	if !bytes.Equal(r.out, part) {
		t.Errorf("%d of %d bytes went out in the end", len(r.out), len(part))
	}
	zeros := make([]byte, maxPast)
	o := &overlap{past: append(bytes.Clone(zeros[:maxPast-1]), 1)}
	began := time.Now()
	for range 70 {
		if o.take(unit{piece: piece{pass: true}, data: zeros[:16<<10]}, r.now) {
			break
		}
	}
	if took := time.Since(began); len(o.data) > maxPast+16<<10 || took > 5*time.Second {
		t.Errorf("%d bytes held, %v", len(o.data), took)
	}
}

// The title that is on goes on being the one listeners have had.
func TestOverlapKeepsTheTitle(t *testing.T) {
	music := mp3(100)
	r := newRuns()
	a := r.begin(mpeg)
	a.metadata(block("StreamTitle='A';"))
	a.audio(music, r.now)
	a.flush()
	on := r.last.title
	b := newAssembler(0, mpeg, 0, r.now, on, r.publish)
	b.resume(r.ring.past(maxPast))
	b.metadata(block("StreamTitle='old';"))
	b.audio(music[50*frameBytes:70*frameBytes], r.now)
	b.metadata(block("StreamTitle='A';"))
	b.audio(slices.Concat(music[70*frameBytes:], mp3(110)[100*frameBytes:]), r.now)
	if b.flush(); r.last.title != on || !bytes.Equal(r.out, mp3(110)) {
		t.Errorf("title %q, %d bytes", r.last.title.text(charsetOf("")), len(r.out))
	}
}

func FuzzOverlap(f *testing.F) {
	f.Add([]byte("abcdefgh"), []byte("efghijkl"), 100)
	f.Add([]byte("aabaaaaaaaaa"), []byte("aaaab"), 10)
	f.Fuzz(func(t *testing.T, past, next []byte, size int) {
		frames := func(numbers []byte) (b []byte) {
			for _, n := range numbers[:min(len(numbers), 100)] {
				frame := mp3(1)
				frame[20] = n
				b = append(b, frame...)
			}
			return b
		}
		old, all := frames(past), frames(next)
		if len(past) < 2 || len(next) < 2 {
			return // a frame by itself is none
		}
		r := newRuns()
		r.run(old, mpeg, 1<<20)
		r.out = nil
		r.run(all, mpeg, max(size, 1))
		skipped, ok := bytes.CutSuffix(all, r.out)
		if !ok || !bytes.HasSuffix(old, skipped) && !(len(r.out) == 0 && bytes.Contains(old, skipped)) {
			t.Errorf("%q after %q: %d of %d bytes", next, past, len(r.out), len(all))
		}
	})
}

// BenchmarkOverlap is what a run that begins anew costs: a burst of 64 KiB, found in the past.
func BenchmarkOverlap(b *testing.B) {
	music := mp3(2600)
	r := newRuns()
	r.run(music, mpeg, 1<<20)
	burst := music[len(music)-160*frameBytes:]
	b.ReportAllocs()
	for b.Loop() {
		a := newAssembler(0, mpeg, 0, r.now, nil, func(*chunk) { b.Error("something went out") })
		a.resume(r.ring.past(maxPast))
		a.audio(burst, r.now)
	}
}

// An origin that sends its burst again to an edge that reconnects: who listens hears it once, and is charged once.
func TestBurstAfterReconnectIsHeardOnce(t *testing.T) {
	t.Parallel()
	audio := mp3(400)
	ends := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, n int) {
		fmt.Fprintf(c, icecastHead, 0)
		if n == 0 {
			c.Write(audio[100 : 300*frameBytes-100])
			until(c, ends)
			return
		}
		c.Write(audio[150*frameBytes+99:])
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}, Burst: 1 << 20})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the first run", p.has(298*frameBytes))
	close(ends)
	eventually(t, "the second run", p.has(399*frameBytes))
	p.leave(t)
	if d := p.account.Snapshot().Media - framesTime(399); !bytes.Equal(p.received(), audio[frameBytes:]) || d.Abs() > 2*time.Microsecond {
		t.Errorf("%d frames, and %v too much", len(p.received())/frameBytes, d)
	}
}
