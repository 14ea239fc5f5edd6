package origin

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestTornBodies: an origin that answers, and then breaks off every body, is passed by for the next one, and is back when it brings bodies to their end.
func TestTornBodies(t *testing.T) {
	t.Parallel()
	var well atomic.Bool
	var asked, other atomic.Int32
	_, first := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Length", "100000")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(make([]byte, 50_000))
		if !well.Load() {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(make([]byte, 50_000))
	})
	c, second := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		other.Add(1)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(make([]byte, 100_000))
	})
	get := func(i int) bool {
		name := "/" + string(rune('a'+i)) + ".ts"
		m, err := c.Open(t.Context(), http.MethodGet, Source{URLs: []string{first + name, second + name}}, http.Header{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Body.Close()
		n, err := io.Copy(io.Discard, m.Body)
		return err == nil && n == 100_000
	}
	bad := 0
	for i := range 20 {
		if !get(i) {
			bad++
		}
	}
	if bad != refusing.limit() || asked.Load() != int32(bad) || other.Load() != int32(20-bad) {
		t.Errorf("%d of 20 broke off; the first was asked %d times, the second %d", bad, asked.Load(), other.Load())
	}
	well.Store(true)
	for before, until := asked.Load(), time.Now().Add(2*lastRest); asked.Load() < before+3; time.Sleep(100 * time.Millisecond) {
		if !get(25) || time.Now().After(until) {
			t.Fatal("the first is not asked again")
		}
	}
}
