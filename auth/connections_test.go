package auth

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// Two connections of one session that come at the same time are two for a backend that counts: it will hear of two that leave.
func TestIcecastIsAskedForEachConnection(t *testing.T) {
	gate := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) { <-gate; w.Header().Set("icecast-auth-user", "1") })
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Style: "icecast", Timeout: 30 * time.Second}})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	waiting := func() (n int) {
		a.backend.mu.Lock()
		defer a.backend.mu.Unlock()
		for _, c := range a.backend.calls {
			n += c.waiting
		}
		return n
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if id, err := a.Admit(t.Context(), request("")); err != nil || id.Ticket == "" {
				t.Error(id, err)
			}
		})
	}
	eventually(t, "both", func() bool { return waiting() == 2 })
	open()
	all.Wait()
	if n := len(f.questions()); n != 2 {
		t.Errorf("%d questions for two tickets", n)
	}
}
