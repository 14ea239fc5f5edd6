package gate

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"earshot/auth"
	"earshot/session"
)

// A backend that counts hears of as many who leave as it was asked about, however the connections of one session come and go.
func TestTicketsBalance(t *testing.T) {
	var mu sync.Mutex
	added, removed := map[string]int{}, map[string]int{}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("icecast-auth-user", "1")
		client := r.FormValue("client")
		mu.Lock()
		defer mu.Unlock()
		if r.FormValue("action") == "listener_add" {
			added[client]++
		} else {
			removed[client]++
		}
	}))
	defer backend.Close()
	g := guarded(t, Options{OnLimit: session.Reject, Limits: []Limit{{Per: "address", Max: 5}}},
		auth.Options{Callback: &auth.Callback{URL: backend.URL, Style: "icecast", Timeout: 30 * time.Second}})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = g.opt.Auth.Run(ctx) })
	defer func() { cancel(); running.Wait() }()

	comes := func(id string, n int) {
		from := session.Listener{Address: netip.MustParseAddr("192.0.2.7"), Agent: "a"}
		who, v := g.Authorise(t.Context(), &Caller{Path: "/g", Group: "g", Kind: "icy", SessionID: id, Address: from.Address, Agent: from.Agent}, true)
		if v.Action != Allow {
			t.Errorf("%+v", v)
			return
		}
		r := &Request{Key: session.Key{ID: session.ID(id), Group: "g"}, Kind: session.ICY, Listener: from, Identity: who, Authorised: true, Asked: session.ID(id),
			Starts: true, Path: "/g"}
		if n%5 == 4 { // he has left
			g.Abandon(r)
			return
		}
		if v = g.Admit(t.Context(), r); v.Action != Allow {
			g.Abandon(r)
			return
		}
		sit := g.Sit(v.Session, Seated{Visit: r.visit(), Taken: func() int64 { return 0 }, Cut: func(Code) {}, Move: func(*session.Session) {}})
		if n%3 == 0 {
			g.Renew(t.Context(), v.Session, r.visit())
		}
		sit.Leave()
		if n%7 == 0 { // he was turned away
			g.Release(v.Session.Key)
		}
	}
	for round := range 40 {
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() { comes(fmt.Sprint("session-", round), round+n) })
		}
		all.Wait()
	}
	untilTrue(t, "all are told of", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, told := range removed {
			n += told
		}
		for _, asked := range added {
			n -= asked
		}
		return n >= 0
	})
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(added, removed) {
		t.Errorf("asked about %v, told of %v", added, removed)
	}
}
