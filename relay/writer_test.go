package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"earshot/listen"
)

// radio is an origin that sends frames at rate times the pace of time, numbered from 0, with a title every second of media.
func radio(t testing.TB, rate float64, interval int) *origin {
	return newOrigin(t, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, interval)
		const n = 3000
		audio := mp3(n)
		body := audio
		if interval > 0 {
			titles := make(map[int]string)
			for i := range n * frameBytes / interval {
				titles[i] = fmt.Sprintf("StreamTitle='It''s %d';", i/2) // an apostrophe needs no escape
			}
			body = interleaved(audio, interval, titles)
		}
		perFrame := float64(len(body)) / n
		for began, sent := time.Now(), 0; ; time.Sleep(20 * time.Millisecond) {
			due := min(len(body), int(perFrame*rate*float64(time.Since(began))/float64(framesTime(1))))
			if _, err := c.Write(body[sent:due]); err != nil {
				return
			}
			if sent = due; sent == len(body) {
				untilClosed(c)
				return
			}
		}
	})
}

// runsOn checks that audio is frames of the radio without a gap, and returns the number of the first.
func runsOn(t *testing.T, audio []byte) (first int) {
	t.Helper()
	all := mp3(3000)
	first = bytes.Index(all, audio[:min(len(audio), frameBytes)])
	if first < 0 || first%frameBytes != 0 {
		t.Fatalf("%d bytes do not begin at a frame", len(audio))
	}
	if rest := all[first:]; len(rest) < len(audio) || !bytes.Equal(rest[:len(audio)], audio) {
		t.Fatalf("%d bytes from frame %d on are not what the source sent", len(audio), first/frameBytes)
	}
	return first / frameBytes
}

// sip reads a little at a time, by chance, until n bytes have come or the end has.
func sip(c net.Conn, n int, pause time.Duration) (body []byte) {
	for len(body) < n {
		b := make([]byte, 1+rand.IntN(7000))
		c.SetReadDeadline(time.Now().Add(patience))
		k, err := c.Read(b)
		if body = append(body, b[:k]...); err != nil {
			return body
		}
		time.Sleep(rand.N(pause))
	}
	return body
}

// TestSips: whoever reads in fits and starts from small buffers has what everybody has, with the metadata in its place, whether the relay
// writes to his socket itself or not, and pays for what he had.
func TestSips(t *testing.T) {
	t.Parallel()
	o := radio(t, 20, 4000)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Rewind: 10 * time.Minute})
	open(t, h)
	eventually(t, "the first title", func() bool { return h.Status().Title != "" })
	book := newBook()
	var readers sync.WaitGroup
	for i := range 40 {
		metaInt := []int{0, 1, 997, 16000}[i%4]
		edge, far := pair(t)
		far.SetReadBuffer(64 << 10)
		edge.SetWriteBuffer(16 << 10)
		var ours, theirs net.Conn = edge, far
		if i%5 == 0 {
			ours, theirs = secured(t, edge, far)
		}
		p := joinOn(t, h, account(book, strconv.Itoa(i)), metaInt, ours, theirs)
		readers.Go(func() {
			body := sip(theirs, 100_000, 8*time.Millisecond)
			audio, blocks := body, []told(nil)
			if metaInt > 0 {
				audio, blocks = untangle(t, body, metaInt)
			}
			first := runsOn(t, audio)
			checkTitles(t, blocks, first)
			theirs.Close()
			far.SetLinger(0)
			<-p.left
			// What was on the wire when he left he has not read. Of a record of TLS that the kernel had not taken whole,
			// what it had taken is told as unsent.
			over := 0
			if i%5 == 0 {
				over = 17 << 10
			}
			if s := p.account.Snapshot(); s.Bytes < int64(len(body)-over) || s.Bytes > int64(len(body))+512<<10 || s.Transfers != 0 {
				t.Errorf("%d: read %d, counted %d", i, len(body), s.Bytes)
			}
		})
	}
	readers.Wait()
}

