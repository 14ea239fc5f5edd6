package e2e

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// devices are what receivers and phones do, as they do it.
var devices = map[string]func(t *testing.T, e *outpost){
	"a probe":                 probing,
	"a range that stays":      ranging,
	"HTTP 1.0":                oldReceiver,
	"Icy-MetaData 0":          noMetadata,
	"case":                    wireCase,
	"Safari's two sockets":    safari,
	"a probe and its session": probeThenPlay,
}

// testRelayDevices: what old and new devices do at a mount is understood, and what they are told is what they understand.
func testRelayDevices(t *testing.T) {
	f := &formats[0]
	w := startTower(t)
	w.air(t, f.codec, 1)
	w.waitOnAir(t, f.mount)
	e := newOutpost(t, "devices", truthTimes, []string{icyStream("k", "/k.mp3", w.url(f.mount))}).start(t)
	untouched(t, w, e, f)
	todo := make(map[string]func(*testing.T))
	for name, do := range devices {
		todo[name] = func(t *testing.T) { do(t, e) }
	}
	together(t, todo)
	headKnown(t, e)
}

// untouched: HEAD of a mount that nobody hears is answered without asking Icecast.
func untouched(t *testing.T, w *tower, e *outpost, f *format) {
	t.Helper()
	r := &recording{agent: "head", method: "HEAD"}
	if err := r.ask(e.listen + "/k.mp3"); err != nil {
		t.Fatal(err)
	}
	defer r.conn.Close()
	if err := r.ok(); err != nil {
		t.Error(err)
	}
	if asked := strings.Count(w.proc.output(t), `"GET `+f.mount); asked > 0 {
		t.Errorf("HEAD had Icecast asked %d times", asked)
	}
	w.waitListeners(t, 10*time.Second, f.mount, 0)
	nothingInTheBooks(t, e, "head")
}

// headKnown: once the mount has been heard, HEAD says what Icecast says of it.
func headKnown(t *testing.T, e *outpost) {
	t.Helper()
	r := &recording{agent: "head", method: "HEAD"}
	if err := r.ask(e.listen + "/k.mp3"); err != nil {
		t.Fatal(err)
	}
	defer r.conn.Close()
	if r.fields["icy-name"] != "Relay" || r.fields["Content-Type"] != "audio/mpeg" {
		t.Errorf("HEAD: %q", r.fields)
	}
	nothingInTheBooks(t, e, "head")
}

// nothingInTheBooks waits until a session would have been written, and finds none.
func nothingInTheBooks(t *testing.T, e *outpost, agent string) {
	t.Helper()
	time.Sleep(1500 * time.Millisecond) // longer than a slice
	if a := e.account(t, agent); a.events != 0 || a.rows != 0 {
		t.Errorf("%s: %d events, %d rows", agent, a.events, a.rows)
	}
}

// probing is what iOS does first: two bytes, and away.
func probing(t *testing.T, e *outpost) {
	probeMount(t, e, "probe", "")
	nothingInTheBooks(t, e, "probe")
}

// probeMount asks for two bytes, takes them, and hangs up.
func probeMount(t *testing.T, e *outpost, agent, id string) {
	t.Helper()
	r := &recording{agent: agent, address: "198.51.100.7", header: []string{"Range: bytes=0-1"}}
	if id != "" {
		r.header = append(r.header, "X-Playback-Session-Id: "+id)
	}
	if err := r.ask(e.listen + "/k.mp3"); err != nil {
		t.Fatal(err)
	}
	defer r.conn.Close()
	if !strings.Contains(r.status, " 200 ") || r.fields["Content-Range"] != "" || r.fields["Content-Length"] != "" {
		t.Errorf("a probe is answered %q, %q", r.status, r.fields)
	}
	if _, err := io.ReadFull(r.in, make([]byte, 2)); err != nil {
		t.Error(err)
	}
}

// probeThenPlay: the probe and what follows with its id are one session, without the probe's bytes.
func probeThenPlay(t *testing.T, e *outpost) {
	probeMount(t, e, "player", "probed")
	time.Sleep(300 * time.Millisecond)
	r := &recording{agent: "player", address: "198.51.100.7",
		header: []string{"Range: bytes=0-", "Icy-MetaData: 1", "X-Playback-Session-Id: probed"}}
	if err := r.record(e.listen+"/k.mp3", 3*time.Second, (*recording).part); err != nil {
		t.Fatal(err)
	}
	a := e.closedAccount(t, "player")
	if a.sessions != 1 || a.rows != 1 || a.ids != "probed" || a.bytes != r.received || r.fields["icy-metaint"] == "" {
		t.Errorf("%+v; %d bytes received under %q", a, r.received, r.fields)
	}
}

// closedAccount waits until the sessions of an agent are over.
func (e *outpost) closedAccount(t *testing.T, agent string) (a account) {
	t.Helper()
	eventually(t, 20*time.Second, "the session of "+agent+" is finalised", func() error {
		if a = e.account(t, agent); a.open > 0 || a.rows == 0 {
			return fmt.Errorf("%d events are open, %d rows", a.open, a.rows)
		}
		return nil
	})
	return a
}

// ranging is a listener like any other, whatever part he says he wants.
func ranging(t *testing.T, e *outpost) {
	r := &recording{agent: "ranging", header: []string{"Range: bytes=0-1"}}
	if err := r.record(e.listen+"/k.mp3", 3*time.Second, (*recording).part); err != nil {
		t.Fatal(err)
	}
	if a := e.closedAccount(t, "ranging"); a.bytes != r.received || a.sessions != 1 {
		t.Errorf("%d bytes in the books in %d sessions, %d received", a.bytes, a.sessions, r.received)
	}
}

