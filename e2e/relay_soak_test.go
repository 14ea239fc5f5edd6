package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soakTime is how long listeners come and go. EARSHOT_SOAK=10m has it take so long.
func soakTime(t testing.TB) time.Duration {
	text := os.Getenv("EARSHOT_SOAK")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("EARSHOT_SOAK: %v", err)
	}
	return d
}

// visitors is one kind of them: how they behave, and what became of them all.
type visitors struct {
	agent string
	share int // of all, in per cent
	exact bool
	visit func(p *recording, url string) error

	came, received atomic.Int64
	held           atomic.Int64 // what their kernels may have had of the edge when they left
}

func soakVisitors(d time.Duration) []*visitors {
	return []*visitors{
		{agent: "soak/polite", share: 45, exact: true, visit: polite},
		{agent: "soak/titles", share: 15, exact: true, visit: func(p *recording, url string) error {
			p.header = append(p.header, "Icy-MetaData: 1")
			return polite(p, url)
		}},
		{agent: "soak/abrupt", share: 30, visit: func(p *recording, url string) error {
			p.window = 8 << 10 // so that little may be under way when he leaves
			return p.record(url, time.Duration(rand.IntN(2500))*time.Millisecond, (*recording).hangUp)
		}},
		{agent: "soak/deaf", share: 6, visit: func(p *recording, url string) error { return deafly(p, url, min(d/3, time.Minute)) }},
		{agent: "soak/knock", share: 4, exact: true, visit: breakOff},
	}
}

// polite listens and says goodbye.
func polite(p *recording, url string) error {
	return p.record(url, time.Duration(rand.IntN(2500))*time.Millisecond, (*recording).part)
}

// deafly never reads a byte of audio. Who stays for long is cut off.
func deafly(p *recording, url string, most time.Duration) error {
	p.window = 4 << 10
	if err := p.ask(url); err != nil {
		return err
	}
	time.Sleep(rand.N(most))
	return p.hangUp()
}

// breakOff leaves in the middle of what it had to say.
func breakOff(p *recording, url string) error {
	c, err := dialWindow(url[len("http://"):len(url)-len(soakPath)], 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nUser-Agent: %s\r\n", soakPath, p.agent)
	return errors.Join(err, c.Close())
}

const soakPath = "/k.mp3"

// TestSoak: listeners come and go, hundreds a second, some without a word and some without listening. What they leave behind is nothing but
// their rows, in which every byte is.
func TestSoak(t *testing.T) {
	t.Parallel()
	f := &formats[0]
	w := startTower(t)
	w.air(t, f.codec, 1)
	w.waitOnAir(t, f.mount)
	e := newOutpost(t, "soak", truthTimes, []string{icyStream("k", soakPath, w.url(f.mount))}).start(t)
	steady := &recording{agent: "steady"}
	if err := steady.ask(e.listen + soakPath); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() { steady.stay(t, stop) })

	kinds := soakVisitors(soakTime(t))
	visitFor(t, e, kinds, time.Second) // what is kept for later use is made
	before := e.settle(t, nil)
	most := visitFor(t, e, kinds, soakTime(t))
	after := e.settle(t, before)
	close(stop)
	listening.Wait()
	e.waitClosed(t, 30*time.Second)
	t.Logf("at most %.0f listeners at once; before %+v, after %+v", most, *before, *after)
	for _, k := range kinds {
		k.compare(t, e)
	}
	if _, err := wholeFrames(f, steady.body); err != nil {
		t.Errorf("what the steady listener heard: %v", err)
	}
	if a := e.account(t, "steady"); a.bytes != steady.received || a.rows != 1 {
		t.Errorf("the steady listener has %d bytes in the books in %d rows, and received %d", a.bytes, a.rows, steady.received)
	}
	events := e.number(t, `SELECT sum(bytes) FROM listen_events`)
	if got := sample(mustGet(t, e.admin+"/metrics"), "earshot_sent_bytes_total"); got != float64(events) {
		t.Errorf("/metrics says %.0f bytes, the events %d", got, events)
	}
	if lost := e.value(t, "earshot_events_lost_total"); lost != 0 {
		t.Errorf("%v events were lost", lost)
	}
}

