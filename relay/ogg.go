package relay

import (
	"bytes"
	"encoding/binary"
)

const (
	oggMark       = "OggS"
	oggHeader     = 27 // bytes of a page before its segment table
	maxPageFaults = 16 // claimed pages in a row whose checksum is wrong that are searched for a page inside them
)

// oggPage is a page of Ogg (RFC 3533).
type oggPage struct {
	continued bool  // it begins within a packet
	first     bool  // of its logical stream
	granule   int64 // -1: no packet ends on it
	serial    uint32
	segments  []byte // lengths
	body      []byte
	raw       []byte
}

// pageBytes is how long the page at the beginning of b claims to be; 0 if it is none; ok is false when more bytes are
// needed to tell.
func pageBytes(b []byte) (n int, ok bool) {
	if len(b) > 4 && b[4] != 0 || len(b) > 5 && b[5] > 7 {
		return 0, true
	}
	if len(b) < oggHeader {
		return 0, false
	}
	table := int(b[26])
	if len(b) < oggHeader+table {
		return 0, false
	}
	n = oggHeader + table
	for _, s := range b[oggHeader : oggHeader+table] {
		n += int(s)
	}
	return n, true
}

// parsePage reads a whole page; ok is false if its checksum is wrong.
func parsePage(b []byte) (p oggPage, ok bool) {
	if oggChecksum(b) != binary.LittleEndian.Uint32(b[22:]) {
		return oggPage{}, false
	}
	table := oggHeader + int(b[26])
	return oggPage{continued: b[5]&1 != 0, first: b[5]&2 != 0,
		granule: int64(binary.LittleEndian.Uint64(b[6:])), serial: binary.LittleEndian.Uint32(b[14:]),
		segments: b[oggHeader:table], body: b[table:], raw: b}, true
}

// oggTable is for CRC-32 with the bits in the order of Ogg, which is not that of hash/crc32.
var oggTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			top := c >> 31
			c = c<<1 ^ top*0x04c11db7
		}
		t[i] = c
	}
	return t
}()

// oggChecksum is that of a page, its own four bytes taken as zero.
func oggChecksum(page []byte) (c uint32) {
	sum := func(b []byte) {
		for _, x := range b {
			c = c<<8 ^ oggTable[byte(c>>24)^x]
		}
	}
	sum(page[:22])
	sum([]byte{0, 0, 0, 0})
	sum(page[26:])
	return c
}

// packets calls take with the parts of packets on a page. Each begins here or, the first, on a page before, and ends
// here or, the last, on a later one.
func (p *oggPage) packets(take func(part []byte, begins, ends bool)) {
	begins, from, to := !p.continued, 0, 0
	for i, s := range p.segments {
		to += int(s)
		if s == 255 && i < len(p.segments)-1 {
			continue
		}
		take(p.body[from:to], begins, s < 255)
		from, begins = to, true
	}
}

// oggFramer tells the pages in a stream of bytes apart, and keeps the logical stream they belong to.
type oggFramer struct {
	link   *oggLink
	faults int
}

func (f *oggFramer) next(b []byte) (piece, bool) {
	if at := bytes.Index(b, []byte(oggMark)); at != 0 {
		return f.noise(b, at)
	}
	n, ok := pageBytes(b)
	switch {
	case !ok || len(b) < n:
		return piece{}, false
	case n == 0:
		return f.pass(len(oggMark))
	}
	p, ok := parsePage(b[:n])
	if !ok {
		return f.fault(b[:n])
	}
	f.faults = 0
	return f.page(&p), true
}

// noise is what stands before the next mark; without one the end of b may be the beginning of it.
func (f *oggFramer) noise(b []byte, at int) (piece, bool) {
	if at < 0 {
		at = len(b)
		for n := 1; n < len(oggMark) && n <= len(b); n++ {
			if bytes.HasSuffix(b, []byte(oggMark[:n])) {
				at = len(b) - n
			}
		}
	}
	return f.pass(at)
}

// pass is n bytes of noise. Among header pages it would stand before them, and goes.
func (f *oggFramer) pass(n int) (piece, bool) {
	return piece{bytes: n, header: f.link != nil && !f.link.complete}, n > 0
}

// fault passes what is no page after all: up to where one may begin inside it, as when a source was cut off within a
// page and another goes on. It does not check the same bytes again without end.
func (f *oggFramer) fault(b []byte) (piece, bool) {
	f.faults++
	if at := bytes.Index(b[1:], []byte(oggMark)); at >= 0 && f.faults <= maxPageFaults {
		return f.pass(1 + at)
	}
	return f.pass(len(b))
}

// page finds the logical stream of a page. One that begins among the first pages of another is multiplexed with it.
// One whose beginning was not seen has no headers to begin with.
func (f *oggFramer) page(p *oggPage) piece {
	switch l := f.link; {
	case p.first && l != nil && l.beginning():
		l.multiplexed()
	case p.first:
		f.link = &oggLink{serial: p.serial, granule: -1}
	case l == nil || !l.owns(p.serial):
		f.link = &oggLink{serial: p.serial, granule: -1, complete: true}
	}
	return f.link.piece(p)
}
