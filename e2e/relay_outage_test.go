package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const reasonGone = `reason="source-gone"`

// mountOf is an entry of the configuration with several places to get the audio from, and more keys.
func mountOf(key, path, more string, sources ...string) string {
	var list strings.Builder
	for _, s := range sources {
		fmt.Fprintf(&list, "%q, ", s)
	}
	return fmt.Sprintf("  - {stream: %q, path: %q, icy: [%s]%s}\n", key, path, strings.TrimSuffix(list.String(), ", "), more)
}

// testRelayOutage: Icecast is stopped under five hundred listeners and started again. All stay, and all hear on.
func testRelayOutage(t *testing.T) {
	const listeners, away = 500, 3 * time.Second
	f := &formats[0]
	w := startTower(t)
	w.air(t, f.codec, 1)
	w.waitOnAir(t, f.mount)
	e := newOutpost(t, "outage", truthTimes, []string{icyStream("k", "/k.mp3", w.url(f.mount))}).start(t)
	a := seatAudience(t, e.listen, "/k.mp3", listeners)
	witness := &recording{agent: "witness"}
	if err := witness.ask(e.listen + "/k.mp3"); err != nil {
		t.Fatal(err)
	}
	defer witness.conn.Close()

	fell := time.Now()
	w.fall()
	a.silent(t, 10*time.Second, time.Second)
	time.Sleep(time.Until(fell.Add(away)))
	w.rise(t)
	w.air(t, f.codec, 2)
	w.waitOnAir(t, f.mount)
	outage := time.Since(fell)
	middle, last := a.resume(t, 30*time.Second)
	if err := witness.hear(time.Now().Add(2 * time.Second)); err != nil {
		t.Errorf("the witness: %v", err)
	}
	if stayed := a.staying(); stayed != listeners {
		t.Errorf("%d of %d listeners stayed", stayed, listeners)
	}
	if n := e.value(t, "earshot_relay_cuts_total", reasonGone); n != 0 {
		t.Errorf("%v listeners were ended for want of a source", n)
	}
	w.waitListeners(t, 20*time.Second, f.mount, 1)
	if err := mostlyWhole(f, witness.body); err != nil {
		t.Errorf("what the witness heard, before and after: %v", err)
	}
	t.Logf("outage %v; %d of %d listeners stayed; first byte after the return: half of them within %v, all within %v; longest gap %v",
		outage.Round(time.Millisecond), a.staying(), listeners, middle.Round(time.Millisecond), last.Round(time.Millisecond),
		a.longestGap().Round(time.Millisecond))
}

// testRelayFailover: when the first mount of a list goes, the second is heard, without a listener leaving; when it is back, so are they.
func testRelayFailover(t *testing.T) {
	first, second := formats[0].codec, formats[0].codec
	first.mount, second.mount = "/first.mp3", "/second.mp3"
	w := startTower(t)
	source := w.air(t, first, 1)
	w.air(t, second, 2)
	w.waitOnAir(t, first.mount, second.mount)
	e := newOutpost(t, "failover", truthTimes,
		[]string{mountOf("k", "/k.mp3", "", w.url(first.mount), w.url(second.mount))}).start(t)
	a := seatAudience(t, e.listen, "/k.mp3", 20)
	w.waitListeners(t, 20*time.Second, first.mount, 1)
	source.end()
	gone := time.Now()
	w.waitListeners(t, 30*time.Second, second.mount, 1)
	over := time.Since(gone)
	_, heard := a.resume(t, 30*time.Second)

	w.air(t, first, 3)
	w.waitOnAir(t, first.mount)
	back := time.Now()
	w.waitListeners(t, 45*time.Second, first.mount, 1)
	w.waitListeners(t, 30*time.Second, second.mount, 0)
	t.Logf("the second mount after %v, heard by all after %v more; the first again after %v; longest gap %v", over.Round(time.Millisecond),
		heard.Round(time.Millisecond), time.Since(back).Round(time.Millisecond), a.longestGap().Round(time.Millisecond))
	a.resume(t, 30*time.Second)
	if n := a.staying(); n != len(a.seats) {
		t.Errorf("%d of %d listeners stayed", n, len(a.seats))
	}
}

// testRelayFile: a file at the end of the list plays round and round while no source does.
func testRelayFile(t *testing.T) {
	f := &formats[0]
	jingle := encodeNoise(t, f, 2*time.Second)
	file := filepath.Join(t.TempDir(), "jingle.mp3")
	if err := os.WriteFile(file, jingle, 0o644); err != nil {
		t.Fatal(err)
	}
	w := startTower(t)
	source := w.air(t, f.codec, 1)
	w.waitOnAir(t, f.mount)
	down := fmt.Sprintf("http://127.0.0.1:%d/", freePort(t))
	e := newOutpost(t, "file", truthTimes, []string{mountOf("k", "/k.mp3", "", w.url(f.mount), down, file)}).start(t)
	r := &recording{agent: "patient"}
	if err := r.ask(e.listen + "/k.mp3"); err != nil {
		t.Fatal(err)
	}
	defer r.conn.Close()
	listen := func(d time.Duration) (heard time.Duration) {
		t.Helper()
		before := r.received
		if err := r.hear(time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
		return time.Duration(float64(r.received-before) / byteRate * float64(time.Second))
	}
	listen(2 * time.Second)
	source.end()
	const long = 10 * time.Second
	if heard := listen(long); heard < long-4*time.Second || heard > long+8*time.Second {
		t.Errorf("%v heard in %v of a file in real time", heard, long)
	}
	part := jingle[len(jingle)/3 : len(jingle)/3+4000]
	if n := bytes.Count(r.body, part); n < 3 || n > 8 {
		t.Errorf("a part of the file was heard %d times in %v; it has two seconds", n, long)
	}
	w.air(t, f.codec, 2)
	w.waitListeners(t, 45*time.Second, f.mount, 1)
	listen(3 * time.Second)
	before := bytes.Count(r.body, part)
	listen(5 * time.Second)
	if now := bytes.Count(r.body, part); now > before {
		t.Errorf("the file still plays, %d times more, though there is a source", now-before)
	}
	if err := mostlyWhole(f, r.body); err != nil {
		t.Error(err)
	}
}

// testRelayPatience: listeners wait for a source as long as the mount says, and are ended then.
func testRelayPatience(t *testing.T) {
	const patient = 4 * time.Second
	f := &formats[0]
	w := startTower(t)
	source := w.air(t, f.codec, 1)
	w.waitOnAir(t, f.mount)
	e := newOutpost(t, "patience", truthTimes,
		[]string{mountOf("k", "/k.mp3", fmt.Sprintf(", patience: %v", patient), w.url(f.mount))}).start(t)
	a := seatAudience(t, e.listen, "/k.mp3", 20)
	gone := time.Now()
	source.end()
	time.Sleep(time.Until(gone.Add(patient / 2)))
	if n := a.staying(); n != len(a.seats) {
		t.Fatalf("%d of %d listeners stayed in half of the mount's patience", n, len(a.seats))
	}
	eventually(t, patient/2+10*time.Second, "the listeners are ended", func() error {
		if n := a.staying(); n > 0 {
			return fmt.Errorf("%d are still there", n)
		}
		return nil
	})
	if took := time.Since(gone); took < patient {
		t.Errorf("they were ended after %v", took)
	}
	if n := e.value(t, "earshot_relay_cuts_total", reasonGone); n != float64(len(a.seats)) {
		t.Errorf("%v listeners were ended for want of a source", n)
	}
}
