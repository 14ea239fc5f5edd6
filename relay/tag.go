package relay

import "encoding/binary"

const (
	id3v2Header = 10
	id3v1Bytes  = 128
	apeHeader   = 32
	maxTag      = 16 << 20
)

// tagMarks are how the tags begin that may stand between frames, and how many bytes their length takes to tell.
var tagMarks = []struct {
	mark  string
	bytes int
	size  func(b []byte) int // 0: it is none after all
}{
	{"TAG", id3v2Header, func([]byte) int { return id3v1Bytes }},
	{"ID3", id3v2Header, id3v2Bytes},
	{"APETAGEX", apeHeader, apeBytes},
}

// tagBytes is the length of the tag that b begins with, 0 if there is none; ok is false when more bytes are needed to
// tell.
func tagBytes(b []byte) (n int, ok bool) {
	for _, t := range tagMarks {
		if seen := min(len(b), len(t.mark)); string(b[:seen]) != t.mark[:seen] {
			continue
		}
		if len(b) < t.bytes {
			return 0, false
		}
		return t.size(b), true
	}
	return 0, true
}

func id3v2Bytes(b []byte) int {
	size := 0
	for _, c := range b[6:10] {
		if c >= 0x80 {
			return 0
		}
		size = size<<7 | int(c)
	}
	if b[3] == 0xff || b[4] == 0xff || size > maxTag {
		return 0
	}
	if size += id3v2Header; b[5]&0x10 != 0 {
		size += id3v2Header // a footer
	}
	return size
}

// apeBytes reads the header of an APE tag; the size it tells is without it. What a footer tells lies before it, and has
// passed.
func apeBytes(b []byte) int {
	const isHeader = 1 << 29
	if binary.LittleEndian.Uint32(b[20:])&isHeader == 0 {
		return apeHeader
	}
	size := binary.LittleEndian.Uint32(b[12:])
	if size > maxTag {
		return 0
	}
	return apeHeader + int(size)
}
