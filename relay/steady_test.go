package relay

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"earshot/listen"
)

// visited is a listener whom the test visits as his writer does, who reads all he is sent. publish appends a second of audio.
func visited(t testing.TB, metaInt int) (l *listener, publish func()) {
	r := New(Options{})
	w := newWriter(r)
	w.begun.Do(func() {})
	w.poll = newPoll()
	h := newHub(r, Mount{Key: "k"}.withDefaults(&r.opt), false)
	h.ring.begin(1)
	edge, far := pair(t)
	var reading sync.WaitGroup
	reading.Go(func() { io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{far}, make([]byte, 64<<10)) })
	l = newListener(h, Join{Conn: edge, MetaInt: metaInt, Account: account(newBook(), "a"), Stream: "k"})
	l.begin(h.ring.join())
	l.writer = w
	w.admit(l)
	t.Cleanup(func() {
		w.let(l)
		l.leave(listen.Left)
		w.poll.close()
		far.Close()
		reading.Wait()
	})
	// All is made before, so that to publish it leaves no garbage either.
	chunks, titles := make([]chunk, 4*ready), make([]title, ready/5)
	for i := range titles {
		titles[i].block = block(fmt.Sprintf("StreamTitle='%d';", i))
	}
	h.ring.chunks = make([]*chunk, 0, len(chunks))
	pos, data := int64(0), mp3(10)
	return l, func() {
		if len(chunks) == 0 {
			chunks = make([]chunk, 4*ready)
		}
		for i := range chunks[:4] {
			c := &chunks[i]
			c.data, c.start, c.end, c.entry, c.title = data, pos, pos+25e7, true, &titles[pos/5e9%int64(len(titles))]
			h.ring.publish(1, c)
			pos = c.end
		}
		chunks = chunks[4:]
	}
}

// ready is how many seconds of audio are made at once.
const ready = 100

// TestVisitsLeaveNoGarbage, whether metadata goes between the audio or not, and whether there is something to send or not; and nothing of what
// was sent is held on to.
func TestVisitsLeaveNoGarbage(t *testing.T) {
	for _, metaInt := range []int{0, 16000} {
		l, publish := visited(t, metaInt)
		w := l.writer
		for range 10 { // room for all is made
			publish()
			w.visit(l, time.Now())
		}
		if l.place.pace != steady {
			t.Fatalf("has pace %d", l.place.pace)
		}
		before := l.meter.written.Load()
		const n = 50
		garbage := testing.AllocsPerRun(n, func() {
			publish()
			w.visit(l, time.Now())
			w.visit(l, time.Now()) // there is nothing
			time.Sleep(time.Millisecond)
			w.poll.each(func(l *listener, left bool) { w.woken(l, left, time.Now()) })
		})
		if garbage != 0 {
			t.Errorf("metaint %d: %v allocations in a visit", metaInt, garbage)
		}
		if sent := l.meter.written.Load() - before; sent < n*4*10*frameBytes {
			t.Errorf("metaint %d: %d bytes were sent", metaInt, sent)
		}
		for _, p := range w.pieces[:cap(w.pieces)] {
			if p != nil {
				t.Fatal("a piece that was sent is held on to")
			}
		}
	}
}

// BenchmarkVisit is what a second of one listener costs his writer, with the socket.
//
//	go test ./relay -run '^$' -bench Visit
func BenchmarkVisit(b *testing.B) {
	for _, metaInt := range []int{0, 16000} {
		b.Run(fmt.Sprintf("metaint=%d", metaInt), func(b *testing.B) {
			l, publish := visited(b, metaInt)
			b.ReportAllocs()
			for b.Loop() {
				publish()
				l.writer.visit(l, time.Now())
			}
		})
	}
}
