package origin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHammeredPath: one listener who asks for what makes the first origin fail, again and again, does not move the others to the second.
func TestHammeredPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		n.up("a:80", func(path string) (int, time.Duration) {
			if path == "/bad" {
				return 500, 2 * time.Millisecond
			}
			return 200, 2 * time.Millisecond
		})
		n.up("b:80", func(string) (int, time.Duration) { return 200, 2 * time.Millisecond })
		over := make(chan struct{})
		go func() {
			defer close(over)
			for range 30 {
				for range 6 {
					get(t, c, "/bad", "a", "b")
				}
				time.Sleep(time.Second)
			}
		}()
		for range 300 {
			get(t, c, "/good", "a", "b")
			time.Sleep(100 * time.Millisecond)
		}
		<-over
		if moved := strings.Count(n.seen("b:80"), "/good"); moved > 0 {
			t.Errorf("%d of 300 went to the second origin", moved)
		}
	})
}
