package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/listen"
)

// roads are the ways to a listener: his socket itself, TLS, and what is no socket.
var roads = map[string]func(t *testing.T) (edge, far net.Conn){
	"socket": func(t *testing.T) (net.Conn, net.Conn) { return pair(t) },
	"tls": func(t *testing.T) (net.Conn, net.Conn) {
		edge, far := pair(t)
		return secured(t, edge, far)
	},
	"pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
}

// guest is a player with a ticket.
type guest struct {
	player
	ticket *Ticket
	gone   chan Left
}

// visit lets a guest join, and read all along.
func visit(t *testing.T, h *Hub, edge, far net.Conn, j Join) *guest {
	t.Helper()
	g := &guest{player: player{conn: far, account: j.Account}, ticket: new(Ticket), gone: make(chan Left, 8)}
	j.Conn, j.Stream, j.Ticket, j.OnLeave = edge, "k", g.ticket, func(l Left) { g.gone <- l }
	if err := h.Join(j); err != nil {
		t.Fatal(err)
	}
	g.read()
	t.Cleanup(func() { far.Close(); g.reading.Wait() })
	return g
}

// over waits until he has left, and checks that he does so once.
func (g *guest) over(t *testing.T) Left {
	t.Helper()
	select {
	case l := <-g.gone:
		if g.ticket.Open() || g.ticket.Taken() != l.Bytes {
			t.Errorf("he is gone with %d bytes; the ticket: open %v, %d bytes", l.Bytes, g.ticket.Open(), g.ticket.Taken())
		}
		return l
	case <-time.After(patience):
		t.Fatal("he has not left")
		return Left{}
	}
}

// TestTicketEnds: one connection of a session is ended, or one that only looks, and no other; before and after, its ticket does nothing.
func TestTicketEnds(t *testing.T) {
	for name, road := range roads {
		for _, looks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,looks=%v", name, looks), func(t *testing.T) {
				t.Parallel()
				o := radio(t, 1, 0)
				h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
				open(t, h)
				book := newBook()
				a := account(book, "a")
				nothing := func(ticket *Ticket, had int64) {
					t.Helper()
					ticket.End(listen.Banned)
					ticket.Charge(account(book, "b"))
					if ticket.Open() || ticket.Taken() != had {
						t.Errorf("open %v, taken %d", ticket.Open(), ticket.Taken())
					}
				}
				nothing(new(Ticket), 0)
				edge, far := road(t)
				other := visit(t, h, edge, far, Join{Account: a})
				j := Join{Account: a}
				if looks {
					j = Join{Admit: func() (*listen.Account, error) { return nil, errors.New("not asked") }}
				}
				edge, far = road(t)
				g := visit(t, h, edge, far, j)
				eventually(t, "some audio", g.has(1000))
				eventually(t, "word of it", func() bool { return g.ticket.Taken() >= 1000 })
				if !g.ticket.Open() {
					t.Error("not open though he listens")
				}
				g.ticket.End(listen.Evicted)
				if g.ticket.Open() {
					t.Error("open though it was ended")
				}
				g.ticket.End(listen.Banned) // too late
				l := g.over(t)
				if l.Reason != listen.Evicted || l.For > time.Second {
					t.Errorf("left for %q after %v", l.Reason, l.For)
				}
				nothing(g.ticket, l.Bytes)
				n := len(other.received())
				eventually(t, "more for the other", other.has(n+8000))
				if !other.ticket.Open() {
					t.Error("the other one was ended too")
				}
				other.ticket.End(listen.Expired)
				if l := other.over(t); l.Reason != listen.Expired {
					t.Errorf("left for %q", l.Reason)
				}
				if b, ok := book.Find(account(book, "b").Who().Key); !ok || b.Snapshot().Bytes != 0 || b.Snapshot().Transfers != 0 {
					t.Error("something was charged to one who heard nothing")
				}
			})
		}
	}
}

