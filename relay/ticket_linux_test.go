package relay

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"earshot/listen"
)

// deafen has the far kernel drop all that comes for a connection, as one does that is switched off: nothing is acknowledged, and nothing is closed.
func deafen(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	err = raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTakenTellsTheDead: what is sent to a connection that is dead is not taken, however much is written to it. Who listens has what he has taken.
func TestTakenTellsTheDead(t *testing.T) {
	for _, secure := range []bool{false, true} {
		name := map[bool]string{false: "socket", true: "tls"}[secure]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := radio(t, 1, 0)
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
			open(t, h)
			edge, far := pair(t)
			var ours, theirs net.Conn = edge, far
			if secure {
				ours, theirs = secured(t, edge, far)
			}
			g := visit(t, h, ours, theirs, Join{Account: account(newBook(), "a")})
			for n := range int64(3) {
				eventually(t, "more to be taken", func() bool { return g.ticket.Taken() > 10_000*(n+1) })
			}
			deafen(t, far)
			time.Sleep(100 * time.Millisecond) // for what was under way
			written := func() (n int64) {
				h.Listening(func(l Listening) bool { n = l.Bytes; return true })
				return n
			}
			taken, at := g.ticket.Taken(), written()
			eventually(t, "more to be written", func() bool {
				if now := g.ticket.Taken(); now != taken {
					t.Fatalf("%d bytes were taken, and %d after he was dead", taken, now)
				}
				return written() > at+40_000
			})
			if had := int64(len(g.received())); taken > had || taken < had-2000 {
				t.Errorf("taken %d, he has %d", taken, had)
			}
			if !g.ticket.Open() {
				t.Error("not open: it was to go unnoticed")
			}
			g.ticket.End(listen.Expired)
			select {
			case l := <-g.gone:
				if l.Bytes < taken || g.ticket.Taken() < taken {
					t.Errorf("%d bytes at the end, %d were taken", l.Bytes, taken)
				}
			case <-time.After(patience):
				t.Error("he is not let go of")
			}
		})
	}
}
