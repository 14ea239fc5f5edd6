package relay

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// TestTitleComesInTheMiddle: a first title that comes between the look at what is to be sent and the sending of a part of it moves no block.
func TestTitleComesInTheMiddle(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		l := idle(New(Options{}))
		l.cursor.metaInt, l.cursor.metaLeft = 2, 2
		said := &title{block: block("StreamTitle='Said';")}
		if forgotten {
			l.hub.opening.Store(said)
		}
		var body []byte
		for i, n := range []int{5, 1000} {
			pieces, size, from, then := l.look(nil, time.Now())
			if i == 0 {
				if l.hub.opening.Store(said); forgotten {
					l.hub.opening.Store(nil)
				}
			}
			all := bytes.Join(pieces, nil)
			n = min(n, len(all))
			body = append(body, all[:n]...)
			l.meter.account = account(newBook(), "a")
			l.meter.unsent = func() int64 { return 0 }
			l.sent(n, size, from, then)
		}
		if audio, blocks := untangle(t, body, 2); !bytes.Equal(audio, []byte{1, 2, 3, 1, 2, 3, 1, 2, 3}) {
			t.Errorf("forgotten %v: % x, %+v", forgotten, audio, blocks)
		}
	}
}

// TestUntold: what nobody has said the title of has the one that is said first; but an intro has the present one, and a file none.
func TestUntold(t *testing.T) {
	t.Parallel()
	file := fileOf(t, "off-air.mp3", on(9, 400))
	intro := fileOf(t, "intro.mp3", on(8, 40))
	more, dies := make(chan struct{}), make(chan struct{})
	down := false
	o := newOrigin(t, func(c net.Conn, n int) {
		if down {
			return
		}
		fmt.Fprintf(c, icecastHead, 4170)
		c.Write(interleaved(on(1, 100), 4170, map[int]string{4: "StreamTitle='One';", 6: "StreamTitle='Two';"}))
		until(c, more)
		c.Write(interleaved(on(2, 100), 4170, map[int]string{0: "StreamTitle='Three';"}))
		down = true
		until(c, dies)
	})
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/"), file}, Burst: 1 << 20, Intro: intro})
	open(t, h)
	eventually(t, "the second title", func() bool { return h.Status().Title == "Two" })
	listen := func(what string, n int) string {
		p := join(t, h, account(newBook(), what), 4170)
		eventually(t, what, p.has(n))
		p.leave(t)
		_, blocks := untangle(t, p.received(), 4170)
		said := ""
		for _, b := range blocks {
			said += fmt.Sprint(" ", b.text)
		}
		return said
	}
	// The intro is 40 frames, and a block stands before each tenth.
	want := " StreamTitle='Two';   StreamTitle='One';       StreamTitle='Two';  "
	if said := listen("what there is", (40+99)*frameBytes); said != want {
		t.Errorf("heard %q", said)
	}
	p := join(t, h, account(newBook(), "all along"), 4170)
	close(more)
	eventually(t, "the third title", func() bool { return h.Status().Title == "Three" })
	close(dies)
	eventually(t, "the file", func() bool { return h.Status().Origin == 1 })
	eventually(t, "some of the file", p.has((40+200+20)*frameBytes))
	p.leave(t)
	_, blocks := untangle(t, p.received(), 4170)
	last := "" // a file has no title, and says so
	for _, b := range blocks {
		if b.text != "" {
			last = b.text
		}
	}
	if last != "StreamTitle='';" {
		t.Errorf("in the file the title is %q", last)
	}
}

// TestBehindInTheIntro is not behind at all.
func TestBehindInTheIntro(t *testing.T) {
	path := t.TempDir() + "/intro.mp3"
	if err := os.WriteFile(path, mp3(12_000), 0o600); err != nil {
		t.Fatal(err)
	}
	o := station(t, 0, mp3(100))
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Intro: path})
	open(t, h)
	edge, far := pair(t)
	edge.SetWriteBuffer(16 << 10)
	p := joinOn(t, h, account(newBook(), "a"), 0, edge, far)
	var heard Listening
	eventually(t, "some of the intro", func() bool {
		h.Listening(func(l Listening) bool { heard = l; return true })
		return heard.Bytes > 0
	})
	if heard.Behind != 0 {
		t.Errorf("behind by %v", heard.Behind)
	}
	p.leave(t)
}

// TestNoFloodAtThePaceOfTime: a stream that comes as time goes by has nobody woken before his turn, however little of it is kept.
func TestNoFloodAtThePaceOfTime(t *testing.T) {
	for _, rewind := range []time.Duration{time.Second, 4 * time.Second, time.Minute} {
		floods := 0
		r := newRing(Mount{Rewind: rewind}.withDefaults(new(Options)), func() { floods++ })
		r.begin(1)
		began, pos := time.Now(), int64(0)
		r.look(began)
		for i := range 100 {
			c := &chunk{data: make([]byte, 4800), start: pos, end: pos + 3e8}
			r.mu.Lock()
			r.total += int64(len(c.data))
			r.media += 3e8
			r.look(began.Add(time.Duration(i) * 300 * time.Millisecond))
			r.mu.Unlock()
		}
		if floods > 0 {
			t.Errorf("rewind %v: %d floods", rewind, floods)
		}
	}
}
