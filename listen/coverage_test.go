package listen

import (
	"math/rand/v2"
	"testing"
)

// TestCoverageAgainstBits compares with a set of single units.
func TestCoverageAgainstBits(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var c coverage
		bits := make(map[[2]int64]bool)
		for range 300 {
			axis, from := rng.Uint64N(3), rng.Int64N(400)-200
			to := from + rng.Int64N(30)
			want := int64(0)
			for u := from; u < to; u++ {
				if k := [2]int64{int64(axis), u}; !bits[k] {
					bits[k] = true
					want++
				}
			}
			if got := c.add(interval{axis: axis, from: from, to: to}); got != want {
				t.Fatalf("seed %d: add(%d, %d, %d) = %d fresh, want %d", seed, axis, from, to, got, want)
			}
			checkCoverage(t, c)
		}
	}
}

func checkCoverage(t *testing.T, c coverage) {
	t.Helper()
	for i, v := range c {
		if v.from >= v.to {
			t.Fatalf("empty interval %v", v)
		}
		if i > 0 && (c[i-1].axis > v.axis || c[i-1].axis == v.axis && c[i-1].to >= v.from) {
			t.Fatalf("%v and %v are out of order, or touch", c[i-1], v)
		}
	}
}

func TestCoverageIsBounded(t *testing.T) {
	var c coverage
	for i := range int64(10_000) {
		c.add(interval{1, 10 * i, 10*i + 5, i})
		if len(c) > maxIntervals {
			t.Fatalf("%d intervals", len(c))
		}
	}
	checkCoverage(t, c)
	if fresh := c.add(interval{1, 99_990, 99_995, 10_000}); fresh != 0 {
		t.Errorf("the newest was forgotten: %d fresh", fresh)
	}
	if fresh := c.add(interval{1, 0, 5, 10_000}); fresh != 5 {
		t.Errorf("the oldest was kept: %d fresh", fresh)
	}
	for axis := range uint64(2000) {
		c.add(interval{axis + 10, 0, 1, 10_001})
		checkCoverage(t, c)
	}
	if len(c) > maxIntervals {
		t.Errorf("%d intervals on many axes", len(c))
	}
}

func BenchmarkCoverageLive(b *testing.B) {
	var c coverage
	at := int64(0)
	for b.Loop() {
		c.add(interval{1, at, at + 250, at})
		at += 250
	}
}

// TestNewest: what was heard last is kept for the journal, whatever axis it is on.
func TestNewest(t *testing.T) {
	var c coverage
	for i := range int64(20) {
		c.add(interval{1<<63 | uint64(i), 0, 100, i})
	}
	c.add(interval{1, 500, 600, 30})
	c.add(interval{2, 0, 1, 25})
	kept := c.newest(3)
	if len(kept) != 3 || kept[0].axis != 1 || kept[1].axis != 2 || kept[2].axis != 1<<63|19 {
		t.Errorf("kept %v", kept)
	}
}
