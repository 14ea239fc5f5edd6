package playlist

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestSegmentsOfAGroupAreBounded: many long playlists leave the ones updated last, and the one just updated always.
func TestSegmentsOfAGroupAreBounded(t *testing.T) {
	const each = 30_000
	g := NewGroup()
	now := time.Unix(1_700_000_000, 0)
	for i := range 20 {
		base, err := url.Parse(fmt.Sprintf("http://o/%d/index.m3u8", i))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := Parse([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n"+strings.Repeat("#EXTINF:1,\ns.ts\n", each)), base)
		if err != nil {
			t.Fatal(err)
		}
		g.Update(fmt.Sprint(i), RoleVariant, doc.Media, now.Add(time.Duration(i)*time.Second))
		kept := 0
		for _, line := range g.lines {
			kept += len(line.placed)
		}
		if kept > maxKept || !g.Known(fmt.Sprint(i)) {
			t.Fatalf("%d segments kept after playlist %d, known: %v", kept, i, g.Known(fmt.Sprint(i)))
		}
	}
	if g.Known("0") || !g.Known("18") {
		t.Error("not the oldest were forgotten")
	}
}
