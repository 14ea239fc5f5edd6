//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Both relays serve a few listeners for a moment, and there is a ratio.
func TestRelay(t *testing.T) {
	needIcecast(t)
	opt := defaultEdge()
	opt.rounds, opt.conns = 1, conns{10}
	var out strings.Builder
	if err := relayContest(context.Background(), &out, &opt, relayTimes{4 * time.Second, 500 * time.Millisecond, 2 * time.Second, 500}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "\n| 10 |"); n != 1 || !strings.Contains(out.String(), "** (") {
		t.Errorf("%d rows:\n%s", n, out.String())
	}
}

func TestStorm(t *testing.T) {
	needIcecast(t)
	opt := defaultEdge()
	opt.rounds = 1
	var out strings.Builder
	s := storm{listeners: 20, within: 100 * time.Millisecond, warm: 4 * time.Second, patience: 5 * time.Second}
	if err := s.part(context.Background(), &out, &opt); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "| 0 | 0 | 0 |"); n != 2 {
		t.Errorf("%d servers served all:\n%s", n, out.String())
	}
}

func needIcecast(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("icecast2"); err != nil {
		t.Fatal(errNoIcecast)
	}
}

// The frames are of MPEG-1 layer III at exactly 128 kbit/s, hold nothing else that looks like a header, and tell their number.
func TestFrames(t *testing.T) {
	var all []byte
	for n := range int64(49) { // after so many, the padding begins anew
		frame := appendFrame(nil, n)
		padding := int(frame[2] >> 1 & 1)
		if !bytes.Equal(frame[:4], []byte{0xff, 0xfb, 0x90 | byte(padding)<<1, 0}) || len(frame) != 417+padding || len(frame) != frameSize(n) {
			t.Errorf("frame %d has %d bytes and begins with %x", n, len(frame), frame[:4])
		}
		if bytes.Count(frame, []byte{0xff}) != 1 || framesAt(int64(len(all))) > n {
			t.Errorf("frame %d: %d", n, framesAt(int64(len(all))))
		}
		all = append(all, frame...)
	}
	if took := 49 * 1152 / 44100.0; math.Abs(float64(len(all))/took-audioRate) > 1e-6 {
		t.Errorf("%d bytes in %.3f s", len(all), took)
	}
	const far = 1 << 33
	b := append([]byte{1, 0xff, 0xfb, 2}, appendFrame(appendFrame(nil, far), far+1)...)
	if at, n := findFrame(b); at != 4 || n != far {
		t.Errorf("frame %d at %d", n, at)
	}
	if at, _ := findFrame(b[:300]); at != -1 {
		t.Errorf("half a frame is found at %d", at)
	}
}

// body is what a listener with metadata gets who begins in the middle of a frame.
func body(metaInt int) []byte {
	var audio, b []byte
	for n := range int64(200) {
		audio = appendFrame(audio, 1000+n)
	}
	for i := 100; ; i += metaInt {
		if b = append(b, audio[i:min(i+metaInt, len(audio))]...); i+metaInt >= len(audio) {
			return b
		}
		switch title := fmt.Sprintf("StreamTitle='%s%d';", stationTitle, i); i % 3 {
		case 0:
			b = append(b, 0)
		default:
			size := (len(title) + 15) / 16
			b = append(append(append(b, byte(size)), title...), make([]byte, 16*size-len(title))...)
		}
	}
}

// A body is right however it is cut into pieces.
func TestFraming(t *testing.T) {
	whole := body(1000)
	for _, size := range []int{1, 7, 417, 1000, 1001, len(whole)} {
		f := newFraming(1000)
		if err := feedPieces(f, whole, size); err != nil {
			t.Errorf("%d bytes at a time: %v", size, err)
		}
		if f.frames != 199 || f.blocks < 80 || f.titles == 0 || f.titles == f.blocks {
			t.Errorf("%d bytes at a time: %d frames, %d blocks, %d titles", size, f.frames, f.blocks, f.titles)
		}
	}
}

