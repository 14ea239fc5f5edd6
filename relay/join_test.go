package relay

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"earshot/listen"
)

// TestJoinsWhenTheRingIsEmptied: who was on his way in when the audio was forgotten hears what comes then, wherever he was to begin.
func TestJoinsWhenTheRingIsEmptied(t *testing.T) {
	audio := mp3(200)
	for _, held := range []bool{false, true} {
		for _, seeks := range []bool{false, true} {
			t.Run(fmt.Sprintf("held=%v,seeks=%v", held, seeks), func(t *testing.T) {
				t.Parallel()
				more := make(chan struct{})
				o := newOrigin(t, func(c net.Conn, _ int) {
					fmt.Fprintf(c, icecastHead, 0)
					c.Write(audio[:100*frameBytes])
					until(c, more)
					c.Write(audio[100*frameBytes:])
					untilClosed(c)
				})
				h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
				open(t, h)
				eventually(t, "the audio", func() bool { return h.Status().HeldBytes == 100*frameBytes })
				forget := func() { h.ring.reset(); h.ring.begin(h.up.id) }
				h.mu.Lock()
				if !held {
					forget()
				}
				edge, far := pair(t)
				p := &player{conn: far, left: make(chan listen.Reason, 1)}
				j := Join{Conn: edge, Stream: "k", Account: account(newBook(), "a"), OnLeave: func(l Left) { p.left <- l.Reason }}
				if seeks {
					j.From = h.Seek(time.Second)
				}
				joined := make(chan error)
				go func() { joined <- h.Join(j) }()
				time.Sleep(50 * time.Millisecond) // he waits for the hub
				forget()
				h.mu.Unlock()
				if err := <-joined; err != nil {
					t.Fatal(err)
				}
				p.read()
				defer func() { far.Close(); p.reading.Wait() }()
				close(more)
				eventually(t, "what comes then", p.has(100*frameBytes))
				if !bytes.Equal(p.received(), audio[100*frameBytes:]) {
					t.Errorf("%d bytes are not what came then", len(p.received()))
				}
			})
		}
	}
}

// TestTrialEndsWhileAskedFor: who leaves between the end of his trial and the answer was there, and is charged with what he had.
func TestTrialEndsWhileAskedFor(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	asked, answer := make(chan struct{}), make(chan struct{})
	a := account(newBook(), "a")
	edge, far := pair(t)
	p := &player{conn: far}
	left := make(chan Left, 1)
	err := h.Join(Join{Conn: edge, Stream: "k", OnLeave: func(l Left) { left <- l },
		Admit: func() (*listen.Account, error) { close(asked); <-answer; return a, nil }})
	if err != nil {
		t.Fatal(err)
	}
	p.read()
	<-asked
	far.Close()
	p.reading.Wait()
	time.Sleep(200 * time.Millisecond) // for the relay to notice
	close(answer)
	l := <-left
	if s := a.Snapshot(); l.Bytes == 0 || s.Bytes != l.Bytes || s.Bytes < int64(len(p.received())) || s.Transfers != 0 {
		t.Errorf("received %d, told %d, counted %d, %d transfers are open", len(p.received()), l.Bytes, s.Bytes, s.Transfers)
	}
}

// TestTrialOverGap: what is heard on both sides of a gap while on trial is all worth its time.
func TestTrialOverGap(t *testing.T) {
	a := account(newBook(), "a")
	m := meter{stream: "k", axis: 1, unsent: func() int64 { return 0 }}
	m.wrote(100, 10e9, 11e9)
	m.wrote(100, 11e9, 12e9)
	m.wrote(50, 20e9, 21e9)
	m.charge(a)
	m.wrote(50, 21e9, 22e9)
	m.wrote(50, 30e9, 31e9)
	if had := m.finish(); had != 350 {
		t.Errorf("had %d", had)
	}
	if s := a.Snapshot(); s.Bytes != 350 || s.Media != 5*time.Second || s.Transfers != 0 {
		t.Errorf("counted %d bytes, %v, %d transfers are open", s.Bytes, s.Media, s.Transfers)
	}
}

// TestAdmitPanics ends who was to be admitted, and not the process.
func TestAdmitPanics(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	edge, far := pair(t)
	defer far.Close()
	left := make(chan Left, 1)
	if err := h.Join(Join{Conn: edge, Stream: "k", OnLeave: func(l Left) { left <- l }, Admit: func() (*listen.Account, error) { panic("no") }}); err != nil {
		t.Fatal(err)
	}
	if l := <-left; l.Reason != listen.Refused {
		t.Errorf("left for %q", l.Reason)
	}
}

// TestOpenWhileForgotten: a hub that is forgotten before it is opened gives way to another.
func TestOpenWhileForgotten(t *testing.T) {
	o := radio(t, 1, 0)
	r := newRelay(t, Options{}) // and its shutdown ends the listener
	m := Mount{Key: "k", Origins: []string{o.url("/")}, Transient: true}
	done := make(chan struct{})
	var forgets sync.WaitGroup
	forgets.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if h, ok := r.Find("k"); ok {
					r.Forget(h)
				}
			}
		}
	})
	h, _, err := r.Open(t.Context(), m)
	close(done)
	forgets.Wait()
	if err != nil {
		t.Fatal(err)
	}
	p := join(t, h, account(newBook(), "a"), 0)
	eventually(t, "audio", p.has(1))
	if r.Hub(m) != h {
		t.Error("there are two hubs of one mount")
	}
}

// TestLooksTakeNoPlace: who only looks is in no count, and has no place until his trial is over; then he has one, or goes.
func TestLooksTakeNoPlace(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, MaxListeners: 1})
	open(t, h)
	book := newBook()
	look := func(id string) *player {
		edge, far := pair(t)
		p := &player{conn: far, left: make(chan listen.Reason, 2)}
		admit := func() (*listen.Account, error) { return account(book, id), nil }
		if err := h.Join(Join{Conn: edge, Stream: "k", Admit: admit, OnLeave: func(l Left) { p.left <- l.Reason }}); err != nil {
			t.Fatal(err)
		}
		p.read()
		t.Cleanup(func() { far.Close(); p.reading.Wait() })
		return p
	}
	first := look("first")
	if s := h.Status(); s.Listeners != 0 || s.Peak != 0 {
		t.Errorf("%d listen, %d at the most", s.Listeners, s.Peak)
	}
	p := join(t, h, account(book, "listener"), 0)
	if r := first.reason(t); r != listen.Refused { // there is one place, and it is taken
		t.Errorf("who looked left for %q", r)
	}
	if s := h.Status(); s.Listeners != 1 || s.Peak != 1 {
		t.Errorf("%d listen, %d at the most", s.Listeners, s.Peak)
	}
	p.leave(t)
	second := look("second")
	eventually(t, "his place", func() bool { return h.Status().Listeners == 1 })
	second.leave(t)
	if s := h.Status(); s.Listeners != 0 || s.Peak != 1 {
		t.Errorf("%d listen, %d at the most", s.Listeners, s.Peak)
	}
}
