package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// drainLimit is what serve.go gives requests and listeners to come to an end, and some time to store what was heard.
const drainLimit = 20 * time.Second

// TestDrain: asked to stop, the edge accepts nobody new, lets bodies on their way come to their end, ends the listeners of mounts, stores every
// byte that it has sent, and exits with 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := startStudio(t, &show{name: "vod", length: 200, bulk: 2_000_000}, &show{name: "film", length: 45, ranged: true, bulk: 300_000})
	x := startTransmitter(t, 160)
	o := newOutpost(t, "drain", truthTimes, append(s.streams(), icyStream("radio", "/radio.mp3", x.url())))
	o.launch(t)
	o.waitReady(t)

	var listening sync.WaitGroup
	tuners, receivers := drainTuners(), drainReceivers(s, o)
	for _, u := range tuners {
		listening.Go(func() { u.untilEnded(t, o.listen) })
	}
	for i, r := range receivers {
		listening.Go(func() { r.untilRefused(t, i%2) })
	}
	hurry := make(chan struct{})
	film := &receiver{hurry: hurry, agent: "drain/film", address: "198.51.100.99", studio: s, edges: []string{o.listen}, window: smallWindow,
		pace: 3 * time.Millisecond}
	receivers = append(receivers, film)
	listening.Go(func() { film.whole(t) })
	waitHeard(t, o, len(tuners)+len(receivers))

	began := time.Now()
	o.proc.signal(syscall.SIGTERM)
	eventually(t, 5*time.Second, "nobody new is let in", func() error {
		c, err := net.Dial("tcp", strings.TrimPrefix(o.listen, "http://"))
		if err == nil {
			c.Close()
			return errors.New("a connection was accepted")
		}
		return nil
	})
	close(hurry) // the edge waits for ten seconds, and a busy machine is slow
	if err := o.proc.wait(t, drainLimit); err != nil {
		t.Errorf("the edge, asked to stop: %v", err)
	}
	took := time.Since(began)
	listening.Wait()

	var bytes int64
	for _, u := range tuners {
		bytes += compareDrained(t, o, u.agent, &u.ledger)
	}
	for _, r := range receivers {
		bytes += compareDrained(t, o, r.agent, &r.ledger)
	}
	o.start(t)
	o.waitClosed(t, 20*time.Second)
	rows := o.number(t, `SELECT sum(bytes) FROM sessions`)
	if ignored := o.number(t, `SELECT COALESCE(sum(bytes), 0) FROM listen_events WHERE state = 2`); rows+ignored != bytes {
		t.Errorf("after a restart the sessions come to %d bytes, and %d ignored; %d were received", rows, ignored, bytes)
	}
	t.Logf("drained in %v; compared %d bytes of %d listeners", took, bytes, len(tuners)+len(receivers))
}

func drainTuners() (tuners []*tuner) {
	for i := range 6 {
		tuners = append(tuners, &tuner{agent: fmt.Sprintf("drain/icy-%d", i), address: fmt.Sprintf("203.0.113.%d", 50+i), metadata: i%2 == 0})
	}
	return tuners
}

// drainReceivers read so slowly that most are in the middle of a body at any time.
func drainReceivers(s *studio, o *outpost) (receivers []*receiver) {
	for i := range 6 {
		receivers = append(receivers, &receiver{agent: fmt.Sprintf("drain/hls-%d", i), address: fmt.Sprintf("198.51.100.%d", 50+i),
			studio: s, edges: []string{o.listen}, window: smallWindow, pace: 15 * time.Millisecond})
	}
	return receivers
}

// untilEnded listens until the edge ends it.
func (u *tuner) untilEnded(t *testing.T, edge string) {
	if err := u.tune(edge, "/radio.mp3"); err != nil {
		t.Errorf("%s: %v", u.agent, err)
		return
	}
	defer u.conn.Close()
	if err := u.hear(func() bool { return false }); err != nil {
		t.Errorf("%s: %v", u.agent, err)
	}
}

// untilRefused plays until the edge takes no more requests. What it has begun to send must come whole.
func (r *receiver) untilRefused(t *testing.T, variant int) {
	defer r.close()
	tracks, err := r.open("vod")
	if err != nil {
		t.Errorf("%s: %v", r.agent, err)
		return
	}
	err = r.take(tracks[variant], tracks[variant].segments)
	if err == nil || errors.Is(err, errTorn) || errors.Is(err, errStatus) {
		t.Errorf("%s: %v; want to be refused between two segments", r.agent, errOrNone(err))
	}
}

// whole fetches a film in one piece that is more than the kernels hold: the edge has to wait for it. Its playlist is unknown, so it has no time.
func (r *receiver) whole(t *testing.T) {
	defer r.close()
	if err := r.fetch(piece{url: r.at("film", "hi/"+fileName), offset: -1}, "", 0); err != nil {
		t.Errorf("%s: %v", r.agent, err)
	}
}

// waitHeard waits until that many listeners are heard.
func waitHeard(t *testing.T, o *outpost, listeners int) {
	t.Helper()
	eventually(t, 30*time.Second, "all listeners are in the books", func() error {
		if n := o.number(t, `SELECT count(DISTINCT user_agent) FROM listen_events WHERE bytes > 10000`); n < int64(listeners) {
			return fmt.Errorf("%d of %d", n, listeners)
		}
		return nil
	})
}

// compareDrained compares the events that a stopped edge has stored, and returns their bytes.
func compareDrained(t *testing.T, o *outpost, agent string, l *ledger) int64 {
	t.Helper()
	a := o.account(t, agent)
	if want := l.bytes(); float64(a.bytes) != want.least {
		t.Errorf("%s: %d bytes stored, %.0f received", agent, a.bytes, want.least)
	}
	if want, got := l.seconds().least, float64(a.ms)/1000; got < want*0.999-frameSeconds || got > want*1.001+frameSeconds {
		t.Errorf("%s: %.3f s stored, %.3f received", agent, got, want)
	}
	return a.bytes
}

// TestDrainSlow: a listener who is behind when the edge is asked to stop still gets what the kernel holds for him, so the books must have it.
func TestDrainSlow(t *testing.T) {
	t.Parallel()
	x := startTransmitter(t, 160)
	o := newOutpost(t, "slow", truthTimes, []string{icyStream("radio", "/radio.mp3", x.url())})
	o.launch(t)
	o.waitReady(t)
	u := &tuner{agent: "drain/slow", address: "203.0.113.99", window: 4 << 10}
	if err := u.tune(o.listen, "/radio.mp3"); err != nil {
		t.Fatal(err)
	}
	defer u.conn.Close()
	if err := u.hear(func() bool { return total(u.read) > 5_000 }); !errors.Is(err, errLeft) {
		t.Fatal(errOrNone(err))
	}
	waitHeard(t, o, 1)
	o.proc.signal(syscall.SIGTERM)
	if err := o.proc.wait(t, drainLimit); err != nil {
		t.Errorf("the edge, asked to stop: %v", err)
	}
	behind := total(u.read)
	if err := u.hear(func() bool { return false }); err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes came after the edge had ended", total(u.read)-behind)
	compareDrained(t, o, u.agent, &u.ledger)
}
