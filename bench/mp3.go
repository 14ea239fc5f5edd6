//go:build linux

package main

import (
	"bytes"
	"math/rand/v2"
)

// The programme of the station: MPEG-1 layer III, 128 kbit/s, 44.1 kHz, stereo. A frame's bytes follow from its number, so that whoever
// has one can tell what the next must be.
const (
	audioRate = 16_000 // bytes a second, exactly

	frameHead  = 4 + 32 // header and side information
	frameMark  = frameHead + 5
	longFrame  = 418 // with a padding byte
	noiseTunes = 64  // different payloads
)

// frameStart is where frame n begins in the programme: 1152 samples of 128 kbit/s at 44.1 kHz are 20480/49 bytes.
func frameStart(n int64) int64 { return n * 20480 / 49 }

func frameSize(n int64) int { return int(frameStart(n+1) - frameStart(n)) }

// framesAt is how many frames have begun after so many bytes of the programme.
func framesAt(bytes int64) int64 { return bytes * 49 / 20480 }

// tunes are what frames are filled with. 0xff is left out: a frame's header must be the only thing that looks like one.
var tunes = func() (all [noiseTunes][]byte) {
	for i := range all {
		all[i] = make([]byte, longFrame-frameMark)
		rand.NewChaCha8([32]byte{byte(i)}).Read(all[i])
		for at := range all[i] {
			all[i][at] &= 0x7f
		}
	}
	return all
}()

// appendFrame adds frame n: its side information says that there is nothing to decode, so a player plays silence; then its number, seven
// bits a byte, and noise.
func appendFrame(b []byte, n int64) []byte {
	size, padding := frameSize(n), byte(0)
	if size == longFrame {
		padding = 2
	}
	b = append(b, 0xff, 0xfb, 0x90|padding, 0x00)
	b = append(b, make([]byte, frameHead-4)...)
	for shift := 28; shift >= 0; shift -= 7 {
		b = append(b, byte(n>>shift)&0x7f)
	}
	return append(b, tunes[n%noiseTunes][:size-frameMark]...)
}

// findFrame is where in b a whole frame begins, and its number; at is −1 if there is none.
func findFrame(b []byte) (at int, n int64) {
	var want []byte
	for i := 0; ; i++ {
		next := bytes.IndexByte(b[i:], 0xff)
		if next < 0 || len(b)-(i+next) < longFrame {
			return -1, 0
		}
		i += next
		n = 0
		for _, part := range b[i+frameHead : i+frameMark] {
			n = n<<7 | int64(part)
		}
		if want = appendFrame(want[:0], n); bytes.HasPrefix(b[i:], want) {
			return i, n
		}
	}
}
