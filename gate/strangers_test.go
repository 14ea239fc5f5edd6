package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"earshot/auth"
	"earshot/session"
)

const strangersSecret = "0123456789abcdef0123456789abcdef"

func strangersToken(t *testing.T, user string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user}).SignedString([]byte(strangersSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func guarded(t *testing.T, opt Options, who auth.Options) *Gate {
	t.Helper()
	a, err := auth.New(who)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	opt.Table, opt.Auth = session.NewTable(1000), a
	return New(opt)
}

// asks is somebody at an address who asks to begin a session.
func asks(g *Gate, from, token string) Verdict {
	_, v := g.Authorise(context.Background(), &Caller{Path: "/x", Group: "news", Address: netip.MustParseAddr(from), RawQuery: "token=" + token}, true)
	return v
}

// What is shown at an address and does not hold uses up nothing that those need whose tokens hold.
func TestStrangersAndTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guarded(t, Options{NewPerAddress: 3}, auth.Options{JWT: &auth.JWT{Secret: strangersSecret}})
		answers := map[Code]int{}
		for i := range 500 {
			v := asks(g, "192.0.2.1", fmt.Sprint("guess-", i))
			if answers[v.Code]++; v.Code == RateLimited && v.RetryAfter <= 0 {
				t.Fatalf("%+v", v)
			}
		}
		if answers[TokenInvalid] != wrongBurst || answers[RateLimited] != 500-wrongBurst {
			t.Errorf("%v", answers)
		}
		if v := asks(g, "192.0.2.1", ""); v.Code != TokenRequired {
			t.Errorf("who shows nothing: %+v", v)
		}
		for i, want := range []Code{"", "", "", RateLimited} { // that is his own: too many sessions begin
			if v := asks(g, "192.0.2.1", strangersToken(t, fmt.Sprint(i))); v.Code != want {
				t.Errorf("the right one, %d: %+v", i, v)
			}
		}
		if v := asks(g, "192.0.2.2", "guess"); v.Code != TokenInvalid {
			t.Errorf("another address: %+v", v)
		}
		time.Sleep(time.Second)
		for i := range wrongRate + 1 {
			if v := asks(g, "192.0.2.1", "guess"); (v.Code == TokenInvalid) != (i < wrongRate) {
				t.Errorf("a second later, %d: %+v", i, v)
			}
		}
	})
}

// A backend says no to one of an office again and again; its others are asked about all the same, and nobody asks it by the hundred.
func TestStrangersAndBackends(t *testing.T) {
	var now, most, no atomic.Int64
	var hold sync.RWMutex
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		hold.RLock()
		defer hold.RUnlock()
		if r.FormValue("pass") == "right" {
			w.Header().Set("icecast-auth-user", "1")
			return
		}
		no.Add(1)
	}))
	defer backend.Close()
	g := guarded(t, Options{NewPerAddress: 20}, auth.Options{Callback: &auth.Callback{URL: backend.URL, Style: "icecast", Timeout: 30 * time.Second}})
	g.strangers.wrong.perSecond = 0.001 // however slow this machine is
	ask := func(from, pass string) Code {
		r := &Caller{Path: "/x", Group: "news", Kind: "icy", Address: netip.MustParseAddr(from), SessionID: string(session.NewID())}
		request, _ := http.NewRequest("GET", "/", nil)
		request.SetBasicAuth("u", pass)
		r.Authorization = request.Header.Get("Authorization")
		_, v := g.Authorise(t.Context(), r, true)
		return v.Code
	}
	for range wrongBurst + 20 {
		if code := ask("192.0.2.1", "wrong"); code != NotAllowed {
			t.Fatalf("%q", code)
		}
	}
	most.Store(0)
	hold.Lock()
	var crowd sync.WaitGroup
	for range 30 {
		crowd.Go(func() { ask("192.0.2.1", "wrong") })
	}
	for now.Load() < asksAtOnce {
		time.Sleep(time.Millisecond)
	}
	other := make(chan Code)
	go func() { other <- ask("192.0.2.2", "right") }()
	for now.Load() < asksAtOnce+1 {
		time.Sleep(time.Millisecond)
	}
	hold.Unlock()
	if code := <-other; code != "" {
		t.Errorf("at another address: %q", code)
	}
	crowd.Wait()
	if n := most.Load(); n > asksAtOnce+1 {
		t.Errorf("%d questions at a time", n)
	}
	if code := ask("192.0.2.1", "right"); code != "" {
		t.Errorf("the right one: %q", code)
	}
	if len(g.strangers.asks.all) != 0 {
		t.Errorf("%d lines are kept", len(g.strangers.asks.all))
	}
}

// What waits for its turn waits behind its own address only, goes when its client does, and leaves nothing behind.
func TestStrangersLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lines
		l.init(1)
		one, same, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1")
		leave, err := l.enter(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		var got []string
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := l.enter(gone, same); !errors.Is(err, context.Canceled) {
				t.Errorf("who has gone: %v", err)
			}
		})
		synctest.Wait()
		for _, name := range []string{"first", "second"} {
			all.Go(func() {
				leave, err := l.enter(t.Context(), same)
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, name)
				leave()
			})
			synctest.Wait()
		}
		elsewhere, err := l.enter(t.Context(), other)
		if err != nil || len(got) != 0 {
			t.Fatal(got, err)
		}
		elsewhere()
		cancel()
		synctest.Wait()
		leave()
		all.Wait()
		if fmt.Sprint(got) != "[first second]" || len(l.all) != 0 {
			t.Errorf("%v, %d lines", got, len(l.all))
		}
	})
}

// Verifications of a stranger's address are made one at a time.
func TestStrangersVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s strangers
		s.init()
		a := netip.MustParseAddr("192.0.2.1")
		now, most := 0, 0
		var mu sync.Mutex
		check := func() error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}
		crowd := func(n int) time.Duration {
			began := time.Now()
			most = 0
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					if err := s.verify(t.Context(), a, check); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			return time.Since(began)
		}
		if took := crowd(10); most != 10 || took != time.Second {
			t.Errorf("%d of 10 at a time, in %v, though none was wrong", most, took)
		}
		for s.wrong.take(a, time.Now()) == 0 {
		}
		if took := crowd(3); most != 1 || took != 3*time.Second {
			t.Errorf("%d of 3 at a time, in %v", most, took)
		}
	})
}
