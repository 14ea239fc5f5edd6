package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// transmitter is a Shoutcast-like source of MP3: frames of 128 kbit/s in real time, each with its number in it, and titles between. Whoever
// connects gets the same frames at the same time.
type transmitter struct {
	listener net.Listener
	began    time.Time
	burst    int64 // frames that a new listener is behind
	conns    sync.WaitGroup
	done     chan struct{}
}

const (
	frameSamples = 1152
	frameRate    = 44100
	frameSeconds = float64(frameSamples) / frameRate
	sourceInt    = 8192 // icy-metaint
	byteRate     = 128_000 / 8
)

// startTransmitter goes on air. It has been for a minute.
func startTransmitter(t testing.TB, burst int64) *transmitter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &transmitter{listener: l, began: time.Now().Add(-time.Minute), burst: burst, done: make(chan struct{})}
	x.conns.Go(x.accept)
	t.Cleanup(func() {
		close(x.done)
		l.Close()
		x.conns.Wait()
	})
	return x
}

func (x *transmitter) url() string { return "http://" + x.listener.Addr().String() + "/live" }

func (x *transmitter) accept() {
	for {
		c, err := x.listener.Accept()
		if err != nil {
			return
		}
		x.conns.Go(func() {
			defer c.Close()
			x.serve(c)
		})
	}
}

// serve answers one listener until he leaves.
func (x *transmitter) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for line := "-"; strings.TrimSpace(line) != ""; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
	}
	head := "ICY 200 OK\r\nicy-name: Truth\r\nicy-br: 128\r\nContent-Type: audio/mpeg\r\n"
	if _, err := fmt.Fprintf(c, "%sicy-metaint: %d\r\n\r\n", head, sourceInt); err != nil {
		return
	}
	tick := time.NewTicker(60 * time.Millisecond)
	defer tick.Stop()
	at := int64(time.Since(x.began).Seconds()/frameSeconds) - x.burst
	out := interleaver{left: sourceInt}
	for {
		for until := int64(time.Since(x.began).Seconds() / frameSeconds); at < until; at++ {
			out.add(mp3Frame(at), fmt.Sprintf("Song %d", at/100))
		}
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) // else a write may wait for ever, and the test with it
		if _, err := c.Write(out.buf); err != nil {
			return
		}
		out.buf = out.buf[:0]
		select {
		case <-x.done:
			return
		case <-tick.C:
		}
	}
}

// interleaver puts metadata into audio.
type interleaver struct {
	buf   []byte
	left  int // until the next block
	title string
}

func (i *interleaver) add(audio []byte, title string) {
	for len(audio) > 0 {
		if i.left == 0 {
			i.block(title)
			i.left = sourceInt
		}
		n := min(i.left, len(audio))
		i.buf, audio = append(i.buf, audio[:n]...), audio[n:]
		i.left -= n
	}
}

func (i *interleaver) block(title string) {
	if title == i.title {
		i.buf = append(i.buf, 0)
		return
	}
	i.title = title
	text := "StreamTitle='" + title + "';"
	blocks := (len(text) + 15) / 16
	i.buf = append(append(i.buf, byte(blocks)), text...)
	i.buf = append(i.buf, make([]byte, 16*blocks-len(text))...)
}

// mp3Frame is frame number n: MPEG 1 layer III, 128 kbit/s, 44.1 kHz; every other one is padded. No byte behind the header looks like one.
func mp3Frame(n int64) []byte {
	b := make([]byte, 417+n%2)
	copy(b, []byte{0xff, 0xfb, 0x90 | byte(n%2)<<1, 0x64})
	for i := range 8 {
		b[4+i] = byte(n>>(7*i)) & 0x7f
	}
	return b
}

// frameCounter takes MP3 apart, in pieces as they come.
type frameCounter struct{ rest []byte }

// add returns the numbers of the frames that are whole now.
func (f *frameCounter) add(audio []byte) (numbers []int64, err error) {
	f.rest = append(f.rest, audio...)
	for len(f.rest) >= 12 {
		head := binary.BigEndian.Uint32(f.rest)
		if head&^(1<<9) != 0xfffb9064 {
			return numbers, fmt.Errorf("%08x is no frame of the source", head)
		}
		size := 417 + int(head>>9&1)
		if len(f.rest) < size {
			break
		}
		var n int64
		for i := range 8 {
			n |= int64(f.rest[4+i]) << (7 * i)
		}
		numbers = append(numbers, n)
		f.rest = f.rest[size:]
	}
	return numbers, nil
}
