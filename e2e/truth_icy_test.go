package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// dial is one listener of a mount and how he behaves.
type dial struct {
	name string
	tuner
	listen func(u *tuner, edge, path string) error
}

// atEase listens for six seconds and says goodbye.
func atEase(u *tuner, edge, path string) error {
	if err := u.tune(edge, path); err != nil {
		return err
	}
	return u.untilBored(6 * time.Second)
}

// untilBored listens for so long, takes what comes after the goodbye too, and finds the connection closed.
func (u *tuner) untilBored(d time.Duration) error {
	bored := time.Now().Add(d)
	if err := u.hear(func() bool { return time.Now().After(bored) }); !errors.Is(err, errLeft) {
		return fmt.Errorf("the edge ended it: %w", errOrNone(err))
	}
	return u.part()
}

// abrupt hangs up in the middle.
func abrupt(u *tuner, edge, path string) error {
	if err := u.tune(edge, path); err != nil {
		return err
	}
	if err := u.hear(func() bool { return total(u.read) > 90_000 }); !errors.Is(err, errLeft) {
		return fmt.Errorf("the edge ended it: %w", errOrNone(err))
	}
	return u.vanish()
}

// deaf reads a little, then nothing for some seconds, and hangs up: most of what the edge has written never arrived.
func deaf(u *tuner, edge, path string) error {
	if err := u.tune(edge, path); err != nil {
		return err
	}
	if err := u.hear(func() bool { return total(u.read) > 20_000 }); !errors.Is(err, errLeft) {
		return fmt.Errorf("the edge ended it: %w", errOrNone(err))
	}
	time.Sleep(4 * time.Second)
	return u.vanish()
}

// twice comes back with the same id and is given a burst that it has heard already.
func twice(u *tuner, edge, path string) error {
	for range 2 {
		if err := u.tune(edge, path); err != nil {
			return err
		}
		if err := u.untilBored(2 * time.Second); err != nil {
			return err
		}
	}
	return nil
}

func dials() []*dial {
	return []*dial{
		{name: "first", listen: atEase},
		{name: "plain", listen: atEase},
		{name: "HTTP 1.0", listen: atEase, tuner: tuner{protocol: "HTTP/1.0"}},
		{name: "titles", listen: atEase, tuner: tuner{metadata: true}},
		{name: "titles, HTTP 1.0", listen: atEase, tuner: tuner{metadata: true, protocol: "HTTP/1.0"}},
		{name: "titles, id", listen: atEase, tuner: tuner{metadata: true, id: "my-radio"}},
		{name: "small window", listen: atEase, tuner: tuner{window: smallWindow}},
		{name: "abrupt", listen: abrupt, tuner: tuner{window: smallWindow}},
		{name: "abrupt, titles", listen: abrupt, tuner: tuner{window: smallWindow, metadata: true}},
		{name: "deaf", listen: deaf, tuner: tuner{window: 4 << 10}},
		{name: "twice", listen: twice, tuner: tuner{id: "again"}},
	}
}

// TestTruthICY: bytes, metadata included, and frames: what the database says equals what listeners received.
func TestTruthICY(t *testing.T) {
	t.Parallel()
	x := startTransmitter(t, 160)
	e := newOutpost(t, "icy", truthTimes, []string{icyStream("radio", "/radio.mp3", x.url())}).start(t)
	all := dials()
	var listening sync.WaitGroup
	for i, d := range all {
		d.agent, d.address = "truth/"+d.name, fmt.Sprintf("203.0.113.%d", i+1)
		listening.Go(func() {
			if err := d.listen(&d.tuner, e.listen, "/radio.mp3"); err != nil {
				t.Errorf("%s: %v", d.name, err)
			}
		})
	}
	listening.Wait()
	e.waitClosed(t, 30*time.Second)
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) { d.compare(t, e) })
	}
	metrics := mustGet(t, e.admin+"/metrics")
	bytes := e.number(t, `SELECT sum(bytes) FROM listen_events`)
	if got := sample(metrics, "earshot_sent_bytes_total", `kind="icy"`, `stream="radio"`); got != float64(bytes) {
		t.Errorf("/metrics says %.0f bytes, the events %d", got, bytes)
	}
	t.Logf("compared %d bytes of %d listeners", bytes, len(all))
}

func (d *dial) compare(t *testing.T, e *outpost) {
	a := e.account(t, d.agent)
	if want := d.bytes(); !want.holds(float64(a.bytes), 0) {
		t.Errorf("%d bytes in the books; %.0f to %.0f received", a.bytes, want.least, want.most)
	}
	want := d.seconds()
	if got := float64(a.ms) / 1000; !want.holds(got, max(want.least/1000, frameSeconds)) {
		t.Errorf("%.3f s in the books; %.3f to %.3f received", got, want.least, want.most)
	}
	d.checkRow(t, &a)
	for title := range d.titles {
		if !strings.HasPrefix(title, "StreamTitle='Song ") {
			t.Errorf("a title is %q", title)
		}
	}
	if d.metadata && len(d.titles) == 0 {
		t.Error("no title came")
	}
	t.Logf("%d bytes of %.0f to %.0f, %.3f s of %.3f to %.3f", a.bytes, d.bytes().least, d.bytes().most, float64(a.ms)/1000, want.least, want.most)
}

func (d *dial) checkRow(t *testing.T, a *account) {
	t.Helper()
	if a.sessions != 1 || a.starts != 0 || d.id != "" && a.ids != d.id {
		t.Errorf("%d sessions (%s), %d zero events", a.sessions, a.ids, a.starts)
	}
	if a.kinds != "icy" || a.groups != "radio" || a.streams != "radio" || a.ips != d.address || a.running != a.ms {
		t.Errorf("kinds %s, groups %s, streams %s, addresses %s, running total %d of %d", a.kinds, a.groups, a.streams, a.ips, a.running, a.ms)
	}
	if a.rows != 1 || a.rowBytes != a.bytes || a.rowMS != a.ms || a.rowStreams != "radio" || a.rowKinds != "icy" {
		t.Errorf("%d rows with %d bytes and %d ms; the events have %d and %d", a.rows, a.rowBytes, a.rowMS, a.bytes, a.ms)
	}
	came, went := d.first(), d.last()
	heard, late := went.Sub(came), stoodStill(came.Add(-5*time.Second), went.Add(5*time.Second))
	if elapsed := time.Duration(a.rowElapsed) * time.Millisecond; len(d.held) == 0 && (elapsed-heard).Abs() > 2*time.Second+late {
		t.Errorf("%v elapsed, the listener read for %v", elapsed, heard)
	}
}