// checkTitles: each block carries the title of the frame that goes on after it; where it says nothing, the one before still holds.
func checkTitles(t *testing.T, blocks []told, first int) {
	t.Helper()
	current := ""
	for i, b := range blocks {
		if b.text != "" {
			current = b.text
		}
		if i == 0 && b.text == "" {
			t.Error("the first block says nothing")
		}
		at := first*frameBytes + b.at
		// A title comes with the first frame that begins after it: block j of the origin stood before byte 4000*(j+1).
		frame := (at + frameBytes - 1) / frameBytes * frameBytes
		if at%frameBytes != 0 {
			frame -= frameBytes // the byte after the block is of a frame that has begun
		}
		j := frame/4000 - 1
		if want := fmt.Sprintf("StreamTitle='It''s %d';", max(0, j)/2); j >= 0 && current != want {
			t.Errorf("at %d of the audio: %q, and not %q", at, current, want)
		}
	}
}

// secured is both ends of a TLS connection over TCP.
func secured(t *testing.T, edge, far net.Conn) (ours, theirs net.Conn) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	config := s.TLS.Clone()
	config.NextProtos = nil
	server, client := tls.Server(edge, config), tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server, client
}

// TestNobodyWaits: while some take nothing at all, all others are sent to as if those were not there.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	book := newBook()
	for i := range 50 {
		edge, far := pair(t)
		edge.SetWriteBuffer(2 << 10)
		far.SetReadBuffer(2 << 10)
		joinOn(t, h, account(book, "deaf"+strconv.Itoa(i)), 0, edge, far)
	}
	p := join(t, h, account(book, "quick"), 0)
	began := time.Now()
	var longest, still time.Duration // without audio; that the machine let a nap take
	for n, last := 0, time.Now(); time.Since(began) < 4*time.Second; {
		slept := time.Now()
		time.Sleep(5 * time.Millisecond)
		still = max(still, time.Since(slept))
		if now := len(p.received()); now > n {
			if n > 0 {
				longest = max(longest, time.Since(last))
			}
			n, last = now, time.Now()
		}
	}
	if longest > 1500*time.Millisecond+3*still {
		t.Errorf("the longest gap is %v, and the machine stood still for %v", longest, still)
	}
	runsOn(t, p.received())
}

// TestTrial: who looks and leaves was never there; who stays was, from his first byte.
func TestTrial(t *testing.T) {
	t.Parallel()
	o := radio(t, 1, 0)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}})
	open(t, h)
	book := newBook()
	asked := 0
	join := func(admit func() (*listen.Account, error)) *player {
		edge, far := pair(t)
		p := &player{conn: far, left: make(chan listen.Reason, 2)}
		err := h.Join(Join{Conn: edge, Stream: "k", Admit: admit, OnLeave: func(l Left) { p.left <- l.Reason }})
		if err != nil {
			t.Fatal(err)
		}
		p.read()
		t.Cleanup(func() { far.Close(); p.reading.Wait() })
		return p
	}
	looker := join(func() (*listen.Account, error) { asked++; return account(book, "looker"), nil })
	eventually(t, "some audio", looker.has(1000))
	if r := looker.leave(t); r != listen.Left || asked != 0 || book.Len() != 0 {
		t.Errorf("left for %q, %d asked for an account, %d accounts", r, asked, book.Len())
	}
	stayer := join(func() (*listen.Account, error) { return account(book, "stayer"), nil })
	eventually(t, "audio beyond the trial", stayer.has(40_000))
	h.Listening(func(l Listening) bool {
		if l.ID != "stayer" {
			t.Errorf("listening: %q", l.ID)
		}
		return true
	})
	if n := h.End("stayer", listen.Kicked); n != 1 {
		t.Errorf("ended %d", n)
	}
	if r := stayer.reason(t); r != listen.Kicked {
		t.Errorf("ended for %q", r)
	}
	eventually(t, "the end", func() bool { stayer.mu.Lock(); defer stayer.mu.Unlock(); return stayer.ended })
	a, _ := book.Find(account(book, "stayer").Who().Key)
	if s := a.Snapshot(); s.Bytes != int64(len(stayer.received())) || s.Transfers != 0 {
		t.Errorf("received %d, counted %d", len(stayer.received()), s.Bytes)
	}
	refused := join(func() (*listen.Account, error) { return nil, fmt.Errorf("no") })
	if r := refused.reason(t); r != listen.Refused {
		t.Errorf("cut for %q", r)
	}
}