// stay listens until told to leave, and notes if it had to wait.
func (p *recording) stay(t *testing.T, stop chan struct{}) {
	for last := lived(); ; {
		before := p.received
		if err := p.hear(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Errorf("the steady listener: %v", err)
			p.conn.Close()
			return
		}
		if p.received > before {
			last = lived()
		} else if wait := lived() - last; wait > patience {
			t.Errorf("the steady listener has heard nothing for %v", wait)
			last = lived()
		}
		select {
		case <-stop:
			if err := p.part(); err != nil {
				t.Errorf("the steady listener: %v", err)
			}
			return
		default:
		}
	}
}

// visitFor sends visitors for so long, waits until all have left, and returns how many listened at once at most.
func visitFor(t *testing.T, e *outpost, kinds []*visitors, d time.Duration) (most float64) {
	t.Helper()
	const perSecond = 200
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	var visiting sync.WaitGroup
	var complaints atomic.Int64
	began := time.Now()
	for n := 0; time.Since(began) < d; n++ {
		<-tick.C
		k := draw(kinds)
		visiting.Go(func() {
			if err := k.send(e.listen + soakPath); err != nil && complaints.Add(1) <= 5 {
				t.Errorf("%s: %v", k.agent, err)
			}
		})
		if n%perSecond == 0 {
			most = max(most, e.value(t, "earshot_listeners", `kind="icy"`))
		}
	}
	visiting.Wait()
	return most
}

func draw(kinds []*visitors) *visitors {
	n := rand.IntN(100)
	for _, k := range kinds {
		if n -= k.share; n < 0 {
			return k
		}
	}
	return kinds[0]
}

func (k *visitors) send(url string) error {
	n := rand.Uint32()
	p := &recording{agent: k.agent, forget: true, address: fmt.Sprintf("203.%d.%d.%d", byte(n>>16), byte(n>>8), byte(n))}
	err := k.visit(p, url)
	k.came.Add(1)
	k.received.Add(p.received)
	k.held.Add(p.held)
	return err
}

// compare: every byte that they received is in the books, and no other, but for what was under way when they left.
func (k *visitors) compare(t *testing.T, e *outpost) {
	t.Helper()
	a := e.account(t, k.agent)
	booked, received, allowed := a.bytes, k.received.Load(), k.held.Load()
	if k.exact {
		allowed = 0
	}
	if off := booked - received; off < 0 || off > allowed {
		t.Errorf("%s: %d bytes in the books, %d received; the difference may be 0 to %d", k.agent, booked, received, allowed)
	}
	if a.rowBytes+a.ignoredBytes != booked {
		t.Errorf("%s: %d bytes in rows and %d in ignored events; %d in all events", k.agent, a.rowBytes, a.ignoredBytes, booked)
	}
	t.Logf("%s: %d came; %d bytes in the books, %d received, difference %d of %d allowed", k.agent, k.came.Load(), booked, received,
		booked-received, allowed)
}

// resources is what an edge uses.
type resources struct {
	goroutines, descriptors int
	heap, resident          int64 // bytes; the heap after a collection
}

// settle waits until nobody but the steady listener is left and returns what the edge uses then; with before, it is to be no more than that,
// but for what a server may keep: some goroutines of the database, some buffers in pools.
func (e *outpost) settle(t *testing.T, before *resources) *resources {
	t.Helper()
	const goroutines, descriptors, heap, resident = 8, 8, 12 << 20, 96 << 20
	var now resources
	eventually(t, 40*time.Second, "the edge is as it was before", func() error {
		now = resources{heap: int64(e.heap(t)), goroutines: int(e.value(t, "go_goroutines")), descriptors: int(e.value(t, "process_open_fds")),
			resident: int64(e.value(t, "process_resident_memory_bytes"))}
		if n, open := e.value(t, "earshot_listeners", `kind="icy"`), e.value(t, "earshot_open_sessions"); n != 1 || open != 1 {
			return fmt.Errorf("%v listeners, %v open sessions", n, open)
		}
		if before == nil {
			return nil
		}
		if now.goroutines > before.goroutines+goroutines || now.descriptors > before.descriptors+descriptors ||
			now.heap > before.heap+heap || now.resident > before.resident+resident {
			return fmt.Errorf("%+v, and %+v before", now, *before)
		}
		return nil
	})
	return &now
}
