package admin

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
)

// Against sorting everything: the page is the next limit places, each row sums all its visits, and memory is bounded.
func TestPageEqualsSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var visits, all []place
		for range rng.IntN(400) {
			visits = append(visits, place{fmt.Sprint(rng.IntN(12)), fmt.Sprint(rng.IntN(40))})
		}
		all = slices.Compact(slices.SortedFunc(slices.Values(visits), place.compare))
		limit := 1 + rng.IntN(20)
		var got []place
		for next := ""; ; {
			p, bad := newPage[struct {
				place
				visits int
			}]("x", url.Values{"limit": {fmt.Sprint(limit)}, "after": {next}})
			if bad != nil {
				t.Fatal(bad.Detail)
			}
			for _, k := range visits {
				if row := p.at(k); row != nil {
					row.place = k
					row.visits++
				}
				if len(p.rows) > 2*(limit+1) {
					t.Fatalf("%d rows held for a page of %d", len(p.rows), limit)
				}
			}
			rows, cursor := p.close()
			for _, row := range rows {
				got = append(got, row.place)
				if want := count(visits, row.place); row.visits != want {
					t.Fatalf("%v summed %d of %d", row.place, row.visits, want)
				}
			}
			if next = cursor; next == "" {
				break
			}
			if len(rows) != limit {
				t.Fatalf("%d rows on a page of %d that is not the last", len(rows), limit)
			}
		}
		if !slices.Equal(got, all) {
			t.Fatalf("limit %d: got %v\nwant %v", limit, got, all)
		}
	}
}

func count(in []place, k place) (n int) {
	for _, v := range in {
		if v == k {
			n++
		}
	}
	return n
}

func FuzzCursor(f *testing.F) {
	p := &page[int]{list: "s"}
	for _, k := range []place{{}, {"news", "id"}, {"", "\x00\xff"}, {"\xff", ""}, {string(make([]byte, 300)), "x"}} {
		f.Add(p.cursor(k))
	}
	f.Add("c4CAgICAgICAgIAB")
	f.Fuzz(func(t *testing.T, text string) {
		k, ok := p.parseCursor(text)
		if !ok {
			return
		}
		if again, ok := p.parseCursor(p.cursor(k)); !ok || again != k {
			t.Errorf("%q reads as %q, and written again as %q", text, k, again)
		}
	})
}
