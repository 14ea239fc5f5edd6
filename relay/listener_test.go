package relay

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"earshot/listen"
)

// flood is an origin that sends a second of audio every few milliseconds until it is closed.
func flood(t testing.TB, every time.Duration) *origin {
	second := mp3(38)
	return newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		for {
			if _, err := c.Write(second); err != nil {
				return
			}
			time.Sleep(every)
		}
	})
}

// A listener who does not read is cut because he has fallen out of the ring; he is charged with what left the edge, and
// nobody else notices.
func TestSlowListenerIsCut(t *testing.T) {
	t.Parallel()
	o := flood(t, 10*time.Millisecond)
	h := newRelay(t, Options{MaxAhead: time.Hour}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Rewind: 20 * time.Second})
	open(t, h)
	book := newBook()
	quick := join(t, h, account(book, "quick"), 0)
	edge, far := pair(t)
	far.SetReadBuffer(32 << 10)
	edge.SetWriteBuffer(32 << 10)
	slow := joinOn(t, h, account(book, "slow"), 0, edge, far)
	eventually(t, "the ring to leave the slow one behind", quick.has(4<<20))
	slow.read()
	if r := slow.reason(t); r != listen.Slow {
		t.Errorf("cut for %q", r)
	}
	eventually(t, "the end of what the slow one was sent", func() bool {
		slow.mu.Lock()
		defer slow.mu.Unlock()
		return slow.ended
	})
	if r := quick.leave(t); r != listen.Left {
		t.Errorf("the quick one left for %q", r)
	}
	checkWhole(t, quick.received())
	// He began to read just as he was cut: a little may have left between the kernel's answer and the reset, and a
	// little that was on the wire may not have been read.
	t.Logf("the slow one has %d bytes", len(slow.received()))
	s := slow.account.Snapshot()
	if got := int64(len(slow.received())); got-s.Bytes > 64<<10 || s.Bytes-got > 64<<10 || s.Transfers != 0 {
		t.Errorf("the slow one has %d bytes, counted are %d, %d transfers are open", got, s.Bytes, s.Transfers)
	}
}

// checkWhole tells whether b is whole frames in the order of the flood.
func checkWhole(t *testing.T, b []byte) {
	t.Helper()
	second := mp3(38)
	at := bytes.Index(second, b[:frameBytes])
	if at < 0 || at%frameBytes != 0 {
		t.Fatal("does not begin at a frame")
	}
	for i := range b {
		if b[i] != second[(at+i)%len(second)] {
			t.Fatalf("byte %d of %d is not what the source sent", i, len(b))
		}
	}
}

func TestStalledListenerIsCut(t *testing.T) {
	t.Parallel()
	o := flood(t, 50*time.Millisecond)
	h := newRelay(t, Options{WriteStall: 300 * time.Millisecond}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	edge, far := pair(t)
	p := joinOn(t, h, account(newBook(), "a"), 16000, edge, far)
	began := time.Now()
	if r := p.reason(t); r != listen.Stalled {
		t.Errorf("cut for %q", r)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("cut after %v", took)
	}
	s := p.account.Snapshot()
	far.SetReadDeadline(time.Now().Add(patience))
	got, _ := io.Copy(io.Discard, far)
	t.Logf("has %d bytes, counted are %d", got, s.Bytes)
	if s.Bytes < got || s.Bytes > got+128<<10 || s.Transfers != 0 {
		t.Errorf("has %d bytes, counted are %d, %d transfers are open", got, s.Bytes, s.Transfers)
	}
	if want := time.Duration(float64(s.Bytes) / frameBytes * float64(framesTime(1))); (s.Media - want).Abs() > 200*time.Millisecond {
		t.Errorf("%d bytes are worth %v, counted are %v", s.Bytes, want, s.Media)
	}
}

// A listener who leaves is noticed though there is nothing to send him.
func TestLeaveIsNoticedInSilence(t *testing.T) {
	o := station(t, 0, mp3(30))
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "the audio", p.has(30*frameBytes))
	began := time.Now()
	if r := p.leave(t); r != listen.Left {
		t.Errorf("left for %q", r)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("noticed after %v", took)
	}
	// He says something before he goes: that must not hide it.
	chatty := join(t, h, account(newBook(), "b"), 0)
	chatty.conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	if r := chatty.leave(t); r != listen.Left {
		t.Errorf("left for %q", r)
	}
}

// A connection that is no socket works too.
func TestPipe(t *testing.T) {
	audio := mp3(30)
	o := station(t, 0, audio)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	edge, far := net.Pipe()
	p := joinOn(t, h, account(newBook(), "a"), 0, edge, far)
	p.read()
	eventually(t, "the audio", p.has(len(audio)))
	if r := p.leave(t); r != listen.Left {
		t.Errorf("left for %q", r)
	}
	if s := p.account.Snapshot(); !bytes.Equal(p.received(), audio) || s.Bytes != int64(len(audio)) {
		t.Errorf("received %d, account %d", len(p.received()), s.Bytes)
	}
}

// What the caller leaves to be written first comes first, at once, and is not metered.
func TestPending(t *testing.T) {
	audio := mp3(60)
	release := make(chan struct{})
	o := newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(audio[:frameBytes/2])
		<-release
		c.Write(audio[frameBytes/2:])
		untilClosed(c)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	edge, far := pair(t)
	p := &player{conn: far, account: account(newBook(), "a"), left: make(chan listen.Reason, 1)}
	head := []byte("HTTP/1.0 200 OK\r\n\r\n")
	if err := h.Join(Join{Conn: edge, Pending: head, Account: p.account, Stream: "k", OnLeave: func(l Left) { p.left <- l.Reason }}); err != nil {
		t.Fatal(err)
	}
	p.read()
	eventually(t, "the head, before any audio", p.has(len(head)))
	close(release)
	eventually(t, "the audio", p.has(len(head)+len(audio)))
	p.leave(t)
	if s := p.account.Snapshot(); !bytes.Equal(p.received(), append(head, audio...)) || s.Bytes != int64(len(audio)) {
		t.Errorf("received %d, account %d", len(p.received()), s.Bytes)
	}
	if err := h.Join(Join{Conn: edge}); err == nil {
		t.Error("joined without an account")
	}
}

func TestUnsentIsAskedWithoutGarbage(t *testing.T) {
	edge, far := pair(t)
	defer far.Close()
	s := socketOf(edge)
	far.SetReadBuffer(16 << 10)
	edge.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	edge.Write(make([]byte, 8<<20))
	before := s.unsent()
	if before <= 0 {
		t.Errorf("%d bytes unsent to one who does not read", before)
	}
	if n := testing.AllocsPerRun(100, func() { s.unsent() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	edge.Close()
	if got := s.unsent(); got != before {
		t.Errorf("%d after the close, %d before", got, before)
	}
}
