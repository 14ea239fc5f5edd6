package e2e

import (
	"cmp"
	"slices"
	"time"
)

// receipt is a run of bytes that a listener took from his socket, or that his kernel may have held when he left.
type receipt struct {
	at    time.Time
	run   int // of the edge: how often it had been started before
	bytes int64

	// What of the media the bytes are: a share of a moment. moment 0: none, as init sections and renditions.
	moment   int64
	seconds  float64 // of the whole moment
	from, to float64 // 0 to 1
}

// ledger is everything one listener received that is to be counted.
type ledger struct {
	read []receipt
	held []receipt // upper bounds: what the kernel had taken from the edge and the listener did not read
}

// span are the bounds of what the edge may have counted.
type span struct{ least, most float64 }

func (s span) holds(v, tolerance float64) bool {
	return v >= s.least-tolerance && v <= s.most+tolerance
}

// bytes are exact but for what kernels held.
func (l *ledger) bytes() span {
	least := total(l.read)
	return span{float64(least), float64(least + total(l.held))}
}

// seconds is distinct media time.
func (l *ledger) seconds() span {
	return span{distinct(l.read), distinct(slices.Concat(l.read, l.held))}
}

func total(receipts []receipt) (bytes int64) {
	for _, r := range receipts {
		bytes += r.bytes
	}
	return bytes
}

// distinct is the media time of the union of the receipts: a moment counts once, however often and at whatever bitrate it came.
func distinct(receipts []receipt) (seconds float64) {
	moments := make(map[int64][]receipt)
	for _, r := range receipts {
		if r.moment != 0 {
			moments[r.moment] = append(moments[r.moment], r)
		}
	}
	for _, of := range moments {
		slices.SortFunc(of, func(a, b receipt) int { return cmp.Compare(a.from, b.from) })
		upTo := 0.0
		for _, r := range of {
			if r.to > upTo {
				seconds += r.seconds * (r.to - max(r.from, upTo))
				upTo = r.to
			}
		}
	}
	return seconds
}

// first and last are when the first and the last byte were read.
func (l *ledger) first() time.Time { return l.read[0].at }
func (l *ledger) last() time.Time  { return l.read[len(l.read)-1].at }
