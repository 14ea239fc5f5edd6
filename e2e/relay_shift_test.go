package e2e

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	shiftRewind = 30 * time.Second
	shiftBurst  = 32 << 10 // two seconds
)

// shift is a listener who asks to begin so far behind live, and what came of it.
type shift struct {
	recording
	ask    string // the query
	joined time.Time
	live   int64 // what the steady listener had received when he joined
}

// testRelayShift: ?offset=N begins N seconds behind live, with what was on then, and goes on in real time; the answer and the books say how
// far behind it is.
func testRelayShift(t *testing.T) {
	f := &formats[0]
	w := startTower(t)
	w.air(t, f.codec, 1)
	w.waitOnAir(t, f.mount)
	w.setTitle(t, f.mount, "One")
	entry := fmt.Sprintf("  - {stream: k, path: /k.mp3, icy: %q, rewind: %v, burst: %d}\n", w.url(f.mount), shiftRewind, shiftBurst)
	e := newOutpost(t, "shift", truthTimes, []string{entry}).start(t)
	time.Sleep(2 * time.Second) // Icecast's burst is younger than the title then
	const titleAfter, joinAfter, listenFor = 4 * time.Second, 10 * time.Second, 4 * time.Second
	began := time.Now()
	steady := &recording{agent: "steady"}
	shifts := map[string]*shift{
		"eight": {ask: "?offset=8"}, "four": {ask: "?offset=4"}, "more than there is": {ask: "?offset=600"}, "live": {},
	}
	var listening sync.WaitGroup
	listening.Go(func() {
		if err := steady.record(e.listen+"/k.mp3", joinAfter+listenFor+2*time.Second, (*recording).part); err != nil {
			t.Errorf("steady: %v", err)
		}
	})
	time.Sleep(titleAfter)
	w.setTitle(t, f.mount, "Two")
	time.Sleep(time.Until(began.Add(joinAfter)))
	for name, s := range shifts {
		s.agent, s.header, s.joined = "shift/"+name, []string{"Icy-MetaData: 1"}, time.Now()
		listening.Go(func() {
			if err := s.record(e.listen+"/k.mp3"+s.ask, listenFor, (*recording).part); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	listening.Wait()
	if t.Failed() {
		return
	}
	for name, s := range shifts {
		if err := s.split(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.live = steady.by(s.joined)
	}
	e.waitClosed(t, 20*time.Second)
	check := func(name string, behind float64, titles ...string) {
		t.Run(name, func(t *testing.T) { shifts[name].check(t, e, steady, behind, titles...) })
	}
	check("eight", 8, "One", "Two")
	check("four", 4, "Two")
	check("live", 0, "Two")
	all := float64(shifts["more than there is"].live) / byteRate // since the steady listener's burst, with which the edge began
	check("more than there is", all, "One")
	shifts["more than there is"].clamped(t, all)
	for _, name := range []string{"eight", "four"} {
		if value := shifts[name].fields["Earshot-Offset"]; strings.Contains(value, "requested") {
			t.Errorf("%s: Earshot-Offset is %q", name, value)
		}
	}
}

// check: he heard what the steady listener had heard so many seconds before, with the titles that were on then, in real time but for the burst.
func (s *shift) check(t *testing.T, e *outpost, steady *recording, behind float64, titles ...string) {
	near := 1.2 + stoodStill(s.joined.Add(-2*time.Second), s.joined.Add(2*time.Second)).Seconds() // sends are a second apart
	both, ahead := commonBytes(steady.body, s.audio)
	if both < len(s.audio)*8/10 || ahead < 0 {
		t.Fatalf("%d of %d bytes are what the steady listener heard", both, len(s.audio))
	}
	begins := max(behind, float64(shiftBurst)/byteRate) // who is live begins with the burst all the same
	if was := float64(s.live-int64(ahead)) / byteRate; math.Abs(was-begins) > near {
		t.Errorf("it begins %.2f s behind live, not %.2f", was, begins)
	}
	var said []string
	for _, b := range s.blocks {
		title, _, _ := strings.Cut(strings.TrimPrefix(b.text, "StreamTitle='"), "';")
		said = append(said, title)
	}
	if len(said) < len(titles) || !slices.Equal(said[:len(titles)], titles) || s.blocks[0].at != metadataInterval {
		t.Errorf("the titles are %+v, not %q", s.blocks, titles)
	}
	s.paced(t)
	if behind > 0 {
		if got := s.offset(t); math.Abs(got-behind) > near {
			t.Errorf("Earshot-Offset is %q, want about %.1f", s.fields["Earshot-Offset"], behind)
		}
	}
	least := e.number(t, `SELECT min(offset_ms) FROM listen_events WHERE bytes > 0 AND user_agent = ?`, s.agent)
	most := e.number(t, `SELECT max(offset_ms) FROM listen_events WHERE bytes > 0 AND user_agent = ?`, s.agent)
	if want := behind * 1000; math.Abs(float64(least)-want) > near*1000 || math.Abs(float64(most)-want) > near*1000 {
		t.Errorf("offset_ms is %d to %d, want about %.0f", least, most, want)
	}
}

// offset is the seconds of Earshot-Offset, a structured field.
func (s *shift) offset(t *testing.T) float64 {
	t.Helper()
	text, _, _ := strings.Cut(s.fields["Earshot-Offset"], ";")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Errorf("Earshot-Offset is %q: %v", s.fields["Earshot-Offset"], err)
	}
	return v
}

// paced: the burst comes at once, all else in real time.
func (s *shift) paced(t *testing.T) {
	t.Helper()
	const sends = 1.5 // seconds that come at once, as sends are a second apart
	late := stoodStill(s.joined, s.joined.Add(5*time.Second)).Seconds()
	for _, after := range []float64{0.5, 1, 2, 3} {
		came := float64(s.by(s.joined.Add(time.Duration(after * float64(time.Second)))))
		if most := shiftBurst + (after+sends+late)*byteRate; came > most {
			t.Errorf("%.0f bytes came in %.1f s, more than the burst and real time: %.0f", came, after, most)
		}
	}
	if came, least := float64(s.received), float64(shiftBurst)+(2-late)*byteRate; came < least {
		t.Errorf("%.0f bytes came in 4 s; less than the burst and two seconds: %.0f", came, least)
	}
}

// clamped: he who asks for more than there is is told what he got, and what he asked for.
func (s *shift) clamped(t *testing.T, all float64) {
	t.Helper()
	value := s.fields["Earshot-Offset"]
	if !strings.HasSuffix(value, ";requested=600") {
		t.Errorf("Earshot-Offset is %q; it was to say that 600 were asked for", value)
	}
	if got := s.offset(t); got > all+1+stoodStill(s.joined, s.joined.Add(2*time.Second)).Seconds() {
		t.Errorf("Earshot-Offset is %q, of %.1f s that there were", value, all)
	}
}