// TestCharge: he hears on while others are charged, each for what was sent in his time, to the byte.
func TestCharge(t *testing.T) {
	for name, road := range roads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const parts, frames = 4, 60
			audio := mp3(parts * frames)
			more := make(chan struct{})
			o := newOrigin(t, func(c net.Conn, _ int) {
				fmt.Fprintf(c, icecastHead, 0)
				for rest := audio; len(rest) > 0; rest = rest[frames*frameBytes:] {
					c.Write(rest[:frames*frameBytes])
					until(c, more)
				}
				untilClosed(c)
			})
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
			open(t, h)
			book := newBook()
			edge, far := road(t)
			accounts := []*listen.Account{account(book, "0"), account(book, "1"), account(book, "2"), account(book, "0")}
			g := visit(t, h, edge, far, Join{Account: accounts[0]})
			for i := range parts {
				if i > 0 {
					g.ticket.Charge(account(book, "another")) // of which nothing comes, or nothing much
					g.ticket.Charge(accounts[i])
					h.Listening(func(l Listening) bool {
						if l.Who != accounts[i].Who() {
							t.Errorf("part %d is said to be heard by %q", i, l.ID)
						}
						return true
					})
					eventually(t, "the charge", func() bool { return accounts[i].Snapshot().Transfers > 0 && accounts[i-1].Snapshot().Transfers == 0 })
					more <- struct{}{}
				}
				eventually(t, "the audio", g.has((i+1)*frames*frameBytes))
			}
			if n := h.End("2", listen.Kicked); n != 0 {
				t.Errorf("%d are ended for one who is charged no more", n)
			}
			if n := h.End("0", listen.Ended); n != 1 {
				t.Errorf("%d are ended", n)
			}
			if l := g.over(t); l.Reason != listen.Ended || l.Bytes != int64(len(audio)) || !bytes.Equal(g.received(), audio) {
				t.Errorf("he left for %q with %d bytes, and has %d", l.Reason, l.Bytes, len(g.received()))
			}
			for id, parts := range map[string]int{"0": 2, "1": 1, "2": 1, "another": 0} {
				s := account(book, id).Snapshot()
				want := framesTime(parts * frames)
				if s.Bytes != int64(parts*frames*frameBytes) || (s.Media-want).Abs() > time.Millisecond || s.Transfers != 0 {
					t.Errorf("%s: %d bytes, %v, %d transfers open; want %d parts, %v", id, s.Bytes, s.Media, s.Transfers, parts, want)
				}
			}
		})
	}
}

// TestChargeOfWhatIsHeldBack: what the kernel still holds was sent to the one who was charged when it was written.
func TestChargeOfWhatIsHeldBack(t *testing.T) {
	t.Parallel()
	audio := mp3(900)
	const first = 600
	more := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(audio[:first*frameBytes])
		until(c, more)
		c.Write(audio[first*frameBytes:])
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Burst: 1 << 20})
	open(t, h)
	eventually(t, "the audio", func() bool { return h.Status().HeldBytes == first*frameBytes })
	edge, far := pair(t)
	far.SetReadBuffer(8 << 10)
	edge.SetWriteBuffer(2 << 20)
	book := newBook()
	a, b := account(book, "a"), account(book, "b")
	ticket, left := new(Ticket), make(chan Left, 1)
	if err := h.Join(Join{Conn: edge, Stream: "k", Account: a, Ticket: ticket, OnLeave: func(l Left) { left <- l }}); err != nil {
		t.Fatal(err)
	}
	written := func() (n int64) {
		h.Listening(func(l Listening) bool { n = l.Bytes; return true })
		return n
	}
	eventually(t, "all of it to be written", func() bool { return written() == first*frameBytes })
	ticket.Charge(b)
	eventually(t, "the charge", func() bool { return b.Snapshot().Transfers == 1 })
	if taken, s := ticket.Taken(), a.Snapshot(); taken > 200_000 || s.Bytes > 200_000 || s.Transfers != 1 {
		t.Errorf("taken %d, counted %d, %d transfers: he has read nothing", taken, s.Bytes, s.Transfers)
	}
	more <- struct{}{}
	body := make([]byte, len(audio))
	far.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(far, body); err != nil || !bytes.Equal(body, audio) {
		t.Fatalf("what he hears is not what was sent: %v", err)
	}
	far.Close()
	if l := <-left; l.Bytes != int64(len(audio)) {
		t.Errorf("he had %d bytes of %d", l.Bytes, len(audio))
	}
	for _, c := range []struct {
		account *listen.Account
		frames  int
	}{{a, first}, {b, 900 - first}} {
		s := c.account.Snapshot()
		if s.Bytes != int64(c.frames*frameBytes) || (s.Media-framesTime(c.frames)).Abs() > time.Millisecond || s.Transfers != 0 {
			t.Errorf("%d bytes, %v, %d transfers open; want %d frames", s.Bytes, s.Media, s.Transfers, c.frames)
		}
	}
}

