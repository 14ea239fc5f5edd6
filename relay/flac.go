package relay

import (
	"bytes"
	"encoding/binary"
)

// flac is FLAC in Ogg (the mapping of RFC 9639, 10.1).
type flac struct {
	headers int // that the first packet announces, after itself; 0: unknown
	hz      int64
	said    string
}

const (
	flacFirst    = 13 + 4 + 34 // mapping, header of the block, STREAMINFO
	flacLast     = 0x80        // in the type of a metadata block: no other follows
	flacComments = 4           // type of the block
)

func (f *flac) name() string  { return "flac" }
func (f *flac) title() string { return f.said }
func (f *flac) rate() int64   { return f.hz }

func (f *flac) header(n int, b []byte) (more, ok bool) {
	if n == 0 {
		if len(b) < flacFirst || !bytes.Equal(b[9:13], []byte("fLaC")) {
			return false, false
		}
		f.headers = int(binary.BigEndian.Uint16(b[7:]))
		f.hz = int64(b[27])<<12 | int64(b[28])<<4 | int64(b[29])>>4
		return b[13]&flacLast == 0, plausibleRate(f.hz)
	}
	if len(b) < 4 {
		return false, false
	}
	if b[0]&^flacLast == flacComments {
		f.said = titleOf(b[4:])
	}
	return b[0]&flacLast == 0 && n != f.headers, true
}

// samples reads the block size in the header of a frame (RFC 9639, 9.1.1).
func (f *flac) samples(b []byte) (int64, bool) {
	if len(b) < 6 || b[0] != 0xff || b[1]&0xfc != 0xf8 {
		return 0, true
	}
	switch code := int64(b[2] >> 4); {
	case code == 1:
		return 192, true
	case code >= 8:
		return 256 << (code - 8), true
	case code >= 6:
		return flacExplicit(b, code == 7), true
	case code >= 2:
		return 576 << (code - 2), true
	}
	return 0, true
}

// flacExplicit reads a block size that stands after the number of the frame, which is coded as in UTF-8: the ones its
// first byte begins with are the bytes it has.
func flacExplicit(b []byte, wide bool) int64 {
	at := 5
	for ones := b[4] << 1; b[4] >= 0xc0 && ones&0x80 != 0; ones <<= 1 {
		at++
	}
	switch {
	case at+2 > len(b):
		return 0
	case wide:
		return int64(binary.BigEndian.Uint16(b[at:])) + 1
	}
	return int64(b[at]) + 1
}
