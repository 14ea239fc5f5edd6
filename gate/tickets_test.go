package gate

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"earshot/auth"
	"earshot/listen"
	"earshot/session"
	"earshot/store"
)

// toldBackend lets everybody in, and notes whom it was asked about and what it was told.
type toldBackend struct {
	*httptest.Server
	mu    sync.Mutex
	adds  map[string]int
	ended map[string][]int64 // bytes
}

func newToldBackend(t *testing.T) *toldBackend {
	b := &toldBackend{adds: map[string]int{}, ended: map[string][]int64{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			ID    string `json:"session_id"`
			Kind  string `json:"request_type"`
			Bytes int64
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if q.Kind == "close_session" {
			b.ended[q.ID] = append(b.ended[q.ID], q.Bytes)
		} else {
			b.adds[q.ID]++
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// told are the bytes that it was told of a session, once for each time.
func (b *toldBackend) told(id string) []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ended[id])
}

// lifetime is one run of an edge's door, on a store that outlives it.
type lifetime struct {
	*Gate
	t    *testing.T
	auth *auth.Auth
	db   *store.SQLite
	run  func()
	die  func() // as if it were killed: nothing is ended
}

func newLifetime(t *testing.T, path, backend string, idle time.Duration, heard int64) *lifetime {
	t.Helper()
	db, err := store.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Options{Callback: &auth.Callback{URL: backend}, Removals: db, Idle: idle})
	if err != nil {
		t.Fatal(err)
	}
	l := &lifetime{t: t, auth: a, db: db, Gate: New(Options{Table: session.NewTable(100), Auth: a,
		Heard: func(*session.Session) (int64, time.Duration, time.Duration) { return heard, 0, time.Minute }})}
	if err := a.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	l.run = func() {
		running.Go(func() {
			if err := a.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	l.die = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		a.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.die)
	return l
}

// enters lets a listener in who shows himself, or a grant.
func (l *lifetime) enters(id string, kind session.Kind, grant *session.Grant) *session.Session {
	l.t.Helper()
	r := &Request{Key: session.Key{ID: session.ID(id), Group: "g"}, Kind: kind, Grant: grant, Path: "/g", Host: "edge", Asked: session.ID(id),
		Listener: session.Listener{Address: netip.MustParseAddr("192.0.2.7"), Agent: "a"}}
	if grant == nil {
		who, v := l.Authorise(l.t.Context(), &Caller{Path: "/g", Group: "g", Kind: string(kind), SessionID: id, Address: r.Listener.Address, Agent: "a"}, true)
		if v.Action != Allow {
			l.t.Fatal(v)
		}
		r.Identity, r.Authorised = who, true
	}
	v := l.Admit(l.t.Context(), r)
	if v.Action != Allow {
		l.t.Fatal(v)
	}
	return v.Session
}

func (l *lifetime) leaves(ids ...session.ID) {
	l.Sweep(func(s *session.Session) bool { return slices.Contains(ids, s.Key.ID) })
}

// open waits until the store holds so many sessions that go on, and no removal that is due.
func (l *lifetime) open(want int) {
	l.t.Helper()
	untilTrue(l.t, "what the store holds", func() bool {
		open, err := l.db.OpenRemovals(l.t.Context(), 0, 100)
		if err != nil {
			l.t.Fatal(err)
		}
		due, err := l.db.DueRemovals(l.t.Context(), time.Now().Add(time.Hour), 100)
		if err != nil {
			l.t.Fatal(err)
		}
		return len(open) == want && len(due) == 0
	})
}

func untilTrue(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// wants holds what the backend was told.
func (l *lifetime) wants(b *toldBackend, id string, bytes ...int64) {
	l.t.Helper()
	if got := b.told(id); !slices.Equal(got, bytes) {
		l.t.Errorf("of %s the backend was told %v, want %v", id, got, bytes)
	}
}

// TestTicketsOutliveAKill: of each session that an edge was killed with the backend is told once: when it ends, if it was gone on with, by a grant or by asking
// again; and when it has been idle, if not.
func TestTicketsOutliveAKill(t *testing.T) {
	b := newToldBackend(t)
	path := filepath.Join(t.TempDir(), "earshot.db")
	first := newLifetime(t, path, b.URL, time.Hour, 5)
	first.run()
	grant := GrantOf(first.enters("back", session.HLS, nil))
	first.enters("anew", session.ICY, nil)
	first.enters("gone", session.HLS, nil)
	first.enters("left", session.ICY, nil)
	first.open(4)
	first.leaves("left")
	first.open(3)
	first.wants(b, "left", 5)
	now := time.Now().UnixMilli()
	for _, id := range []string{"back", "anew", "gone"} {
		if _, err := first.db.Append(t.Context(), []listen.Event{{ID: id, FromMS: now, TimeMS: now + 1, Bytes: 100, Stream: "g",
			Who: listen.Who{Key: session.Key{ID: session.ID(id), Group: "g"}}}}); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * time.Millisecond) // the event is before the next life
	first.die()

	second := newLifetime(t, path, b.URL, time.Millisecond, 7)
	second.enters("back", session.HLS, grant)
	second.enters("anew", session.ICY, nil)
	second.enters("new", session.HLS, nil)
	second.run()
	untilTrue(t, "the one who is gone", func() bool { return len(b.told("gone")) > 0 })
	second.open(4) // back, twice anew, new
	second.wants(b, "gone", 100)
	second.wants(b, "back")
	second.wants(b, "anew")
	second.leaves("back", "anew", "new")
	second.open(0)
	second.wants(b, "gone", 100)
	second.wants(b, "back", 107)
	second.wants(b, "new", 7)
	if got := b.told("anew"); len(got) != 2 || got[0]+got[1] != 107 || b.adds["anew"] != 2 {
		t.Errorf("of one who was asked about %d times the backend was told %v", b.adds["anew"], got)
	}
	second.die()

	third := newLifetime(t, path, b.URL, time.Millisecond, 0)
	third.run()
	third.open(0)
}

// TestTicketsOutliveAStop: when an edge is stopped HLS sessions may go on later, and ICY's are over.
func TestTicketsOutliveAStop(t *testing.T) {
	b := newToldBackend(t)
	path := filepath.Join(t.TempDir(), "earshot.db")
	first := newLifetime(t, path, b.URL, time.Hour, 5)
	grant := GrantOf(first.enters("hls", session.HLS, nil))
	first.enters("icy", session.ICY, nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	first.Run(over)
	first.die()
	first.wants(b, "hls")

	second := newLifetime(t, path, b.URL, time.Hour, 7)
	second.run()
	second.open(1)
	second.wants(b, "icy", 5)
	second.enters("hls", session.HLS, grant)
	second.leaves("hls")
	second.open(0)
	second.wants(b, "hls", 7)
}

// TestRefusedKeepsTicket: one who comes back and is not let in has not gone on.
func TestRefusedKeepsTicket(t *testing.T) {
	b := newToldBackend(t)
	path := filepath.Join(t.TempDir(), "earshot.db")
	first := newLifetime(t, path, b.URL, time.Hour, 0)
	first.run()
	grant := GrantOf(first.enters("a", session.HLS, nil))
	first.open(1)
	first.die()
	second := newLifetime(t, path, b.URL, time.Millisecond, 0)
	second.ended(session.Key{ID: "a", Group: "g"}, byOperator, time.Hour)
	r := &Request{Key: session.Key{ID: "a", Group: "g"}, Kind: session.HLS, Grant: grant, Listener: session.Listener{Address: netip.MustParseAddr("192.0.2.7")}}
	if v := second.Admit(t.Context(), r); v.Action == Allow {
		t.Fatal("he was let in")
	}
	second.run()
	second.open(0)
	second.wants(b, "a", 0)
}
