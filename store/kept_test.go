package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"earshot/auth"
	"earshot/blackout"
	"earshot/session"
)

// keeper is what a store keeps for the gate. Every store passes keeperSuite.
type keeper interface {
	auth.Removals
	Post(ctx context.Context, n session.Note) error
	Withdraw(ctx context.Context, kind, id string) (bool, error)
	Board(ctx context.Context) ([]session.Note, error)
	AppendEvidence(ctx context.Context, all []blackout.Evidence) error
	Evidence(ctx context.Context, q blackout.EvidenceQuery) ([]blackout.Evidence, error)
	PruneEvidence(ctx context.Context, before time.Time, limit int) (int, error)
}

func TestKeeper(t *testing.T) {
	keeperSuite(t, func(t *testing.T) (one, other keeper) {
		s := fresh(t)
		return s, reopen(t, s.Path())
	})
}

// keeperSuite holds a store to what the gate relies on. open gives two handles on one fresh database, as of two processes.
func keeperSuite(t *testing.T, open func(t *testing.T) (one, other keeper)) {
	for name, test := range map[string]func(*testing.T, keeper, keeper){
		"board": boardOrder, "board's ends": boardEnds, "notes are whole": notesAreWhole, "notes of two": notesOfTwo,
		"evidence is whole": evidenceIsWhole, "evidence in pages": evidencePages, "evidence of a time": evidenceOfATime,
		"page after a pruned row": pageAfterPruned, "prune in pieces": pruneEvidenceInPieces, "all or nothing": allOrNothing,
		"removals": removals, "removals are whole": removalsAreWhole, "open removals": removalsOpen, "nothing": nothing, "cancelled": keeperCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			one, other := open(t)
			test(t, one, other)
		})
	}
}

