package listen

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"earshot/session"
)

// BenchmarkSettle is what one listener of a live stream costs each time all are settled and journalled, when something was sent to him since.
//
//	go test ./listen -run '^$' -bench Settle
func BenchmarkSettle(b *testing.B) {
	const n = 8000
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	journal, _, err := OpenJournal(b.TempDir(), log, nil)
	if err != nil {
		b.Fatal(err)
	}
	book := NewBook(Options{Journal: journal, Recorder: NewRecorder(nil, nil, log, nil), Log: log, Edge: "edge"}, "boot")
	transfers, lives := make([]*Transfer, n), make([]*Live, n)
	for i := range n {
		a := book.Account(Who{Key: session.Key{ID: session.ID(fmt.Sprintf("%032d", i)), Group: "radio"}, Kind: session.ICY,
			IP: "192.0.2.7", UserAgent: "a player of the usual length of name/1.0 (of this and that)"})
		lives[i] = NewLive(7, time.Now().UnixNano())
		transfers[i] = a.Open(Body{Stream: "radio", Length: -1, Placer: lives[i], Unsent: func() int64 { return 0 }})
	}
	book.settleAll()
	b.ReportAllocs()
	pos := time.Now().UnixNano()
	for b.Loop() {
		pos += int64(time.Second)
		for i, t := range transfers {
			lives[i].Wrote(16000, pos)
			t.Wrote(16000)
		}
		book.settleAll()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/listener")
}
