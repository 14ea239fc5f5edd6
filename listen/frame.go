package listen

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"earshot/session"
)

// Journal and spill files are runs of frames: length (4 bytes, little endian), CRC-32C of the payload (4 bytes), payload.
// A payload is a kind byte and fields: unsigned numbers as uvarints, signed ones zigzag, texts with their length before them.
// A file ends at its first frame that is cut short or does not match its sum: that is where the process died.

const (
	frameHead = 8
	maxFrame  = 64 << 10
)

// frameKind is the first byte of a payload.
type frameKind byte

const (
	frameWho      frameKind = 'W' // ref, start, who: an account the file will speak of; again when who it is has changed
	frameSlice    frameKind = 'S' // ref, slice: the whole of an open slice; a later one of the same id replaces it
	frameCoverage frameKind = 'C' // ref, intervals: what of the timeline the account has been given
	frameReason   frameKind = 'R' // ref, reason: why the session ended
	frameEvent    frameKind = 'E' // who, slice: a closed slice that is not in the store yet
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frames builds frames one after another.
type frames struct{ buf []byte }

func (f *frames) begin(kind frameKind) (start int) {
	start = len(f.buf)
	f.buf = append(f.buf, 0, 0, 0, 0, 0, 0, 0, 0, byte(kind))
	return start
}

// end closes a frame. One that a reader would refuse is left out: it would hide all that follows. What goes into frames is bounded
// where it comes in, so there is none.
func (f *frames) end(start int) {
	payload := f.buf[start+frameHead:]
	if len(payload) > maxFrame {
		f.buf = f.buf[:start]
		return
	}
	binary.LittleEndian.PutUint32(f.buf[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(f.buf[start+4:], crc32.Checksum(payload, castagnoli))
}

func (f *frames) uint(v uint64) { f.buf = binary.AppendUvarint(f.buf, v) }
func (f *frames) int(v int64)   { f.buf = binary.AppendVarint(f.buf, v) }
func (f *frames) text(s string) { f.uint(uint64(len(s))); f.buf = append(f.buf, s...) }

func (f *frames) who(w *Who) {
	for _, s := range [...]string{string(w.Key.ID), w.Key.Group, string(w.Kind), w.UserID, w.DeviceID, w.DeviceType,
		w.IP, w.UserAgent, w.Country, w.Edge} {
		f.text(s)
	}
}

func (f *frames) slice(e *Event) {
	f.text(e.ID)
	f.text(e.Stream)
	for _, v := range [...]int64{e.FromMS, e.TimeMS, e.Bytes, e.MediaMS, e.Offset} {
		f.int(v)
	}
}

func (f *frames) event(e *Event) {
	start := f.begin(frameEvent)
	f.who(&e.Who)
	f.slice(e)
	f.end(start)
}

// payload reads the fields of one frame in turn. After the first that is not there, bad stays set.
type payload struct {
	rest []byte
	bad  bool
}

func (p *payload) fail() { p.bad, p.rest = true, nil }

func (p *payload) uint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *payload) int() int64 {
	v, n := binary.Varint(p.rest)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *payload) text() string {
	n := p.uint()
	if n > uint64(len(p.rest)) {
		p.fail()
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

func (p *payload) who() (w Who) {
	w.Key.ID = session.ID(p.text())
	w.Key.Group = p.text()
	w.Kind = session.Kind(p.text())
	for _, s := range w.texts() {
		*s = p.text()
	}
	return w
}

func (p *payload) slice() (e Event) {
	e.ID = p.text()
	e.Stream = p.text()
	for _, v := range [...]*int64{&e.FromMS, &e.TimeMS, &e.Bytes, &e.MediaMS, &e.Offset} {
		*v = p.int()
	}
	return e
}

// errTorn marks the end of what can be read of a file whose writer was killed.
var errTorn = errors.New("torn frame")

// readFrames calls f with each payload until the end of r. A payload whose sum is right and whose fields are not was written by another
// version; it is f's to pass over. It returns how many bytes held whole frames; the error is
// errTorn (wrapped) if something else follows, or what reading or f returned.
func readFrames(r io.Reader, f func(frameKind, *payload) error) (good int64, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var head [frameHead]byte
	body := make([]byte, maxFrame)
	for {
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return good, nil
		} else if err != nil {
			return good, torn(good, err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n == 0 || n > maxFrame {
			return good, torn(good, fmt.Errorf("length %d", n))
		}
		if _, err := io.ReadFull(in, body[:n]); err != nil {
			return good, torn(good, err)
		}
		if crc32.Checksum(body[:n], castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return good, torn(good, errors.New("checksum does not match"))
		}
		p := &payload{rest: body[1:n]}
		if err := f(frameKind(body[0]), p); err != nil {
			return good, err
		}
		good += frameHead + int64(n)
	}
}

func torn(at int64, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("cut short")
	}
	return fmt.Errorf("%w at byte %d: %v", errTorn, at, err)
}