// awkwardTexts a client may have sent.
var awkwardTexts = []string{"", "it's \"so\"; --", "späti ☂", "%_*?", "nul\x00inside", "bad \xff\xfe utf-8", "${1} ?1 $1 {text}"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// names are the notes of a board, as kind/id.
func names(t *testing.T, k keeper) (names []string) {
	t.Helper()
	notes, err := k.Board(t.Context())
	must(t, err)
	for _, n := range notes {
		names = append(names, n.Kind+"/"+n.ID)
	}
	return names
}

func post(t *testing.T, k keeper, kind, id string, until time.Time) {
	t.Helper()
	must(t, k.Post(t.Context(), session.Note{Kind: kind, ID: id, Until: until, Body: json.RawMessage(`{}`)}))
}

func boardOrder(t *testing.T, k, other keeper) {
	for _, n := range [][2]string{{"rule", "b"}, {"ban", "z"}, {"rule", "ü"}, {"ban", "a"}, {"rule", "B"}, {"rul", "x"}, {"rule", "b"}} {
		post(t, k, n[0], n[1], time.Time{})
	}
	same(t, "board", names(t, other), []string{"ban/a", "ban/z", "rul/x", "rule/B", "rule/b", "rule/ü"})
	for _, c := range []struct {
		kind, id string
		want     bool
	}{{"rule", "b", true}, {"rule", "b", false}, {"ban", "b", false}, {"rule", "*", false}, {"rule", "ü", true}} {
		if was, err := other.Withdraw(t.Context(), c.kind, c.id); was != c.want || err != nil {
			t.Errorf("withdraw %s/%s: %t, %v; want %t", c.kind, c.id, was, err, c.want)
		}
	}
	same(t, "board", names(t, k), []string{"ban/a", "ban/z", "rul/x", "rule/B"})
}

func boardEnds(t *testing.T, k, other keeper) {
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	post(t, k, "ban", "for ever", time.Time{})
	post(t, k, "ban", "hour", future)
	post(t, k, "ban", "over", past)
	post(t, k, "ban", "long over", time.UnixMilli(0)) // which is not for ever
	post(t, k, "ban", "before time", time.UnixMilli(-5))
	same(t, "board", names(t, other), []string{"ban/for ever", "ban/hour"})
	soon := time.Now().Add(50 * time.Millisecond)
	post(t, k, "ban", "soon over", soon)
	<-time.After(time.Until(soon) + time.Millisecond)
	same(t, "board", names(t, other), []string{"ban/for ever", "ban/hour"})
	if was, err := k.Withdraw(t.Context(), "ban", "soon over"); was || err != nil {
		t.Errorf("withdraw what is over: %t, %v", was, err)
	}
	post(t, k, "ban", "for ever", past)
	post(t, k, "ban", "over", future)
	same(t, "board", names(t, other), []string{"ban/hour", "ban/over"})
	if s, ok := k.(*SQLite); ok {
		same(t, "rows", ask[int](t, s.read, "SELECT count(*) FROM board"), 2)
	}
}

func notesAreWhole(t *testing.T, k, other keeper) {
	var want []session.Note
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	for i, text := range awkwardTexts {
		body, err := json.Marshal(map[string]string{"text": text})
		must(t, err)
		n := session.Note{Kind: fmt.Sprint(i, text), ID: text, Body: append(body, " \n"...)}
		if i%2 == 0 {
			n.Until = until
		}
		want = append(want, n)
	}
	want = append(want, session.Note{Kind: "9", ID: "no body"})
	for _, n := range want {
		must(t, k.Post(t.Context(), n))
	}
	got, err := other.Board(t.Context())
	must(t, err)
	same(t, "board", got, want)
	if err := k.Post(t.Context(), session.Note{Kind: "a", ID: "bad", Body: json.RawMessage(`{"a":`)}); !errors.Is(err, errBody) {
		t.Errorf("a body that is not JSON: %v", err)
	}
	same(t, "notes", len(names(t, other)), len(want))
}

func notesOfTwo(t *testing.T, one, other keeper) {
	const each = 40
	var group sync.WaitGroup
	for h, k := range []keeper{one, other} {
		group.Go(func() {
			for i := range each {
				if err := k.Post(t.Context(), session.Note{Kind: "ban", ID: fmt.Sprint(h, "-", i)}); err != nil {
					t.Error(err)
				}
				if err := k.AppendEvidence(t.Context(), []blackout.Evidence{{Rule: "r", At: time.UnixMilli(int64(i)), Edge: fmt.Sprint(h)}}); err != nil {
					t.Error(err)
				}
				if err := k.AddRemovals(t.Context(), []auth.Removal{{SessionID: fmt.Sprint(h, "-", i)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	same(t, "notes", len(names(t, one)), 2*each)
	found, err := one.Evidence(t.Context(), blackout.EvidenceQuery{})
	must(t, err)
	due, err := other.DueRemovals(t.Context(), time.Now(), 1000)
	must(t, err)
	same(t, "evidence and removals", [2]int{len(found), len(due)}, [2]int{2 * each, 2 * each})
}

// allOrNothing: a batch is stored whole or not at all, whenever its context ends.
func allOrNothing(t *testing.T, k, other keeper) {
	evidence, told := make([]blackout.Evidence, 400), make([]auth.Removal, 400)
	stored := [2]int{}
	for try := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(try)*300*time.Microsecond)
		for i, err := range []error{k.AppendEvidence(ctx, evidence), k.AddRemovals(ctx, told)} {
			switch {
			case err == nil:
				stored[i] += 400
			case !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("try %d: %v; want %v", try, err, context.DeadlineExceeded)
			}
		}
		cancel()
		found, err := other.Evidence(t.Context(), blackout.EvidenceQuery{Limit: 10_000})
		must(t, err)
		due, err := other.DueRemovals(t.Context(), time.Now(), 10_000)
		must(t, err)
		same(t, fmt.Sprint("stored in try ", try), [2]int{len(found), len(due)}, stored)
	}
}

func removals(t *testing.T, k, other keeper) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	must(t, k.AddRemovals(t.Context(), []auth.Removal{
		{SessionID: "c", Next: at(30)}, {SessionID: "a", Next: at(10)}, {SessionID: "now"}, {SessionID: "b", Next: at(10)}}))
	ids := map[string]int64{}
	due := func(k keeper, second int64, limit int) (names []string) {
		t.Helper()
		all, err := k.DueRemovals(t.Context(), at(second), limit)
		must(t, err)
		for _, r := range all {
			names = append(names, r.SessionID)
			ids[r.SessionID] = r.ID
		}
		return names
	}
	same(t, "before all", due(k, 9, 10), []string{"now"})
	same(t, "at their time", due(other, 10, 10), []string{"now", "a", "b"})
	same(t, "the first two", due(other, 99, 2), []string{"now", "a"})
	same(t, "all", due(k, 30, 10), []string{"now", "a", "b", "c"})

	must(t, other.RetryRemoval(t.Context(), ids["a"], 3, at(40)))
	must(t, k.DropRemoval(t.Context(), ids["now"]))
	must(t, k.DropRemoval(t.Context(), ids["now"]))
	must(t, k.RetryRemoval(t.Context(), ids["now"], 1, at(0)))
	same(t, "one put off, one dropped", due(k, 39, 10), []string{"b", "c"})
	all, err := other.DueRemovals(t.Context(), at(40), 10)
	must(t, err)
	last := all[len(all)-1]
	same(t, "put off", last, auth.Removal{ID: ids["a"], SessionID: "a", Tries: 3, Next: at(40).UTC()})
}

func removalsAreWhole(t *testing.T, k, other keeper) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	want := []auth.Removal{{SessionID: "s", Group: "g", Kind: "icy", Path: "/a%20b", Host: "edge:8000", User: "ann", Ticket: "t",
		Address: "192.0.2.1", Agent: "vlc", Duration: 90*time.Second + time.Millisecond, Bytes: 1 << 60, At: at, Tries: 7, Next: at.Add(time.Second)}}
	for i, x := range awkwardTexts {
		want = append(want, auth.Removal{SessionID: x, Group: x, Kind: x, Path: x, Host: x, User: x, Ticket: x, Address: x, Agent: x,
			Next: at.Add(time.Duration(2+i) * time.Second)})
	}
	must(t, k.AddRemovals(t.Context(), want))
	got, err := other.DueRemovals(t.Context(), at.Add(time.Hour), 100)
	must(t, err)
	for i := range got {
		got[i].ID = 0
	}
	same(t, "removals", got, want)
}

// removalsOpen: what is open is not due until it is over, and then once; what is over is not opened again.
func removalsOpen(t *testing.T, k, other keeper) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	var all []auth.Removal
	for id := range int64(5) {
		all = append(all, auth.Removal{ID: 1e18 + id, Open: true, SessionID: fmt.Sprint(id), Group: "g", Ticket: "t", Began: at})
	}
	must(t, k.AddRemovals(t.Context(), all))
	open := func(after int64, limit int) []auth.Removal {
		t.Helper()
		found, err := other.OpenRemovals(t.Context(), after, limit)
		must(t, err)
		return found
	}
	due := func() []auth.Removal {
		t.Helper()
		found, err := other.DueRemovals(t.Context(), time.UnixMilli(math.MaxInt64), 10)
		must(t, err)
		return found
	}
	same(t, "open", open(0, 10), all)
	same(t, "from the second on", open(1e18+1, 2), all[2:4])
	same(t, "due", due(), nil)

	over := all[1]
	over.Open, over.Address, over.Duration, over.Bytes, over.At, over.Next = false, "192.0.2.1", time.Second, 7, at, at
	must(t, k.AddRemovals(t.Context(), []auth.Removal{over}))
	must(t, k.RetryRemoval(t.Context(), over.ID, 3, at.Add(time.Minute)))
	over.Tries, over.Next = 3, at.Add(time.Minute)
	must(t, k.AddRemovals(t.Context(), []auth.Removal{all[1], {ID: over.ID, Bytes: 9, At: at}}))
	same(t, "due when it is over", due(), []auth.Removal{over})
	same(t, "open still", open(0, 10), []auth.Removal{all[0], all[2], all[3], all[4]})
}

func nothing(t *testing.T, k, _ keeper) {
	must(t, k.AppendEvidence(t.Context(), nil))
	must(t, k.AddRemovals(t.Context(), nil))
	same(t, "board", names(t, k), nil)
	found, err := k.Evidence(t.Context(), blackout.EvidenceQuery{After: 77})
	must(t, err)
	due, err := k.DueRemovals(t.Context(), time.Now(), 10)
	must(t, err)
	gone, err := k.PruneEvidence(t.Context(), time.Now(), 10)
	must(t, err)
	same(t, "of an empty store", [3]int{len(found), len(due), gone}, [3]int{})
}

// keeperCancelled: with a context that is over nothing is done, and the error says so.
func keeperCancelled(t *testing.T, k, _ keeper) {
	post(t, k, "ban", "a", time.Time{})
	must(t, k.AppendEvidence(t.Context(), []blackout.Evidence{{Rule: "r", At: time.UnixMilli(1)}}))
	must(t, k.AddRemovals(t.Context(), []auth.Removal{{SessionID: "s"}}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func() error{
		"Post":           func() error { return k.Post(ctx, session.Note{Kind: "ban", ID: "b"}) },
		"Withdraw":       func() error { _, err := k.Withdraw(ctx, "ban", "a"); return err },
		"Board":          func() error { _, err := k.Board(ctx); return err },
		"AppendEvidence": func() error { return k.AppendEvidence(ctx, []blackout.Evidence{{}}) },
		"Evidence":       func() error { _, err := k.Evidence(ctx, blackout.EvidenceQuery{After: 1}); return err },
		"PruneEvidence":  func() error { _, err := k.PruneEvidence(ctx, time.Now(), 1); return err },
		"AddRemovals":    func() error { return k.AddRemovals(ctx, []auth.Removal{{}}) },
		"DueRemovals":    func() error { _, err := k.DueRemovals(ctx, time.Now(), 1); return err },
		"RetryRemoval":   func() error { return k.RetryRemoval(ctx, 1, 1, time.Now().Add(time.Hour)) },
		"DropRemoval":    func() error { return k.DropRemoval(ctx, 1) },
		"OpenRemovals":   func() error { _, err := k.OpenRemovals(ctx, 0, 1); return err },
		"Heard":          func() error { _, _, err := k.Heard(ctx, "s", "g", time.Time{}, time.Now()); return err },
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want %v", name, err, context.Canceled)
		}
	}
	found, err := k.Evidence(t.Context(), blackout.EvidenceQuery{})
	must(t, err)
	due, err := k.DueRemovals(t.Context(), time.Now(), 10)
	must(t, err)
	same(t, "what there was", [3]int{len(names(t, k)), len(found), len(due)}, [3]int{1, 1, 1})
}
