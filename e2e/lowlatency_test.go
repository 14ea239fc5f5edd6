package e2e

import (
	"testing"
)

// TestLowLatency: what an origin publishes in parts, and answers by the directives of rfc8216bis, comes through the edge as it was
// meant. It runs before the parallel tests, as TestPlayers does: players that stay two seconds behind need the machine's attention.
func TestLowLatency(t *testing.T) {
	todo := make(map[string]func(*testing.T)) // at the same time: nearly all that they do is to wait
	shows := []*llShow{television(), radio()}
	encode(t, int(llHead.Seconds())+llSeconds()+30, shows...)
	for _, test := range []struct {
		name   string
		run    func(t *testing.T, s *llShow)
		ranged bool // only where parts are ranges
	}{
		{"hls.js", testLLPlayer, false},
		{"ffmpeg", testLLFFmpeg, false},
		{"origin", testLLStrict, false},
		{"splice", testLLSplice, false},
		{"together", testLLTogether, false},
		{"meter", testLLMeter, false},
		{"alone", testLLAlone, false},
		{"moved", testLLMoved, false},
		{"grow", testLLGrow, true},
	} {
		for _, s := range shows {
			if test.ranged && !s.ranged {
				continue
			}
			todo[test.name+" "+s.name] = func(t *testing.T) { test.run(t, s) }
		}
	}
	together(t, todo)
}
