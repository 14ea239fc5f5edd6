package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The form of the AAC clips. At 48 kHz a frame is a whole number of ticks of the 90 kHz clock of MPEG, and a segment
// a whole number of milliseconds, so neither timestamps nor EXTINF are ever rounded.
const (
	sampleRate    = 48000
	samplesPerAAC = 1024 // ISO/IEC 14496-3, AAC-LC
)

var errADTS = errors.New("not ADTS")

// adtsFrame returns the size in bytes of the ADTS frame that b begins with (ISO/IEC 13818-7, 6.2).
func adtsFrame(b []byte) (int, error) {
	if len(b) < 7 || b[0] != 0xFF || b[1]&0xF6 != 0xF0 {
		return 0, errADTS
	}
	n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	if n < 7 || n > len(b) {
		return 0, fmt.Errorf("%w: a frame of %d bytes where %d are left", errADTS, n, len(b))
	}
	return n, nil
}

// cutADTS cuts a clip into pieces of the given number of frames. The clip must be a whole number of pieces.
func cutADTS(clip []byte, frames int) ([][]byte, error) {
	var pieces [][]byte
	for len(clip) > 0 {
		size := 0
		for range frames {
			n, err := adtsFrame(clip[size:])
			if err != nil {
				return nil, fmt.Errorf("piece %d at byte %d: %w", len(pieces), size, err)
			}
			size += n
		}
		pieces = append(pieces, clip[:size:size])
		clip = clip[size:]
	}
	return pieces, nil
}

// timestampOwner names the PRIV frame that places packed audio on the timeline (RFC 8216, 3.4).
const timestampOwner = "com.apple.streaming.transportStreamTimestamp"

// timestampTag returns the ID3v2.4 tag a packed audio segment begins with: one PRIV frame with the time of its first
// sample in 90 kHz ticks, of which 33 bits are kept, big-endian in eight bytes.
func timestampTag(ticks uint64) []byte {
	const header, value = 10, 8 // an ID3 header and a frame header are ten bytes each
	frame := len(timestampOwner) + 1 + value
	tag := make([]byte, 0, header+header+frame)
	tag = append(tag, "ID3\x04\x00\x00\x00\x00\x00"...)
	tag = append(tag, byte(header+frame)) // sizes are syncsafe integers; both are below 128, one byte
	tag = append(tag, "PRIV\x00\x00\x00"...)
	tag = append(tag, byte(frame), 0, 0)
	tag = append(tag, timestampOwner...)
	tag = append(tag, 0)
	return binary.BigEndian.AppendUint64(tag, ticks&(1<<33-1))
}
