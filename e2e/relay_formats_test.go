package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// formatTime is how long everybody listens. EARSHOT_LONG=1 has them listen for a minute.
func formatTime() time.Duration {
	if os.Getenv("EARSHOT_LONG") != "" {
		return time.Minute
	}
	return 8 * time.Second
}

// formatBurst is what the edge's listeners begin with: so little that those of the tests begin after a stream's head, and after the
// first title.
const formatBurst = 16 << 10

// startFormats has one Icecast play all formats, each with a title, and an edge relay them, which has somebody listen to each already.
func startFormats(t testing.TB) (*tower, *outpost) {
	t.Helper()
	w := startTower(t)
	var mounts, streams []string
	for n := range formats {
		f := &formats[n]
		w.air(t, f.codec, 100+n)
		mounts = append(mounts, f.mount)
		streams = append(streams, fmt.Sprintf("  - {stream: %q, path: %q, icy: %q, burst: %d}\n", f.key(), f.mount, w.url(f.mount), formatBurst))
	}
	e := newOutpost(t, "formats", truthTimes, streams).start(t)
	w.waitOnAir(t, mounts...)
	for n := range formats {
		if formats[n].frame != "ogg" {
			w.setTitle(t, formats[n].mount, firstTitle)
		}
	}
	for _, m := range mounts {
		start(t, "curl", "-sS", "-N", "-o", "/dev/null", e.listen+m)
	}
	// Until everybody's burst is younger than the first block that the edge has had from Icecast, at 64 kbit/s, which is the least of them.
	const rate = 64_000 / 8
	time.Sleep((metadataInterval + formatBurst) * time.Second / rate * 11 / 10)
	return w, e
}

// metadataInterval is Icecast's, and the edge's.
const metadataInterval = 16000

// TestRelayFormats: in every format that radio is sent in, what is heard through the edge is what is heard at Icecast, with titles or
// without; and the books say how many bytes and how many seconds that were.
func TestRelayFormats(t *testing.T) {
	t.Parallel()
	w, e := startFormats(t)
	todo := make(map[string]func(*testing.T))
	for n := range formats {
		f := &formats[n]
		todo[f.key()] = func(t *testing.T) { listenBoth(t, w, e, f) }
	}
	together(t, todo)
}

// pair is a recording at Icecast and one through the edge, of the same time.
type pair struct{ direct, through *recording }

// listenBoth has four listen at once: at Icecast and at the edge, with titles and without.
func listenBoth(t *testing.T, w *tower, e *outpost, f *format) {
	wants := []string{"Icy-MetaData: 1"}
	plain := pair{&recording{agent: "direct"}, &recording{agent: "plain/" + f.key()}}
	titled := pair{&recording{agent: "direct", header: wants}, &recording{agent: "titled/" + f.key(), header: wants}}
	var listening sync.WaitGroup
	for _, p := range []pair{plain, titled} {
		listening.Go(func() { recordFor(t, p.direct, w.url(f.mount), (*recording).hangUp) })
		listening.Go(func() { recordFor(t, p.through, e.listen+f.mount, (*recording).part) })
	}
	if f.frame != "ogg" {
		time.Sleep(1500 * time.Millisecond)
		w.setTitle(t, f.mount, secondTitle)
	}
	listening.Wait()
	if t.Failed() {
		return
	}
	sameAudio(t, f, plain.direct.body, plain.through.body)
	e.inTheBooks(t, f, plain.through, plain.through.body)
	if f.frame == "ogg" {
		noTitles(t, f, titled)
		return
	}
	sameTitled(t, f, plain.through.body, titled)
	e.inTheBooks(t, f, titled.through, titled.through.audio)
}

func recordFor(t *testing.T, r *recording, url string, leave func(*recording) error) {
	if err := r.record(url, formatTime(), leave); err != nil {
		t.Errorf("%s: %v", r.agent, err)
	}
}

// sameAudio: the edge's audio is whole frames, decodes without a complaint, and sounds as Icecast's does.
func sameAudio(t *testing.T, f *format, direct, through []byte) {
	t.Helper()
	frames, err := wholeFrames(f, through)
	if err != nil {
		t.Errorf("through the edge: %v", err)
	}
	heard, complaint, err := decode(f, through)
	if err != nil {
		t.Fatalf("through the edge: %v", err)
	}
	if complaint != "" {
		t.Errorf("through the edge: ffmpeg complains: %s", tail(complaint, 5))
	}
	want, _, err := decode(f, direct)
	if err != nil {
		t.Fatalf("at Icecast: %v", err)
	}
	both, err := agreement(want, heard)
	if err != nil {
		t.Fatalf("Icecast's %v and the edge's %v: %v", want.long(), heard.long(), err)
	}
	if least := min(want.long(), heard.long())*7/10 - primed; both < least {
		t.Errorf("only %v agree of Icecast's %v and the edge's %v", both, want.long(), heard.long())
	}
	t.Logf("%d frames; %v of Icecast's %v and the edge's %v compared, sample for sample", frames, both, want.long(), heard.long())
}

