package admin

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"earshot/relay"
	"earshot/session"
)

type listenersAnswer struct {
	Listeners []map[string]any
	Total     map[string]any
	Next      string
}

func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(Options{})
		e.hear(who(session.HLS, "news", "gone"), "news/low", 100, 2*time.Second).Arrived()
		time.Sleep(time.Minute)
		e.hear(who(session.HLS, "news", "a"), "news/low", 1000, 4*time.Second).Arrived()
		e.hear(who(session.HLS, "news", "b"), "news/high", 2000, 6500*time.Millisecond).Arrived()
		e.hear(who(session.ICY, "kpcc", "c"), "kpcc", 10, time.Second)
		e.hear(who(session.ICY, "kpcc", "left"), "kpcc", 20, time.Second).Arrived()
		e.book.Account(who(session.HLS, "alone", "d"))
		now := time.Now()
		for _, group := range []string{"news", "waiting"} {
			if _, _, err := e.table.Admit(&session.Session{Key: session.Key{ID: "a", Group: group}}, now); err != nil {
				t.Fatal(err)
			}
		}
		got := read[listenersAnswer](t, e, "/admin/v1/listeners")
		want := listenersAnswer{
			Listeners: []map[string]any{
				{"stream": "alone", "kind": "hls", "listeners": 1., "bytes": 0., "seconds": 0.},
				{"stream": "kpcc", "kind": "icy", "listeners": 1., "bytes": 20., "seconds": 1.},
				{"stream": "news", "kind": "hls", "listeners": 2., "bytes": 3100., "seconds": 12.5},
			},
			Total: map[string]any{"listeners": 4., "open_sessions": 6., "live_sessions": 2.},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestListenersPages(t *testing.T) {
	e := newEdge(Options{})
	for i := range 250 {
		for j := range 3 {
			e.hear(who(session.HLS, fmt.Sprintf("g%03d", i), fmt.Sprint(j)), "v", 10, time.Second).Arrived()
		}
	}
	e.hear(who(session.ICY, "g100", "x"), "v", 1, time.Second) // a mount that is named as a group is
	var rows []string
	for next := ""; ; {
		a := read[listenersAnswer](t, e, "/admin/v1/listeners?limit=7&after="+next)
		if a.Total["listeners"] != 751. {
			t.Fatalf("total of a page: %v", a.Total)
		}
		for _, l := range a.Listeners {
			if l["kind"] == "hls" && (l["listeners"] != 3. || l["bytes"] != 30. || l["seconds"] != 3.) {
				t.Errorf("not summed whole: %v", l)
			}
			rows = append(rows, fmt.Sprint(l["stream"], " ", l["kind"]))
		}
		if next = a.Next; next == "" {
			break
		}
	}
	if len(rows) != 251 || rows[100] != "g100 hls" || rows[101] != "g100 icy" || rows[250] != "g249 hls" {
		t.Errorf("%d rows: %v", len(rows), rows)
	}
}

func TestListenersTellOfSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := relay.New(relay.Options{})
		defer func() {
			if err := r.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		r.Hub(relay.Mount{Key: "kpcc"})
		r.Hub(relay.Mount{Key: "quiet"})
		e := newEdge(Options{Relay: r})
		e.hear(who(session.ICY, "kpcc", "a"), "kpcc", 10, time.Second)
		source := map[string]any{"state": "idle", "since": "2000-01-01T00:00:00Z", "title": "", "received_bytes": 0.}
		want := []map[string]any{
			{"stream": "kpcc", "kind": "icy", "listeners": 1., "bytes": 0., "seconds": 0., "upstream": source},
			{"stream": "quiet", "kind": "icy", "listeners": 0., "bytes": 0., "seconds": 0., "upstream": source},
		}
		if got := read[listenersAnswer](t, e, "/admin/v1/listeners"); !reflect.DeepEqual(got.Listeners, want) {
			t.Errorf("got  %v\nwant %v", got.Listeners, want)
		}
	})
}
