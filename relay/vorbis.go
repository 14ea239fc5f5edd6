package relay

import (
	"encoding/binary"
	"math/bits"
)

// vorbis is Vorbis I in Ogg.
type vorbis struct {
	hz     int64
	blocks [2]int64 // samples of the short and the long block
	said   string
	modes  []byte // the block each mode has: 0 or 1; nil: not known
	last   int64  // samples of the block before; 0: there was none
}

func (v *vorbis) name() string  { return "vorbis" }
func (v *vorbis) title() string { return v.said }
func (v *vorbis) rate() int64   { return v.hz }

// plausibleRate keeps a few samples from being worth hours.
func plausibleRate(hz int64) bool { return hz >= 1000 && hz <= 1<<20 }

func (v *vorbis) header(n int, b []byte) (more, ok bool) {
	if len(b) < 7 || string(b[1:7]) != "vorbis" || int(b[0]) != 2*n+1 {
		return false, false
	}
	switch n {
	case 0:
		if len(b) < 30 || binary.LittleEndian.Uint32(b[7:]) != 0 {
			return false, false
		}
		v.hz = int64(binary.LittleEndian.Uint32(b[12:]))
		v.blocks = [2]int64{1 << (b[28] & 15), 1 << (b[28] >> 4)}
		return true, plausibleRate(v.hz) && v.blocks[0] >= 64 && v.blocks[1] <= 8192 && v.blocks[0] <= v.blocks[1]
	case 1:
		v.said = titleOf(b[7:])
		return true, true
	}
	v.modes = vorbisModes(b)
	return false, true
}

// samples: a block overlaps half of the one before, and the first yields nothing.
func (v *vorbis) samples(b []byte) (int64, bool) {
	if len(b) == 0 || b[0]&1 != 0 {
		return 0, true
	}
	if v.modes == nil {
		return v.blocks[1] / 2, false
	}
	mode := int(b[0]>>1) & (1<<bits.Len(uint(len(v.modes)-1)) - 1)
	if mode >= len(v.modes) {
		return 0, true
	}
	block, last := v.blocks[v.modes[mode]], v.last
	if v.last = block; last == 0 {
		return 0, true
	}
	return last/4 + block/4, true
}

// modeBits are the block flag, the window and the transform, which are both 0 in Vorbis I, and the mapping.
const (
	modeBits = 1 + 16 + 16 + 8
	maxModes = 64
)

// vorbisModes reads the modes at the end of a setup header. What stands before them can be found only by decoding all
// of it, so they are read from the end: as many as look like modes and stand after their own number. The most of them
// are right: where fewer fit too, that is by chance.
func vorbisModes(b []byte) (modes []byte) {
	r := backward{b, 8 * len(b)}
	for r.left > 0 && r.read(1) == 0 { // padding, up to the framing bit
	}
	var flags []byte // the last mode first
	for len(flags) < maxModes && r.left >= modeBits+6 {
		mapping, transform, window := r.read(8), r.read(16), r.read(16)
		if mapping > 63 || transform != 0 || window != 0 {
			break
		}
		flags = append(flags, byte(r.read(1)))
		if before := r; before.read(6) == uint32(len(flags)-1) {
			modes = modes[:0]
			for i := len(flags) - 1; i >= 0; i-- {
				modes = append(modes, flags[i])
			}
		}
	}
	return modes
}

// backward reads fields from the end of a packet, whose bits are packed from the lowest of each byte on.
type backward struct {
	b    []byte
	left int // bits
}

// read is the field of n bits before the last one read. There must be so many left.
func (r *backward) read(n int) (v uint32) {
	for range n {
		r.left--
		v = v<<1 | uint32(r.b[r.left/8]>>(r.left%8)&1)
	}
	return v
}