// TestChargeOnTrial: he is let in with one account, and charged to the other from then on; each byte to one of them.
func TestChargeOnTrial(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	book := newBook()
	a, b := account(book, "a"), account(book, "b")
	edge, far := pair(t)
	g := visit(t, h, edge, far, Join{Admit: func() (*listen.Account, error) { return a, nil }})
	g.ticket.Charge(b)
	h.Listening(func(l Listening) bool { t.Errorf("%q is said to listen", l.ID); return true })
	eventually(t, "the end of the trial", func() bool { return b.Snapshot().Transfers == 1 })
	n := len(g.received())
	eventually(t, "more", g.has(n+10_000))
	g.ticket.End(listen.Ended)
	l := g.over(t)
	eventually(t, "the end", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.ended })
	runsOn(t, g.received())
	sa, sb := a.Snapshot(), b.Snapshot()
	if sa.Bytes == 0 || sb.Bytes < 5000 || sa.Bytes+sb.Bytes != l.Bytes || l.Bytes != int64(len(g.received())) || sa.Transfers+sb.Transfers != 0 {
		t.Errorf("%d and %d bytes counted, %d told, %d received", sa.Bytes, sb.Bytes, l.Bytes, len(g.received()))
	}
	if want := time.Duration(l.Bytes/frameBytes) * framesTime(1); (sa.Media + sb.Media - want).Abs() > 50*time.Millisecond {
		t.Errorf("%v and %v counted, sent were %v", sa.Media, sb.Media, want)
	}
}

// TestLeavesOnce: whoever joined leaves once, whoever did not never: two connections that race for the last place, ended from all
// sides while they come and go and the relay is shut down.
func TestLeavesOnce(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	r := New(Options{})
	h := r.Hub(Mount{Key: "k", Origins: []string{o.url("/")}, MaxListeners: 1})
	open(t, h)
	book := newBook()
	var joined, refused, left, wrong, stray atomic.Int64
	var busy sync.WaitGroup
	attempt := func(i int) {
		edge, far := pair(t)
		defer far.Close()
		var in atomic.Bool
		var n atomic.Int32
		ticket := new(Ticket)
		j := Join{Conn: edge, Stream: "k", Ticket: ticket, Account: account(book, "a"), OnLeave: func(Left) {
			left.Add(1)
			if n.Add(1) > 1 {
				wrong.Add(1)
			}
		}}
		if i%3 == 0 {
			j.Account, j.Admit = nil, func() (*listen.Account, error) { return account(book, "a"), nil }
		}
		if i%5 == 0 {
			j.Info = Info{ContentType: "audio/aac"}
		}
		busy.Go(func() { ticket.End(listen.Evicted); ticket.Charge(account(book, "b")) })
		switch err := h.Join(j); {
		case err == nil:
			joined.Add(1)
			in.Store(true)
		case errors.Is(err, ErrFull), errors.Is(err, ErrClosed), i%5 == 0 && errors.Is(err, ErrChanged):
			refused.Add(1)
			edge.Close() // it is still the caller's
			if ticket.Open() || ticket.listener.Load() != nil {
				wrong.Add(1)
			}
			return
		default:
			stray.Add(1)
		}
		busy.Go(func() { h.End("a", listen.Kicked) })
		if i%2 == 0 {
			ticket.End(listen.Banned)
		}
	}
	for i := range 60 {
		busy.Go(func() { attempt(2 * i) })
		attempt(2*i + 1)
		if i == 50 {
			busy.Go(func() { r.Shutdown(context.Background()) })
		}
	}
	busy.Wait()
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d joined, %d were refused", joined.Load(), refused.Load())
	if joined.Load() == 0 || refused.Load() == 0 || left.Load() != joined.Load() || wrong.Load() != 0 || stray.Load() != 0 {
		t.Errorf("%d joined, %d were refused, %d left, %d wrongly, %d failed for something else",
			joined.Load(), refused.Load(), left.Load(), wrong.Load(), stray.Load())
	}
	if err := h.Join(Join{Conn: nil, Ticket: new(Ticket), OnLeave: func(Left) { t.Error("left without a connection") }}); err == nil {
		t.Error("joined without a connection")
	}
}

// TestJoinsWithAnotherHead: the head that was made before the stream changed is not what he is to be told.
func TestJoinsWithAnotherHead(t *testing.T) {
	t.Parallel()
	o := station(t, 0, mp3(60))
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	info := open(t, h)
	for contentType, want := range map[string]error{info.ContentType: nil, "audio/mp3": nil, "": nil, "audio/aac": ErrChanged, "application/ogg": ErrChanged} {
		edge, far := pair(t)
		ticket := new(Ticket)
		err := h.Join(Join{Conn: edge, Account: account(newBook(), "a"), Info: Info{ContentType: contentType}, Ticket: ticket})
		if err != want || ticket.Open() != (want == nil) {
			t.Errorf("%q: %v, open %v", contentType, err, ticket.Open())
		}
		if err != nil {
			edge.Close()
		}
		far.Close()
	}
}
