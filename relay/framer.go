package relay

// piece is the next bytes of a stream that belong together.
type piece struct {
	bytes int
	frame frame // the zero frame: bytes that carry no time
	tag   bool  // an ID3 tag, or part of it
}

// framer tells the frames in a stream of bytes apart. It locks on when two headers of one kind follow each other.
type framer struct {
	lock  frame // the last header; the zero frame while it searches
	begun bool  // something has been seen
	tag   int   // bytes left of the tag it is in
}

const (
	id3v2Header = 10
	id3v1Bytes  = 128
	maxTag      = 16 << 20
)

// next is the next piece of b; ok is false when that takes more bytes to tell. b holds everything since the last piece.
func (f *framer) next(b []byte) (p piece, ok bool) {
	if len(b) == 0 {
		return piece{}, false
	}
	if f.tag > 0 {
		return f.inTag(b), true
	}
	if !f.begun || f.lock.bytes > 0 {
		if p, ok, done := f.atBoundary(b); done {
			return p, ok
		}
	}
	f.begun = true
	f.lock = frame{}
	return f.search(b)
}

func (f *framer) inTag(b []byte) piece {
	n := min(f.tag, len(b))
	f.tag -= n
	return piece{bytes: n, tag: true}
}

// atBoundary reads what may stand where a frame is due: the frame, or a tag. done is false if it is neither.
func (f *framer) atBoundary(b []byte) (p piece, ok, done bool) {
	if b[0] != 0xff {
		n, ok := tagBytes(b)
		switch {
		case !ok:
			return piece{}, false, true
		case n == 0:
			return piece{}, false, false
		}
		f.tag, f.begun = n, true
		return f.inTag(b), true, true
	}
	if f.lock.bytes == 0 {
		return piece{}, false, false
	}
	if len(b) < frameHeader {
		return piece{}, false, true
	}
	h, valid := parseFrame(b)
	if !valid || h.kind != f.lock.kind {
		return piece{}, false, false
	}
	if len(b) < h.bytes {
		return piece{}, false, true
	}
	f.lock = h
	return piece{bytes: h.bytes, frame: h}, true, true
}

// tagBytes is the length of the ID3 tag that b begins with, 0 if there is none; ok is false when more bytes are
// needed to tell.
func tagBytes(b []byte) (n int, ok bool) {
	const v1, v2 = "TAG", "ID3"
	mark := string(b[:min(len(b), 3)])
	if mark != v2[:len(mark)] && mark != v1[:len(mark)] {
		return 0, true
	}
	if len(b) < id3v2Header {
		return 0, false
	}
	if mark == v1 {
		return id3v1Bytes, true
	}
	size := 0
	for _, c := range b[6:10] {
		if c >= 0x80 {
			return 0, true
		}
		size = size<<7 | int(c)
	}
	if b[3] == 0xff || b[4] == 0xff || size > maxTag {
		return 0, true
	}
	if size += id3v2Header; b[5]&0x10 != 0 {
		size += id3v2Header // a footer
	}
	return size, true
}

// search looks for a header that another of its kind follows. What stands before is noise.
func (f *framer) search(b []byte) (piece, bool) {
	for i := range b {
		if b[i] != 0xff {
			continue
		}
		if len(b)-i < frameHeader {
			return noise(i)
		}
		h, valid := parseFrame(b[i:])
		if !valid {
			continue
		}
		if len(b)-i < h.bytes+frameHeader {
			return noise(i)
		}
		if second, valid := parseFrame(b[i+h.bytes:]); !valid || second.kind != h.kind {
			continue
		}
		if i > 0 {
			return noise(i)
		}
		f.lock = h
		return piece{bytes: h.bytes, frame: h}, true
	}
	return noise(len(b))
}

func noise(n int) (piece, bool) { return piece{bytes: n}, n > 0 }
