package relay

import "bytes"

const (
	maxHeaders  = 256 << 10 // bytes of the header pages of one logical stream
	maxPageTime = 60        // seconds that a page may be worth
)

// oggCodec is what is in a logical stream. It belongs to that stream.
type oggCodec interface {
	name() string
	// header takes the n-th header packet, from 0 on. more: another one follows.
	header(n int, packet []byte) (more, ok bool)
	// title is what the comments say, UTF-8.
	title() string
	rate() int64
	// samples is what a packet is worth, of which b is the beginning. exact is false where it may be less.
	samples(b []byte) (n int64, exact bool)
}

// codecOf knows a codec by its first packet; nil: it does not.
func codecOf(packet []byte) oggCodec {
	switch {
	case bytes.HasPrefix(packet, []byte("\x01vorbis")):
		return new(vorbis)
	case bytes.HasPrefix(packet, []byte("OpusHead")):
		return new(opus)
	case bytes.HasPrefix(packet, []byte("\x7fFLAC")):
		return new(flac)
	}
	return nil
}

// oggLink is one logical stream of a chain; or all those that are multiplexed, whose time nothing here tells.
type oggLink struct {
	serial   uint32
	codec    oggCodec // nil: unknown
	mixed    bool     // several logical streams at a time
	preamble []byte   // the header pages
	complete bool     // there are no more of them
	told     bool     // a piece of it has gone out

	// While it begins.
	others int    // pages that are not first ones
	packet []byte // of the header, as far as it has come
	count  int    // header packets seen

	// Of the data.
	granule int64 // of the last packet that ended; -1 before the first
	carried int64 // what the packet is worth that goes on, on the next page
	loose   bool  // it may be less
}

func (l *oggLink) beginning() bool { return !l.complete && l.others == 0 }

func (l *oggLink) owns(serial uint32) bool { return l.mixed || l.serial == serial }

func (l *oggLink) multiplexed() { l.mixed, l.codec, l.packet = true, nil, nil }

// piece is a page as it goes on.
func (l *oggLink) piece(p *oggPage) piece {
	out := piece{bytes: len(p.raw), whole: true, link: l}
	if !l.complete {
		if out.header = l.isHeader(p); out.header {
			l.collect(p)
		} else {
			l.complete = true
		}
		if !l.complete {
			return out
		}
		if out.headers = l.preamble; len(l.preamble) > maxHeaders {
			l.preamble, l.codec = nil, nil
		}
	}
	out.begins, l.told = !l.told, true
	if l.codec != nil {
		out.codec, out.rate = l.codec.name(), l.codec.rate()
	}
	if !out.header {
		out.entry, out.pass = !p.continued, l.codec == nil
		out.samples = l.worth(p)
	}
	return out
}

// isHeader tells whether a page of a stream that begins is still one of its headers. Where the codec is unknown, data
// begins at the first page that tells a time. FLAC need not say how many headers it has, but its frames begin with a
// byte that no header begins with.
func (l *oggLink) isHeader(p *oggPage) bool {
	switch l.codec.(type) {
	case nil:
		return p.first || p.granule == 0 || p.granule == -1
	case *flac:
		return p.continued || len(p.body) == 0 || p.body[0] != 0xff
	}
	return true
}

// collect takes a header page.
func (l *oggLink) collect(p *oggPage) {
	l.preamble = append(l.preamble, p.raw...)
	if !p.first {
		l.others++
	}
	if (l.codec != nil || l.count == 0) && !l.mixed {
		p.packets(l.headerPart)
	}
	if len(l.preamble) > maxHeaders {
		l.complete = true
	}
	if l.complete {
		l.packet = nil
	}
}

func (l *oggLink) headerPart(part []byte, begins, ends bool) {
	if begins {
		l.packet = l.packet[:0]
	}
	l.packet = append(l.packet, part...)
	if !ends || l.complete {
		return
	}
	if l.count == 0 {
		l.codec = codecOf(l.packet)
	}
	if l.codec != nil {
		more, ok := l.codec.header(l.count, l.packet)
		if l.complete = ok && !more; !ok {
			l.codec = nil
		}
	}
	l.count++
}

// title is what its comments say; nil if they say none.
func (l *oggLink) title() *title {
	if l.codec == nil || l.codec.title() == "" {
		return nil
	}
	return &title{said: l.codec.title()}
}

// worth is how many samples a page of data carries: what its granule position is ahead of the last one, but no more
// than its packets hold, so that a gap, a stream joined in its middle and a position that is a lie are worth what
// arrived of them.
func (l *oggLink) worth(p *oggPage) int64 {
	if l.codec == nil {
		return 0
	}
	held, exact := l.held(p)
	if p.granule < 0 {
		return 0
	}
	n := p.granule - max(0, l.granule)
	l.granule = p.granule
	pre, _ := l.codec.(*opus)
	if n < 0 || n > held {
		if n = held; !exact {
			n = 0
		}
		if pre != nil {
			pre.skip = 0 // this is not the beginning
		}
	}
	if pre != nil {
		dropped := min(n, pre.skip)
		pre.skip -= dropped
		n -= dropped
	}
	return l.bounded(n)
}

func (l *oggLink) bounded(n int64) int64 { return min(n, maxPageTime*l.codec.rate()) }

// held is what the packets that end on a page are worth.
func (l *oggLink) held(p *oggPage) (n int64, exact bool) {
	exact = true
	if !p.continued {
		l.carried, l.loose = 0, false
	}
	p.packets(func(part []byte, begins, ends bool) {
		if begins {
			n, exact := l.codec.samples(part)
			l.carried, l.loose = n, !exact
		}
		if ends {
			n += l.carried
			exact = exact && !l.loose
			l.carried, l.loose = 0, false
		}
	})
	return n, exact
}
