package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestReloadRefused: what an origin says of a blocking reload reaches the player, who acts on it. Of anything else it is the origin's failure.
func TestReloadRefused(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "2")
		status := 0
		fmt.Sscan(r.URL.Query().Get("s"), &status)
		w.WriteHeader(status)
	}
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": answer})
	for _, c := range []struct {
		query  string
		status int
		code   string
	}{
		{"_HLS_msn=99&s=400", 400, "origin-refused"},
		{"_HLS_msn=99&_HLS_part=1&s=503", 503, "origin-busy"},
		{"_HLS_msn=99&s=404", 404, "not-found"},
		{"_HLS_msn=99&s=500", 502, "origin-answer"},
		{"s=400", 502, "origin-answer"},
		{"s=503", 502, "origin-answer"},
	} {
		resp, body := r.get("v.m3u8?" + c.query)
		if resp.StatusCode != c.status || !strings.Contains(body, `"`+c.code+`"`) {
			t.Errorf("%s: %s %s", c.query, resp.Status, body)
		}
		if after := resp.Header.Get("Retry-After"); (after == "2") != (c.status == 503) {
			t.Errorf("%s: Retry-After is %q", c.query, after)
		}
	}
}
