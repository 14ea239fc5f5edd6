package relay

// framer tells the frames in a stream of bytes apart. It locks on when two headers of one kind follow each other.
type framer struct {
	lock  frame // the last header; the zero frame while it searches
	begun bool  // something has been seen
	tag   int   // bytes left of the tag it is in
}

// next is the next piece of b; ok is false when that takes more bytes to tell. b holds everything since the last piece.
func (f *framer) next(b []byte) (p piece, ok bool) {
	if len(b) == 0 {
		return piece{}, false
	}
	if f.tag > 0 {
		return f.inTag(b, false), true
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

// inTag takes what there is of a tag.
func (f *framer) inTag(b []byte, first bool) piece {
	n := min(f.tag, len(b))
	f.tag -= n
	return piece{bytes: n, tag: true, entry: first}
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
		return f.inTag(b, true), true, true
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
	return h.piece(), true, true
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
		return h.piece(), true
	}
	return noise(len(b))
}

func noise(n int) (piece, bool) { return piece{bytes: n}, n > 0 }
