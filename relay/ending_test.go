package relay

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"earshot/listen"
)

// idle is a listener of a ring of three chunks of which nothing has been sent to him; no goroutine serves him.
func idle(r *Relay) *listener {
	w := newWriter(r)
	w.begun.Do(func() {})
	ring := newRing(Mount{}.withDefaults(new(Options)), func() {})
	h := &Hub{relay: r, ring: ring}
	h.intro = &intro{hub: h}
	ring.begin(1)
	for i := range int64(3) {
		ring.publish(1, &chunk{data: []byte{1, 2, 3}, start: 1e9 * i, end: 1e9 * (i + 1), entry: true})
	}
	l := &listener{hub: h, direct: true, writer: w}
	l.begin(ring.join())
	return l
}

// TestEndsWhileLookedAt: whoever is ended at the very moment at which a writer looks at him ends for that reason, and for no other.
func TestEndsWhileLookedAt(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for _, tc := range []struct {
		reason, other listen.Reason
		end           func(l *listener)
	}{
		{listen.Kicked, "", func(l *listener) { l.end(listen.Kicked) }},
		{"", listen.Slow, func(l *listener) { l.end(listen.SourceGone); l.hub.ring.reset() }},
	} {
		for range 5000 {
			l := idle(r)
			ended := make(chan struct{})
			go func() {
				for range int(time.Now().UnixNano() % 64) {
					runtime.KeepAlive(l)
				}
				tc.end(l)
				close(ended)
			}()
			reason := listen.Reason("")
			for going := true; going && reason == ""; {
				select {
				case <-ended:
					going = false
				default:
				}
				reason = l.over()
			}
			<-ended
			if reason != tc.reason {
				t.Fatalf("ended for %q, and not %q", reason, tc.reason)
			}
		}
	}
}

// TestSourceGoneLetsHearTheRest: who is behind when the source is given up hears what there was of it, at his pace, and no more, whether it is
// forgotten then or the source comes back.
func TestSourceGoneLetsHearTheRest(t *testing.T) {
	for _, forgotten := range []bool{true, false} {
		t.Run(fmt.Sprintf("forgotten=%v", forgotten), func(t *testing.T) {
			t.Parallel()
			o := radio(t, 1, 0)
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Burst: second})
			open(t, h)
			eventually(t, "a few seconds", func() bool { return h.Status().Held > 2*time.Second })
			edge, far := pair(t)
			p := &player{conn: far, left: make(chan listen.Reason, 1)}
			err := h.Join(Join{Conn: edge, Stream: "k", Account: account(newBook(), "a"), From: h.Seek(2 * time.Second), OnLeave: func(l Left) { p.left <- l.Reason }})
			if err != nil {
				t.Fatal(err)
			}
			p.read()
			defer func() { far.Close(); p.reading.Wait() }()
			eventually(t, "some of it", p.has(1))
			h.mu.Lock()
			first, last := h.ring.chunks[0].data[:frameBytes], h.ring.tail.data
			last = last[len(last)-frameBytes:]
			h.endAll(listen.SourceGone)
			if forgotten {
				h.up.cancel()
				h.ring.reset()
			}
			h.mu.Unlock()
			if r := p.reason(t); r != listen.SourceGone {
				t.Errorf("ended for %q", r)
			}
			eventually(t, "the end", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.ended })
			runsOn(t, p.received())
			if !bytes.HasSuffix(p.received(), last) {
				t.Errorf("he has %d bytes, from %d on, which do not end where the source did", len(p.received()), first[7])
			}
		})
	}
}

// TestSourceGoneWaitsForTheSlow: what is left is sent to one who takes it slowly, too.
func TestSourceGoneWaitsForTheSlow(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			t.Parallel()
			audio := mp3(600)
			o := station(t, 0, audio)
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Burst: 1 << 20})
			open(t, h)
			eventually(t, "the audio", func() bool { return h.Status().HeldBytes == int64(len(audio)) })
			edge, far := pair(t)
			far.SetReadBuffer(8 << 10)
			edge.SetWriteBuffer(1 << 20)
			var ours, theirs net.Conn = edge, far
			if secure {
				ours, theirs = secured(t, edge, far)
			}
			p := joinOn(t, h, account(newBook(), "a"), 0, ours, theirs)
			h.mu.Lock()
			h.endAll(listen.SourceGone)
			h.mu.Unlock()
			var body []byte
			for {
				b := make([]byte, 16<<10)
				theirs.SetReadDeadline(time.Now().Add(patience))
				n, err := theirs.Read(b)
				if body = append(body, b[:n]...); err != nil {
					if err != io.EOF {
						t.Errorf("ends with %v", err)
					}
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if r := p.reason(t); r != listen.SourceGone || !bytes.Equal(body, audio) {
				t.Errorf("ended for %q with %d bytes of %d", r, len(body), len(audio))
			}
			if s := p.account.Snapshot(); s.Bytes != int64(len(audio)) {
				t.Errorf("counted %d of %d bytes", s.Bytes, len(audio))
			}
		})
	}
}
