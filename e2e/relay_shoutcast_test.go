package e2e

import (
	"strings"
	"testing"
	"time"
)

// testRelayShoutcast: Shoutcast 1 is relayed in its own words' meaning, and in HTTP; players play it.
func testRelayShoutcast(t *testing.T) {
	f := &formats[0]
	audio := encodeNoise(t, f, 20*time.Second)
	s := startShoutcast(t, audio)
	e := newOutpost(t, "shoutcast", truthTimes, []string{
		icyStream("old", "/old.mp3", s.url("/;stream.nsv")), icyStream("elder", "/elder.mp3", s.url("/;"))}).start(t)
	const d = 5 * time.Second
	together(t, map[string]func(*testing.T){
		"audio":  func(t *testing.T) { hearShoutcast(t, e, f, audio) },
		"ffmpeg": func(t *testing.T) { noComplaint(t, playFFmpeg(t, e.listen+"/old.mp3", d)) },
		"mpg123": func(t *testing.T) { noComplaint(t, playMPG123(t, e.listen+"/elder.mp3", d, f)) },
		"VLC":    func(t *testing.T) { noComplaint(t, playVLC(t, e.listen+"/elder.mp3", d, f.rate)) },
		"curl":   func(t *testing.T) { noComplaint(t, playCurl(t, e.listen+"/old.mp3", d, f)) },
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.agents) != 2 || s.strangers > 0 {
		t.Errorf("it was asked by %q, %d times in vain; want one connection for each mount", s.agents, s.strangers)
	}
}

func noComplaint(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// hearShoutcast: a browser, whom Shoutcast itself would send HTML, gets the audio, with the title, under a clean header.
func hearShoutcast(t *testing.T, e *outpost, f *format, audio []byte) {
	r := &recording{agent: "Mozilla/5.0", header: []string{"Icy-MetaData: 1"}}
	if err := r.record(e.listen+"/old.mp3", 5*time.Second, (*recording).part); err != nil {
		t.Fatal(err)
	}
	if err := r.split(); err != nil {
		t.Fatal(err)
	}
	if _, err := wholeFrames(f, r.audio); err != nil {
		t.Error(err)
	}
	if both, _ := commonBytes(audio, r.audio); both < len(r.audio) {
		t.Errorf("%d of %d bytes are Shoutcast's", both, len(r.audio))
	}
	if len(r.blocks) != 1 || !strings.HasPrefix(r.blocks[0].text, "StreamTitle='"+shoutcastTitle+"';") {
		t.Errorf("the titles are %+v", r.blocks)
	}
	for name, value := range r.fields {
		if strings.ContainsFunc(name+value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Errorf("a control character passed: %q: %q", name, value)
		}
	}
	if r.fields["icy-name"] == "" || r.fields["icy-br"] != "128" || r.fields["icy-genre"] == "" || r.fields["icy-notice1"] != "" {
		t.Errorf("the header is %q", r.fields)
	}
}