// What is wrong is found: metadata a byte too early or too late, audio that is missing, twice or changed, metadata that is none of the
// station's.
func TestFramingFinds(t *testing.T) {
	const metaInt = 1000
	whole := body(metaInt)
	shift := func(from, to int) []byte {
		b := bytes.Clone(whole)
		moved := b[from]
		if from < to {
			copy(b[from:to], b[from+1:to+1])
		} else {
			copy(b[to+1:from+1], b[to:from])
		}
		b[to] = moved
		return b
	}
	second := metaInt + 1 + 16*int(whole[metaInt]) + metaInt // where the second block begins
	for name, wrong := range map[string][]byte{
		"a block too late":  shift(second, second+1),
		"a block too early": shift(second, second-1),
		"a byte missing":    append(bytes.Clone(whole[:5000]), whole[5001:]...),
		"a frame missing":   append(bytes.Clone(whole[:500]), whole[500+417:]...),
		"a byte twice":      append(bytes.Clone(whole[:5000]), whole[4999:]...),
		"a byte changed":    append(append(bytes.Clone(whole[:5000]), whole[5000]^1), whole[5001:]...),
		"no metadata":       body(1 << 20),
		"a foreign title":   bytes.Replace(bytes.Clone(whole), []byte(stationTitle), []byte("Other - "), 1),
		"no audio":          make([]byte, 10_000),
	} {
		if err := feedPieces(newFraming(metaInt), wrong, 700); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func feedPieces(f *framing, b []byte, size int) error {
	for ; len(b) > 0; b = b[min(size, len(b)):] {
		if err := f.feed(b[:min(size, len(b))]); err != nil {
			return err
		}
	}
	return nil
}

// A listener's rate does not depend on where the window cuts his batches.
func TestRate(t *testing.T) {
	for _, offset := range []time.Duration{0, 300 * time.Millisecond, 999 * time.Millisecond} {
		e := new(ear)
		for at := offset; at < 10*time.Second; at += time.Second {
			for _, part := range []time.Duration{0, time.Millisecond} { // a batch in two reads
				e.came(at + time.Second + part)
				e.last = at + time.Second + part
				e.bytes += audioRate / 2
			}
		}
		if got := e.span.rate(); got != audioRate || e.span.behind() != 0 || e.span.gap > time.Second+offset {
			t.Errorf("offset %v: %.0f B/s, %.0f behind, longest gap %v", offset, got, e.span.behind(), e.span.gap)
		}
	}
	if e := new(ear); e.span.rate() != 0 || !math.IsInf(e.span.behind(), 1) {
		t.Error("who gets nothing has a rate")
	}
}

// The head of an answer may come in pieces; what follows it is the body, to whoever looks.
func TestEarAnswer(t *testing.T) {
	const good = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-metaint:16000\r\n\r\n"
	for cut := range len(good) {
		e := &ear{framing: newFraming(0)}
		for _, p := range []string{good[:cut], good[cut:] + "\xff"} {
			if err := e.feed([]byte(p), time.Second); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if !e.body || e.bytes != 1 || e.first != time.Second || e.framing.metaInt != 16000 {
			t.Errorf("cut at %d: %+v", cut, e)
		}
	}
	for _, head := range []string{"HTTP/1.0 404 Not Found\r\nicy-metaint:1\r\n\r\n", "HTTP/1.0 200 OK\r\nicy-br:128\r\n\r\n"} {
		if err := new(ear).feed([]byte(head), 0); err == nil {
			t.Errorf("%q is taken", head)
		}
	}
}

func TestWaits(t *testing.T) {
	w := waitsOf([]*ear{{tried: 1, first: 3}, {tried: 1, first: 2}, {tried: 1, first: 1 + late + 1}, {tried: 1}})
	if w.late != 2 || w.never != 1 || w.at(0) != 1 || w.at(50) != 2 || w.at(100) != late+1 {
		t.Errorf("%+v", w)
	}
}

// What the kernel holds for a connection that nobody reads is seen, at the side that sends.
func TestSentMemory(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c.(*net.TCPConn).SetReadBuffer(4096)
	s.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for err == nil {
		_, err = s.Write(make([]byte, 64<<10))
	}
	held, conns, err := sentMemory(l.Addr().String())
	if err != nil {
		t.Fatalf("the kernel does not say: %v", err)
	}
	if conns != 1 || held < 32<<10 {
		t.Errorf("%d bytes for %d connections", held, conns)
	}
}
