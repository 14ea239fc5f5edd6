package listen_test

import (
	"testing"
	"time"

	"earshot/listen"
	"earshot/session"
)

// An account is discarded only while nothing was heard and nothing is on its way; who goes on with it later has another.
func TestDiscard(t *testing.T) {
	b := listen.NewBook(listen.Options{Edge: "e"}, "boot")
	who := listen.Who{Key: session.Key{ID: "a", Group: "kpcc"}, Kind: session.ICY}
	a := b.Account(who)
	if !b.Discard(a) || b.Discard(a) || b.Len() != 0 {
		t.Fatalf("%d accounts", b.Len())
	}
	live := listen.NewLive(1, 0)
	tr := a.Open(listen.Body{Stream: "kpcc", Length: -1, Placer: live}) // by who held on to it
	if again, ok := b.Find(who.Key); !ok || again == a || b.Discard(again) {
		t.Fatal("nothing may be lost of what is heard now")
	}
	live.Wrote(10, int64(time.Second))
	tr.Wrote(10)
	tr.Arrived()
	again, _ := b.Find(who.Key)
	if b.Discard(again) || again.Snapshot().Bytes != 10 {
		t.Errorf("%+v", again.Snapshot())
	}
}
