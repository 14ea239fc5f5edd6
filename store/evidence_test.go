package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/blackout"
)

func evidenceIsWhole(t *testing.T, k, other keeper) {
	want := []blackout.Evidence{{At: time.UnixMilli(1_700_000_000_123).UTC(), Rule: "derby", Action: "cut", SessionID: "s", Group: "news", UserID: "ann",
		DeviceID: "d", DeviceType: "stb", IP: "2001:db8::1", Edge: "edge-7", Times: 1 << 40,
		Place: blackout.Place{Country: "US", Subdivision: "CA", Metro: "803", Postal: "90001"}}}
	for i, x := range awkwardTexts {
		want = append(want, blackout.Evidence{At: time.UnixMilli(1_700_000_000_124 + int64(i)).UTC(), Rule: x, Action: x, SessionID: x, Group: x, UserID: x,
			DeviceID: x, DeviceType: x, IP: x, Edge: x, Place: blackout.Place{Country: x, Subdivision: x, Metro: x, Postal: x}})
	}
	must(t, k.AppendEvidence(t.Context(), want))
	got, err := other.Evidence(t.Context(), blackout.EvidenceQuery{})
	must(t, err)
	for i := range got {
		if got[i].ID <= 0 || i > 0 && got[i].ID == got[i-1].ID {
			t.Errorf("the id of row %d is %d", i, got[i].ID)
		}
		got[i].ID = 0
	}
	same(t, "evidence", got, want)
	for _, x := range awkwardTexts[1:] {
		for _, q := range []blackout.EvidenceQuery{{Rule: x}, {Group: x}, {User: x}, {SessionID: x}} {
			if got, err := k.Evidence(t.Context(), q); err != nil || len(got) != 1 || got[0].Rule != x {
				t.Errorf("%+v: %+v, %v; want one", q, got, err)
			}
		}
	}
}

// someEvidence is out of order of time, with many rows in one millisecond, and each name in some of its rows.
func someEvidence() (all []blackout.Evidence) {
	for i := range 240 {
		all = append(all, blackout.Evidence{At: time.UnixMilli(int64(1000 + i*7%24)).UTC(), Rule: fmt.Sprint("r", i%3), Action: "refused",
			Group: fmt.Sprint("g", i%4), UserID: []string{"", "ann", "bob"}[i/5%3], SessionID: []string{"s", "", "t", "u"}[i/7%4], Times: i})
	}
	return all
}

// pages reads all pages of a query and returns the numbers (Times) of the rows.
func pages(t *testing.T, k keeper, q blackout.EvidenceQuery) (got []int) {
	t.Helper()
	for {
		page, err := k.Evidence(t.Context(), q)
		must(t, err)
		if len(page) > q.Limit {
			t.Fatalf("a page of %d, want at most %d", len(page), q.Limit)
		}
		for _, e := range page {
			got = append(got, e.Times)
		}
		if len(page) < q.Limit {
			return got
		}
		q.After = page[len(page)-1].ID
	}
}

func evidencePages(t *testing.T, k, _ keeper) {
	all := someEvidence()
	must(t, k.AppendEvidence(t.Context(), all))
	slices.SortStableFunc(all, func(a, b blackout.Evidence) int { return a.At.Compare(b.At) })
	for _, q := range []blackout.EvidenceQuery{{}, {Rule: "r1"}, {Group: "g2"}, {User: "ann"}, {SessionID: "t"}, {Rule: "r0", Group: "g3"},
		{User: "bob", SessionID: "u", Rule: "r2", Group: "g1"}, {Rule: "r2", User: "ann"}, {Group: "g0", SessionID: "s"}, {Rule: "none"},
		{From: time.UnixMilli(1007), To: time.UnixMilli(1012)}, {Rule: "r1", From: time.UnixMilli(1003)}, {Group: "g2", To: time.UnixMilli(1009)}} {
		var want []int
		for _, e := range all {
			if is(q.Rule, e.Rule) && is(q.Group, e.Group) && is(q.User, e.UserID) && is(q.SessionID, e.SessionID) &&
				!e.At.Before(q.From) && (q.To.IsZero() || e.At.Before(q.To)) {
				want = append(want, e.Times)
			}
		}
		if (len(want) == 0) != (q.Rule == "none") {
			t.Fatalf("%+v: nothing to prove", q)
		}
		for _, q.Limit = range []int{1, 7, 10, 1000} {
			same(t, fmt.Sprintf("pages of %+v", q), pages(t, k, q), want)
		}
	}
}

func is(wanted, has string) bool { return wanted == "" || wanted == has }

func evidenceOfATime(t *testing.T, k, _ keeper) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	must(t, k.AppendEvidence(t.Context(), []blackout.Evidence{{At: at(10)}, {At: at(20)}, {At: at(30)}}))
	for _, c := range []struct {
		from, to time.Time
		want     int
	}{
		{at(10), at(30), 2}, {at(11), at(31), 2}, {at(11), at(30), 1}, {at(31), time.Time{}, 0}, {time.Time{}, at(10), 0}, {at(30), at(10), 0},
		{time.Time{}, time.Time{}, 3},
	} {
		if got, err := k.Evidence(t.Context(), blackout.EvidenceQuery{From: c.from, To: c.to}); err != nil || len(got) != c.want {
			t.Errorf("from %v to %v: %d rows, %v; want %d", c.from, c.to, len(got), err, c.want)
		}
	}
	// After a row of before From, a page begins at From.
	first, err := k.Evidence(t.Context(), blackout.EvidenceQuery{Limit: 1})
	must(t, err)
	if got, err := k.Evidence(t.Context(), blackout.EvidenceQuery{From: at(30), After: first[0].ID}); err != nil || len(got) != 1 {
		t.Errorf("after the first and from the last: %d rows, %v; want 1", len(got), err)
	}
}

func pageAfterPruned(t *testing.T, k, _ keeper) {
	must(t, k.AppendEvidence(t.Context(), someEvidence()))
	page, err := k.Evidence(t.Context(), blackout.EvidenceQuery{Limit: 3})
	must(t, err)
	if n, err := k.PruneEvidence(t.Context(), time.UnixMilli(2000), 5); n != 5 || err != nil {
		t.Fatalf("pruned %d, %v", n, err)
	}
	rest := pages(t, k, blackout.EvidenceQuery{After: page[2].ID, Limit: 50})
	same(t, "rows left", len(rest), 235)
}

func pruneEvidenceInPieces(t *testing.T, k, other keeper) {
	must(t, k.AppendEvidence(t.Context(), someEvidence()))
	same(t, "rows of one time", len(pages(t, k, blackout.EvidenceQuery{To: time.UnixMilli(1001), Limit: 100})), 10)
	var pieces []int
	for _, before := range []time.Time{{}, time.UnixMilli(1000), time.UnixMilli(1002), time.UnixMilli(1002), time.UnixMilli(1002)} {
		n, err := k.PruneEvidence(t.Context(), before, 12)
		must(t, err)
		pieces = append(pieces, n)
	}
	same(t, "pieces", pieces, []int{0, 0, 12, 8, 0})
	same(t, "left", len(pages(t, other, blackout.EvidenceQuery{From: time.UnixMilli(1002), Limit: 1000})), 220)
	same(t, "in all", len(pages(t, other, blackout.EvidenceQuery{Limit: 1000})), 220)
}
