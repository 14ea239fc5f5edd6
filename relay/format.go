package relay

import "bytes"

// piece is the next bytes of a stream that belong together.
type piece struct {
	bytes   int
	whole   bool   // a frame or a page: never split
	tag     bool   // an ID3 or APE tag, or part of it
	pass    bool   // nothing tells its time but the bitrate or the clock
	entry   bool   // a decoder can begin here
	codec   string // of a frame or a page, if known
	samples int64  // that it is worth, at rate; 0: it carries no time
	rate    int64

	// Ogg.
	link    *oggLink // the logical stream of a page
	begins  bool     // the first piece of a logical stream that goes out
	header  bool     // a header page, which goes out in headers once all are there; or noise among them
	headers []byte   // all header pages of the logical stream that begins: they go before this piece
}

// splitter tells the pieces of a stream apart. next is the next piece of b, which holds everything since the last one;
// ok is false when that takes more bytes to tell.
type splitter interface {
	next(b []byte) (p piece, ok bool)
}

// passer is for formats whose pieces are not known.
type passer struct{}

func (passer) next(b []byte) (piece, bool) {
	return piece{bytes: len(b), pass: true, entry: true}, len(b) > 0
}

// sniffed is how much of a stream is looked at to tell its format where neither its type nor its first bytes do.
const sniffed = 8 << 10

// formatOf tells the format by how a stream begins, and by its type only where that says nothing: origins do not always
// name it right. It is nil while more bytes are needed; last: there will be no more.
func formatOf(b []byte, f family, last bool) splitter {
	const page = oggMark + "\x00" // of the only version there is
	if len(b) < len(page) && !last {
		return nil
	}
	for _, native := range []string{"fLaC", "RIFF", "\x1aE\xdf\xa3"} {
		if bytes.HasPrefix(b, []byte(native)) {
			return passer{}
		}
	}
	switch {
	case bytes.HasPrefix(b, []byte(page)):
		return new(oggFramer)
	case f == mpeg || f == aac:
		return new(framer)
	case bytes.Contains(b, []byte(page)):
		return new(oggFramer)
	case holdsFrames(b):
		return new(framer)
	case len(b) < sniffed && !last:
		return nil
	case f == ogg:
		return new(oggFramer)
	}
	return passer{}
}

// holdsFrames looks for three headers in a row: two may be chance where no frames are expected.
func holdsFrames(b []byte) bool {
	for i := range b {
		if b[i] != 0xff {
			continue
		}
		n, at, kind := 0, i, uint32(0)
		for n < 3 && at+frameHeader <= len(b) {
			h, valid := parseFrame(b[at:])
			if !valid || n > 0 && h.kind != kind {
				break
			}
			n, at, kind = n+1, at+h.bytes, h.kind
		}
		if n == 3 {
			return true
		}
	}
	return false
}
