package playlist

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// TestAsOf: an old version that a cache gives out again is not a playlist begun anew, or what was heard would count twice.
func TestAsOf(t *testing.T) {
	base, _ := url.Parse("http://o.example/x.m3u8")
	version := func(n int) *Media {
		d, err := Parse(fmt.Appendf(nil, "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:4,\n%d.ts\n#EXTINF:4,\n%d.ts\n", n, n, n+1), base)
		if err != nil {
			t.Fatal(err)
		}
		return d.Media
	}
	g, at := NewGroup(), time.Unix(1e9, 0)
	old, now := version(10), version(20)
	g.UpdateAsOf("x", RoleVariant, old, at, at)
	g.UpdateAsOf("x", RoleVariant, now, at.Add(20*time.Second), at.Add(20*time.Second))
	was, _, _ := g.Locate("x", "http://o.example/20.ts", 0, 1, 1, nil)
	g.UpdateAsOf("x", RoleVariant, old, at.Add(21*time.Second), at)
	g.UpdateAsOf("x", RoleVariant, now, at.Add(22*time.Second), at.Add(20*time.Second))
	is, _, _ := g.Locate("x", "http://o.example/20.ts", 0, 1, 1, nil)
	if len(was) != 1 || len(is) != 1 || was[0] != is[0] {
		t.Errorf("it was at %v, and is at %v", was, is)
	}
}
