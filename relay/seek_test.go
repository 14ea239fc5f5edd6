package relay

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// second is a second of the frames of mp3, in bytes.
const second = frameBytes * frameRate / frameSamples

// TestSeek begins in the past of a minute that came at once.
func TestSeek(t *testing.T) {
	t.Parallel()
	frames := int(time.Minute / framesTime(1))
	audio := mp3(frames)
	o := station(t, 0, audio)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Burst: 2 * second, Rewind: 50 * time.Second})
	open(t, h)
	eventually(t, "the minute", func() bool { return h.Status().HeldBytes == int64(len(audio)) })
	came := time.Now()
	for _, tc := range []struct {
		ask, want time.Duration
		clamped   bool
	}{
		{30 * time.Second, 30 * time.Second, false},
		{49 * time.Second, 49 * time.Second, false},
		{55 * time.Second, 50 * time.Second, true},
		{time.Hour, 50 * time.Second, true},
		{1 * time.Second, 1 * time.Second, false},
	} {
		p := h.Seek(tc.ask)
		late := time.Since(came)
		if p.Behind < tc.want-400*time.Millisecond || p.Behind > tc.want+late+400*time.Millisecond || p.Clamped != tc.clamped {
			t.Errorf("asked for %v, got %v, clamped %v", tc.ask, p.Behind, p.Clamped)
		}
	}
	// He gets a burst, and then as much as time goes by, though the source has fallen silent.
	edge, far := pair(t)
	p := &player{conn: far}
	from := h.Seek(30 * time.Second)
	if err := h.Join(Join{Conn: edge, Stream: "k", Account: account(newBook(), "a"), From: from}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.read()
	defer func() { far.Close(); p.reading.Wait() }()
	for _, after := range []time.Duration{300 * time.Millisecond, 2300 * time.Millisecond, 4300 * time.Millisecond} {
		time.Sleep(after - time.Since(began))
		due := 2 + time.Since(began).Seconds()
		eventually(t, "what is due", func() bool { return float64(len(p.received()))/second >= due-1.6 })
		got := float64(len(p.received())) / second
		if want := 2 + time.Since(began).Seconds(); got > want+0.7 {
			t.Errorf("after %v he has %.1f s of audio, and not %.1f", time.Since(began), got, want)
		}
	}
	if first := runsOn(t, p.received()); framesTime(frames-first)-from.Behind > time.Second || framesTime(frames-first) < from.Behind-6*time.Second {
		t.Errorf("begins with frame %d of %d, told %v behind", first, frames, from.Behind)
	}
}

// TestSeekOfNothing is of a stream that has just begun.
func TestSeekOfNothing(t *testing.T) {
	h := newRelay(t, Options{}).Hub(Mount{Key: "k"})
	if p := h.Seek(time.Minute); p.Behind != 0 || !p.Clamped {
		t.Errorf("%v, clamped %v", p.Behind, p.Clamped)
	}
}

// TestBurstTime begins so much media before the end, whatever it weighs, and does not count the time for which the source was away.
func TestBurstTime(t *testing.T) {
	r := newRing(Mount{BurstTime: 3 * time.Second, Rewind: time.Minute}.withDefaults(new(Options)), func() {})
	r.begin(1)
	pos := int64(0)
	for i := range 100 {
		if i == 95 {
			pos += int64(20 * time.Second)
		}
		r.publish(1, &chunk{data: []byte{byte(i)}, start: pos, end: pos + 5e8, entry: i%2 == 0})
		pos += 5e8
	}
	if c := r.join().next.Load(); c.data[0] != 94 {
		t.Errorf("begins with chunk %d, which is %v before the end", c.data[0], time.Duration(pos-c.start))
	}
}

// TestIntro is heard first and is worth what it lasts; what is no audio, or too much of it, is not played.
func TestIntro(t *testing.T) {
	t.Parallel()
	intro := mp3(40)
	for i := range intro { // not what the stream has
		if intro[i] == 0x55 {
			intro[i] = 0x77
		}
	}
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		if err := os.WriteFile(dir+"/"+name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	audio := mp3(100)
	for _, tc := range []struct {
		path  string
		heard []byte
	}{
		{file("intro.mp3", intro), intro},
		{file("text", []byte("nothing that is audio")), nil},
		{file("other.aac", adts(30)), nil},
		{dir, nil},
		{dir + "/missing", nil},
	} {
		o := station(t, 0, audio)
		h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Intro: tc.path})
		open(t, h)
		eventually(t, "the audio", func() bool { return h.Status().HeldBytes == int64(len(audio)) })
		a := account(newBook(), "a")
		for range 2 { // who comes again in the same session has heard it
			p := join(t, h, a, 0)
			eventually(t, "all of it", p.has(len(tc.heard)+len(audio)))
			p.leave(t)
			if !bytes.Equal(p.received(), append(bytes.Clone(tc.heard), audio...)) {
				t.Errorf("%s: %d bytes are not the intro and the stream", tc.path, len(p.received()))
			}
		}
		want := framesTime(len(tc.heard)/frameBytes) + framesTime(100)
		if s := a.Snapshot(); s.Bytes != 2*int64(len(tc.heard)+len(audio)) || (s.Media-want).Abs() > time.Millisecond {
			t.Errorf("%s: %d bytes, %v of media, and not %v", tc.path, s.Bytes, s.Media, want)
		}
	}
}

// TestIntroOfFirstListener is of one who joins before a frame of the stream has come: its type tells whether the intro fits.
func TestIntroOfFirstListener(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		intro string
		heard []byte
	}{
		{fileOf(t, "intro.mp3", on(8, 30)), on(8, 30)},
		{fileOf(t, "intro.aac", adts(30)), nil},
	} {
		more := make(chan struct{})
		audio := mp3(100)
		o := newOrigin(t, func(c net.Conn, _ int) {
			fmt.Fprintf(c, icecastHead, 0)
			c.Write(audio[:100])
			until(c, more)
			c.Write(audio[100:])
			untilClosed(c)
		})
		h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Intro: tc.intro})
		open(t, h)
		p := join(t, h, account(newBook(), "a"), 0)
		close(more)
		eventually(t, "all of it", p.has(len(tc.heard)+len(audio)))
		p.leave(t)
		if !bytes.Equal(p.received(), append(bytes.Clone(tc.heard), audio...)) {
			t.Errorf("%s: %d bytes are not the intro and the stream", tc.intro, len(p.received()))
		}
	}
}
