package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// These parsers were written for the tests alone, without a look at the relay's.

// wholeFrames makes sure that audio is whole frames from the first byte to the last, and counts them. In Ogg it is pages, and the first
// begins a logical stream: without its head nobody can play the rest.
func wholeFrames(f *format, audio []byte) (frames int, err error) {
	if f.frame == "ogg" && (len(audio) < pageHeader || audio[5]&beginsStream == 0) {
		return 0, fmt.Errorf("% x does not begin an Ogg stream", audio[:min(6, len(audio))])
	}
	length := map[string]func([]byte) (int, error){"mpeg": mpegLength, "adts": adtsLength, "ogg": pageLength}[f.frame]
	for at := 0; at < len(audio); {
		n, err := length(audio[at:])
		if err != nil {
			return frames, fmt.Errorf("at byte %d of %d, after %d frames: %w", at, len(audio), frames, err)
		}
		if n > len(audio)-at {
			return frames, &cutShort{frames, n, len(audio) - at}
		}
		at += n
		frames++
	}
	if frames == 0 {
		return 0, fmt.Errorf("no audio")
	}
	return frames, nil
}

// cutShort is that audio ends within a frame.
type cutShort struct{ frame, bytes, came int }

func (e *cutShort) Error() string {
	return fmt.Sprintf("frame %d has %d bytes, of which %d came", e.frame, e.bytes, e.came)
}

// mpegLength is that of a frame of layer III, or of an ID3v2 tag.
func mpegLength(b []byte) (int, error) {
	if len(b) >= 10 && bytes.HasPrefix(b, []byte("ID3")) {
		return 10 + int(b[6])<<21 + int(b[7])<<14 + int(b[8])<<7 + int(b[9]), nil
	}
	if len(b) < 4 {
		return 4, nil // a header at least
	}
	if b[0] != 0xff {
		return 0, fmt.Errorf("% x is no MPEG header", b[:4])
	}
	kbits := [16]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
	factor, rates := 144, [4]int{44100, 48000, 32000}
	switch b[1] &^ 1 {
	case 0xfa: // MPEG 1
	case 0xf2: // MPEG 2
		kbits = [16]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}
		factor, rates = 72, [4]int{22050, 24000, 16000}
	default:
		return 0, fmt.Errorf("% x is no header of layer III", b[:4])
	}
	kbit, rate := kbits[b[2]>>4], rates[b[2]>>2&3]
	if kbit == 0 || rate == 0 {
		return 0, fmt.Errorf("% x has no length", b[:4])
	}
	return factor*kbit*1000/rate + int(b[2]>>1&1), nil
}

func adtsLength(b []byte) (int, error) {
	if len(b) < 7 {
		return 8, nil
	}
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 {
		return 0, fmt.Errorf("% x is no ADTS header", b[:7])
	}
	n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	if n < 8 {
		return 0, fmt.Errorf("% x has no length", b[:7])
	}
	return n, nil
}

const (
	pageHeader   = 27
	beginsStream = 2 // of the flags
)

// pageLength is that of an Ogg page whose checksum is right.
func pageLength(b []byte) (int, error) {
	if len(b) < pageHeader {
		return pageHeader, nil
	}
	if !bytes.HasPrefix(b, []byte("OggS\x00")) {
		return 0, fmt.Errorf("% x is no Ogg page", b[:4])
	}
	segments := int(b[26])
	n := pageHeader + segments
	if n > len(b) {
		return n, nil
	}
	for _, s := range b[pageHeader:n] {
		n += int(s)
	}
	if n > len(b) {
		return n, nil
	}
	page := bytes.Clone(b[:n])
	want := binary.LittleEndian.Uint32(page[22:])
	binary.LittleEndian.PutUint32(page[22:], 0)
	if got := oggChecksum(page); got != want {
		return 0, fmt.Errorf("the page's checksum is %08x, it says %08x", got, want)
	}
	return n, nil
}

// oggChecksum is RFC 3533's: polynomial 0x04c11db7, not reflected.
func oggChecksum(b []byte) (sum uint32) {
	for _, c := range b {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}