// noTitles: who asks for titles of Ogg, which has none between its pages, gets what all get.
func noTitles(t *testing.T, f *format, p pair) {
	t.Helper()
	if interval, ok := p.through.fields["icy-metaint"]; ok {
		t.Errorf("Ogg has an icy-metaint: %s", interval)
		return
	}
	sameAudio(t, f, p.direct.body, p.through.body)
}

// sameTitled: metadata is between the audio's bytes, and nowhere else; it begins with what is on, and what comes on comes with its audio.
func sameTitled(t *testing.T, f *format, plain []byte, p pair) {
	t.Helper()
	for _, r := range []*recording{p.direct, p.through} {
		if err := r.split(); err != nil {
			t.Fatalf("%s: %v", r.agent, err)
		}
	}
	audio, blocks := p.through.audio, p.through.blocks
	if _, err := wholeFrames(f, audio); err != nil {
		t.Errorf("without the titles: %v", err)
	}
	if both, _ := commonBytes(plain, audio); both < min(len(plain), len(audio))*7/10 {
		t.Errorf("%d bytes without titles and %d with have only %d in common", len(plain), len(audio), both)
	}
	if len(blocks) != 2 || !strings.HasPrefix(blocks[0].text, "StreamTitle='"+firstTitle+"';") || !strings.HasPrefix(blocks[1].text, "StreamTitle='"+secondTitle+"';") {
		t.Fatalf("the titles are %+v", blocks)
	}
	if interval := p.through.fields["icy-metaint"]; fmt.Sprint(blocks[0].at) != interval {
		t.Errorf("the first title comes after %d bytes, with an interval of %s", blocks[0].at, interval)
	}
	inTime(t, p)
}

// inTime: the second title comes where the audio is that it came with. Icecast tells each listener at his next block, and so does the edge:
// a title may be as much too late as their two intervals are long, and as early as Icecast was late with the other listener.
func inTime(t *testing.T, p pair) {
	t.Helper()
	both, ahead := commonBytes(p.direct.audio, p.through.audio)
	if both == 0 || len(p.direct.blocks) != 2 {
		t.Errorf("%d bytes in common with Icecast's, whose titles are %+v", both, p.direct.blocks)
		return
	}
	const frame = 2000
	at, want := p.through.blocks[1].at+ahead, p.direct.blocks[1].at
	if late := at - want; late < -metadataInterval || late > 2*metadataInterval+frame {
		t.Errorf("the second title comes with byte %d; at Icecast with byte %d", at, want)
	}
}

// They hold what breaks careless parsers.
const (
	firstTitle  = "It's the 'first' — Zoë; 东京"
	secondTitle = "Rock 'n' Roll; ''"
)

// inTheBooks: the database says what the listener received, and for how long that plays.
func (e *outpost) inTheBooks(t *testing.T, f *format, p *recording, audio []byte) {
	t.Helper()
	var a account
	eventually(t, 20*time.Second, "the session of "+p.agent+" is finalised", func() error {
		if a = e.account(t, p.agent); a.open > 0 || a.rows == 0 {
			return fmt.Errorf("%d events are open, %d rows", a.open, a.rows)
		}
		return nil
	})
	if a.bytes != p.received || a.rowBytes != p.received {
		t.Errorf("%s: %d bytes in the events, %d in the row; %d received", p.agent, a.bytes, a.rowBytes, p.received)
	}
	s, _, err := decode(f, audio)
	if err != nil {
		t.Fatal(err)
	}
	if off := (s.long() - time.Duration(a.ms)*time.Millisecond).Abs(); off > f.near(audio, s) || a.rowMS != a.ms {
		t.Errorf("%s: %d ms in the events, %d in the row; %v received", p.agent, a.ms, a.rowMS, s.long())
	}
}

// near is how well a duration is to be known: to a frame, and a millisecond for each slice; to a page in Ogg, of which these sources make
// some longer than others.
func (f *format) near(audio []byte, s signal) time.Duration {
	frames, err := wholeFrames(f, audio)
	if err != nil || f.frame != "ogg" {
		return 30*time.Millisecond + s.long()/1000
	}
	return max(200*time.Millisecond, s.long()/time.Duration(frames)*3/2)
}