func oldReceiver(t *testing.T, e *outpost) {
	r := &recording{agent: "old", protocol: "HTTP/1.0"}
	if err := r.record(e.listen+"/k.mp3", 2*time.Second, (*recording).part); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.status, "HTTP/1.0 200 ") || !strings.EqualFold(r.fields["Connection"], "close") {
		t.Errorf("%q, %q", r.status, r.fields)
	}
	if _, err := wholeFrames(&formats[0], r.body); err != nil {
		t.Error(err)
	}
}

func noMetadata(t *testing.T, e *outpost) {
	r := &recording{agent: "zero", header: []string{"Icy-MetaData: 0"}}
	if err := r.record(e.listen+"/k.mp3", 2*time.Second, (*recording).part); err != nil {
		t.Fatal(err)
	}
	if v, ok := r.fields["icy-metaint"]; ok {
		t.Errorf("icy-metaint is %s", v)
	}
	if _, err := wholeFrames(&formats[0], r.body); err != nil {
		t.Error(err)
	}
}

// wireCase: old receivers compare names byte by byte.
func wireCase(t *testing.T, e *outpost) {
	r := &recording{agent: "case", header: []string{"icy-METADATA: 1"}}
	if err := r.record(e.listen+"/k.mp3", time.Second, (*recording).part); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.names {
		lower := strings.ToLower(name)
		if (strings.HasPrefix(lower, "icy-") || strings.HasPrefix(lower, "ice-")) && name != lower {
			t.Errorf("%s is not in lower case", name)
		}
		if lower == "transfer-encoding" || lower == "content-length" || lower == "accept-ranges" || lower == "icy-metadata" || lower == "ice-password" {
			t.Errorf("the answer has %s: %s", name, r.fields[name])
		}
	}
	for _, name := range []string{"icy-name", "icy-metaint", "icy-pub"} {
		if !slices.Contains(r.names, name) {
			t.Errorf("no %s among %q", name, r.names)
		}
	}
}

// safari opens two sockets with one id and reads both: he hears the audio once.
func safari(t *testing.T, e *outpost) {
	var both [2]*recording
	var listening sync.WaitGroup
	for n := range both {
		both[n] = &recording{agent: "safari", address: "198.51.100.9", header: []string{"X-Playback-Session-Id: two-sockets"}}
		listening.Go(func() {
			if err := both[n].record(e.listen+"/k.mp3", 4*time.Second, (*recording).part); err != nil {
				t.Error(err)
			}
		})
	}
	listening.Wait()
	a := e.closedAccount(t, "safari")
	if sum := both[0].received + both[1].received; a.bytes != sum || a.rowBytes != sum {
		t.Errorf("%d bytes in the events and %d in the row, %d received", a.bytes, a.rowBytes, sum)
	}
	common, ahead := commonBytes(both[0].body, both[1].body)
	if common == 0 {
		t.Fatal("the two sockets had nothing in common")
	}
	first := min(0, ahead)
	last := max(len(both[0].body), ahead+len(both[1].body))
	heard := int64(float64(last-first) / byteRate * 1000)
	if a.sessions != 1 || a.rows != 1 || a.ms < heard-200 || a.ms > heard+200 {
		t.Errorf("%d sessions in %d rows with %d ms; %d ms heard on both sockets together", a.sessions, a.rows, a.ms, heard)
	}
}

// testRelayGone: a listener who leaves is gone from the gauge within a second (a busy machine may add two), though the source is
// silent and nothing is written to him.
func testRelayGone(t *testing.T) {
	frames := make([]byte, 0, 200*418)
	for n := range int64(200) {
		frames = append(frames, mp3Frame(n)...)
	}
	e := newOutpost(t, "gone", truthTimes, []string{icyStream("k", "/k.mp3", hushed(t, frames))}).start(t)
	leaves := map[string]func(*recording) error{
		"says goodbye": func(r *recording) error { return r.conn.CloseWrite() },
		"closes":       (*recording).hangUp,
		"resets":       func(r *recording) error { _ = r.conn.SetLinger(0); return r.conn.Close() },
	}
	for _, name := range []string{"says goodbye", "closes", "resets"} {
		r := &recording{agent: name}
		if err := r.ask(e.listen + "/k.mp3"); err != nil {
			t.Fatal(err)
		}
		defer r.conn.Close()
		for end := lived() + 15*time.Second; r.received == 0 && lived() < end; {
			if err := r.hear(time.Now().Add(700 * time.Millisecond)); err != nil {
				t.Fatalf("%d bytes, %v", r.received, err)
			}
		}
		if n := e.value(t, "earshot_listeners", `stream="k"`, `kind="icy"`); n != 1 {
			t.Errorf("%v listeners", n)
		}
		left := time.Now()
		if err := leaves[name](r); err != nil {
			t.Error(err)
		}
		eventually(t, 3*time.Second, "he who "+name+" is gone", func() error {
			if n := e.value(t, "earshot_listeners", `stream="k"`, `kind="icy"`); n != 0 {
				return fmt.Errorf("%v listeners", n)
			}
			return nil
		})
		t.Logf("he who %s is gone after %v", name, time.Since(left).Round(time.Millisecond))
	}
}

// hushed is a source that sends so much, and then nothing.
func hushed(t testing.TB, audio []byte) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			_, _ = c.Read(make([]byte, 4096))
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(c, icyHead+"\r\n"+string(audio)) // who leaves early has no audio
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return "http://" + l.Addr().String() + "/"
}
