package relay

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/listen"
)

// TestChurn: listeners of all kinds come, read a little or nothing and leave in every way, while the audio is forgotten, sources change and
// titles come; and at last all is shut down among them. Each leaves once, with nothing left open.
func TestChurn(t *testing.T) {
	o := radio(t, 30, 4000)
	intro := fileOf(t, "intro.mp3", on(8, 200))
	r := New(Options{Linger: time.Millisecond, WriteStall: 500 * time.Millisecond})
	book := newBook()
	hub := func() *Hub {
		i := rand.IntN(3)
		m := Mount{Key: strconv.Itoa(i), Origins: []string{o.url("/")}, Rewind: 5 * time.Second, MaxListeners: 40}
		if i == 0 {
			m.Intro = intro
		}
		return r.Hub(m)
	}
	var joined, left atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				h := hub()
				if _, err := h.Open(ctx); err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				edge, far := pair(t)
				var ours, theirs net.Conn = edge, far
				if i%6 == 0 {
					ours, theirs = secured(t, edge, far)
				}
				a := account(book, strconv.Itoa(i)+"-"+strconv.Itoa(n))
				j := Join{Conn: ours, Stream: "k", Account: a, MetaInt: 1000 * rand.IntN(2), Pending: []byte("head"),
					OnLeave: func(Left) { left.Add(1) }}
				if rand.IntN(3) == 0 {
					j.From = h.Seek(time.Duration(rand.IntN(6000)) * time.Millisecond)
				}
				if rand.IntN(3) == 0 {
					j.Account, j.Admit = nil, func() (*listen.Account, error) {
						time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
						return a, nil
					}
				}
				if h.Join(j) != nil {
					edge.Close()
					far.Close()
					continue
				}
				joined.Add(1)
				switch rand.IntN(4) {
				case 0: // leaves at once
				case 1:
					time.Sleep(rand.N(time.Second)) // reads nothing
				case 2:
					sip(theirs, 1+rand.IntN(50_000), 10*time.Millisecond)
					far.SetLinger(0)
				case 3:
					far.CloseWrite()
					sip(theirs, 1<<30, 10*time.Millisecond)
				}
				far.Close()
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(rand.N(40 * time.Millisecond))
			h := hub()
			h.Status()
			h.Listening(func(l Listening) bool {
				if l.Behind > time.Hour {
					t.Errorf("behind by %v", l.Behind)
				}
				if rand.IntN(20) == 0 {
					h.End(l.ID, listen.Kicked)
				}
				return true
			})
			if rand.IntN(4) == 0 {
				h.mu.Lock()
				if h.up != nil {
					h.up.replace()
					h.opening.Store(nil)
				}
				h.mu.Unlock()
			}
			book.Each(func(a *listen.Account) bool { a.Snapshot(); return true })
		}
	})
	time.Sleep(2 * time.Second)
	limit, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := r.Shutdown(limit); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	cancel()
	all.Wait()
	if joined.Load() != left.Load() {
		t.Errorf("%d joined, %d left", joined.Load(), left.Load())
	}
	t.Logf("%d joined", joined.Load())
	book.Each(func(a *listen.Account) bool {
		if s := a.Snapshot(); s.Transfers != 0 {
			t.Errorf("%d transfers are open", s.Transfers)
		}
		return true
	})
}
