package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	oggFirst = 0x02 // flag: the first page of a logical stream
	oggLast  = 0x04 // flag: the last
)

// filePage is the head of a page at an offset of a file.
type filePage struct {
	head  []byte // with the lacing values
	bytes int64  // of the whole page
}

func readPageHead(r io.ReaderAt, at int64, b []byte) (filePage, error) {
	n, err := r.ReadAt(b[:oggHeader+255], at)
	if n < oggHeader || string(b[:4]) != oggMark || n < oggHeader+int(b[26]) {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("no Ogg page at byte %d", at)
		}
		return filePage{}, err
	}
	p := filePage{head: b[:oggHeader+int(b[26])]}
	p.bytes = int64(len(p.head))
	for _, lacing := range p.head[oggHeader:] {
		p.bytes += int64(lacing)
	}
	return p, nil
}

func (p filePage) serial() uint32 { return binary.LittleEndian.Uint32(p.head[14:]) }

// measureOgg walks the pages: how many bits a second they are on average, and where the last whole page ends.
func measureOgg(r io.ReaderAt, size int64) (bits, end int64, err error) {
	b := make([]byte, oggHeader+255)
	var total time.Duration
	var rate, last, serial int64
	for end < size {
		p, err := readPageHead(r, end, b)
		if err != nil && end == 0 {
			return 0, 0, err
		}
		if err != nil || end+p.bytes > size {
			break // what is broken off, or no page, is left out
		}
		if p.head[5]&oggFirst != 0 {
			if hz := oggRate(r, end+int64(len(p.head))); hz > 0 {
				total += oggTime(last, rate)
				rate, last, serial = hz, 0, int64(p.serial())
			}
		} else if granule := int64(binary.LittleEndian.Uint64(p.head[6:])); int64(p.serial()) == serial && granule > last {
			last = granule
		}
		end += p.bytes
	}
	if total += oggTime(last, rate); total < time.Millisecond {
		return 0, 0, errors.New("an Ogg file without Vorbis, Opus or FLAC, or without time")
	}
	return int64(float64(end) * 8 / total.Seconds()), end, nil
}

func oggTime(samples, rate int64) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(samples) / float64(rate) * float64(time.Second))
}

// oggRate is the samples per second of the granule positions of a logical stream, by its first packet; 0 for what is
// no audio that is known.
func oggRate(r io.ReaderAt, at int64) int64 {
	b := make([]byte, 64)
	n, _ := r.ReadAt(b, at)
	switch c := codecOf(b[:n]); {
	case c == nil:
		return 0
	case c.name() == "opus":
		return 48000 // RFC 7845, 4
	case c.name() == "vorbis" && n >= 16:
		return int64(binary.LittleEndian.Uint32(b[12:]))
	case c.name() == "flac" && n >= 30:
		return int64(b[27])<<12 | int64(b[28])<<4 | int64(b[29])>>4 // STREAMINFO after 9 bytes of mapping, "fLaC" and its own header
	}
	return 0
}

// readOgg gives the pages of each round serial numbers of their own, so that a round is a link of a chained stream and
// no repetition of pages, which players drop.
func (f *audioFile) readOgg(b []byte) (int, error) {
	if len(f.page) == 0 {
		if err := f.nextPage(); err != nil {
			return 0, err
		}
	}
	n := copy(b, f.page)
	f.page = f.page[n:]
	return n, nil
}

func (f *audioFile) nextPage() error {
	head := make([]byte, oggHeader+255)
	p, err := readPageHead(f.File, f.from+f.at, head)
	if err != nil {
		return err
	}
	f.page = make([]byte, p.bytes)
	if n, err := f.ReadAt(f.page, f.from+f.at); n < len(f.page) {
		return unlessRead(0, err)
	}
	round := f.round
	if f.advance(p.bytes); f.round != round {
		f.page[5] |= oggLast // also where the file was broken off
	}
	renumber(f.page, p.serial()+round*0x9e3779b9) // far apart: the streams of one file may be numbered one by one
	return nil
}

// renumber gives a page another serial number, and the checksum that goes with it.
func renumber(page []byte, serial uint32) {
	binary.LittleEndian.PutUint32(page[14:], serial)
	binary.LittleEndian.PutUint32(page[22:], oggChecksum(page))
}
