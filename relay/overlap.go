package relay

import (
	"bytes"
	"slices"
	"sort"
	"time"
)

const (
	maxPast    = 1 << 20     // bytes looked back at, and held at most
	maxHold    = time.Second // and how long
	probeBytes = 64          // that are looked for in the past
	maxStarts  = 1024        // places where they may be found; more is silence
	minRepeat  = 512         // bytes of frames that must be equal: fewer may be chance, or silence
)

// overlap finds out how much of what a run begins with has been relayed before: an Icecast sends its burst again to
// whoever reconnects. The run is held back while what came of it is found in the past. It is a repeat if it goes on so
// to the past's very end; nothing else is left out. Where it fits in several ways, as in silence, the least is left
// out: to hear a moment of silence twice is better than to miss anything.
type overlap struct {
	past     []byte // what was published, the newest last
	preamble []byte // header pages that its end belongs to

	until    time.Time // it is decided; zero: nothing is held yet
	held     []heldUnit
	data     []byte // of held, but for header pages that come first: they are no part of a burst
	starts   []int  // where in past data may lie, the latest first
	probed   bool
	compared int // bytes of data that are equal at starts
	skip     int // bytes of data that are a repeat
}

// heldUnit lies in data from..to; its header pages, if any, before from.
type heldUnit struct {
	unit
	from, to int
}

// past is the newest that was published, limit bytes at most, and the header pages that its end belongs to.
func (r *ring) past(limit int) (data, preamble []byte) {
	r.mu.Lock()
	first, n := len(r.chunks), 0
	for first > 0 && n+len(r.chunks[first-1].data) <= limit {
		first--
		n += len(r.chunks[first].data)
	}
	newest := slices.Clone(r.chunks[first:])
	r.mu.Unlock()
	data = make([]byte, 0, n)
	for _, c := range newest {
		data = append(data, c.data...)
		if preamble = c.preamble; preamble == nil && beginsLink(c.data) {
			preamble = c.data
		}
	}
	return data, preamble
}

// beginsLink tells whether a chunk holds the header pages of a logical stream.
func beginsLink(b []byte) bool {
	return len(b) >= oggHeader && string(b[:4]) == oggMark && b[5]&2 != 0
}

// resume is called before the first audio, with what was published before this run.
func (a *assembler) resume(past, preamble []byte) {
	if len(past) > 0 {
		a.overlap = &overlap{past: past, preamble: preamble}
	}
}

// take holds a unit. It reports whether it is decided how much is a repeat.
func (o *overlap) take(u unit, now time.Time) (decided bool) {
	if o.until.IsZero() {
		o.until = now.Add(maxHold)
	}
	if len(o.held) > 0 {
		o.data = append(o.data, u.headers...)
	}
	from := len(o.data)
	o.data = append(o.data, u.data...)
	u.data = nil
	o.held = append(o.held, heldUnit{u, from, len(o.data)})
	switch {
	case len(o.data) > maxPast:
		o.starts = nil
		return true
	case len(o.data) < probeBytes:
		return false
	case !o.probed:
		o.probe()
	}
	o.compare()
	return o.skip > 0 || len(o.starts) == 0
}

// probe finds where in the past the data may begin.
func (o *overlap) probe() {
	o.probed = true
	mark := o.data[:probeBytes]
	for end := len(o.past); len(o.starts) < maxStarts; {
		at := bytes.LastIndex(o.past[:end], mark)
		if at < 0 {
			return
		}
		o.starts = append(o.starts, at)
		end = at + probeBytes - 1
	}
}

// compare keeps the starts that what has come since the last time goes on from, until one has come to the past's end.
func (o *overlap) compare() {
	came, kept := o.data[o.compared:], o.starts[:0]
	for _, start := range o.starts {
		rest := o.past[start+o.compared:]
		if !bytes.Equal(rest[:min(len(rest), len(came))], came[:min(len(rest), len(came))]) {
			continue
		}
		if len(rest) > len(came) {
			kept = append(kept, start)
		} else if n := len(o.past) - start; o.skip == 0 && o.mayEnd(n) {
			o.skip = n
		}
	}
	o.starts, o.compared = kept, len(o.data)
}

// mayEnd tells whether the first n bytes may be left out: they are enough, and no frame or page is split.
func (o *overlap) mayEnd(n int) bool {
	i := sort.Search(len(o.held), func(i int) bool { return o.held[i].to >= n })
	u := o.held[i]
	return (n >= minRepeat || u.link != nil) && (u.to == n || !u.whole)
}

// end decides when no more comes: a run that broke off within what is found in the past brought nothing new.
func (o *overlap) end() {
	if len(o.starts) > 0 && len(o.data) >= minRepeat {
		o.skip = len(o.data)
	}
}

// settle lets go what was held, but for the repeat. Header pages that listeners have had last do not go out again.
func (a *assembler) settle(now time.Time) {
	o := a.overlap
	a.overlap = nil
	n, begun := 0, unit{}
	for ; o.skip > 0 && n < len(o.held) && o.held[n].to <= o.skip; n++ {
		u := o.held[n].unit
		a.name(u.piece)
		if u.headers != nil {
			begun = u
		}
	}
	switch {
	case n == 0 && len(o.held) > 0:
		o.known(&o.held[0].unit)
	case begun.headers != nil && !o.known(&begun):
		a.place(begun, now)
	}
	for _, h := range o.held[n:] {
		h.data = o.data[max(h.from, o.skip):h.to]
		a.place(h.unit, now)
	}
	a.ticked = now
}

// known takes the header pages off a unit if listeners have had the same last.
func (o *overlap) known(u *unit) bool {
	if u.headers == nil || !bytes.Equal(u.headers, o.preamble) {
		return false
	}
	u.headers, u.link.preamble = nil, o.preamble
	return true
}
