package relay

import (
	"bytes"
	"encoding/binary"
)

// opus is Opus in Ogg (RFC 7845). Its time runs at 48 kHz whatever went in.
type opus struct {
	skip int64 // samples that a decoder drops at the beginning
	said string
}

const (
	opusRate      = 48000
	opusMaxPacket = opusRate * 120 / 1000
)

func (o *opus) name() string  { return "opus" }
func (o *opus) title() string { return o.said }
func (o *opus) rate() int64   { return opusRate }

func (o *opus) header(n int, b []byte) (more, ok bool) {
	if n == 0 {
		if len(b) < 19 || b[8]>>4 != 0 {
			return false, false
		}
		o.skip = int64(binary.LittleEndian.Uint16(b[10:]))
		return true, true
	}
	comments, ok := bytes.CutPrefix(b, []byte("OpusTags"))
	o.said = titleOf(comments)
	return false, ok
}

// opusFrames are the samples of a frame, by the configuration in the first byte of its packet (RFC 6716, table 2).
var opusFrames = [32]int64{
	480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 1920, 2880, // SILK
	480, 960, 480, 960, // hybrid
	120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, // CELT
}

func (o *opus) samples(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	frames := int64(1)
	switch code := b[0] & 3; {
	case code == 3 && len(b) < 2:
		return 0, true
	case code == 3:
		frames = int64(b[1] & 63)
	case code != 0:
		frames = 2
	}
	return min(frames*opusFrames[b[0]>>3], opusMaxPacket), true
}
