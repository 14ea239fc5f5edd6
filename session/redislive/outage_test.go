package redislive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"earshot/session"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(claimAt); url != "" {
		os.Exit(claimAtURL(url))
	}
	goleak.VerifyTestMain(m)
}

func seatClaim(id string) *session.Claim {
	return &session.Claim{TTL: time.Hour, Policy: session.Reject, Seat: session.Seat{Key: session.Key{ID: session.ID(id), Group: "g"}, UserID: "ann", Owner: "o" + id,
		Uses: []session.Use{{Name: "user=ann", Max: 100}}}}
}

func mustClaim(t *testing.T, table *Table, c *session.Claim, want session.Outcome) session.Answer {
	t.Helper()
	a, err := table.Claim(context.Background(), c)
	if err != nil || a.Outcome != want {
		t.Fatalf("%v: %+v, %v", c.Seat.Key, a, err)
	}
	return a
}

// TestRestart: an edge starts without Redis; Redis comes, and goes with all it knows; watchers are told to look, renewals say so, seats can be restored, and
// scripts are sent again.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.stop()
	table := openAt(t, Options{URL: s.url()})
	if _, err := table.Claim(context.Background(), seatClaim("a")); !errors.Is(err, session.ErrLive) {
		t.Fatal(err)
	}
	notices := make(chan session.Notice, 100)
	ctx, cancel := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if err := table.Watch(ctx, func(n session.Notice) { notices <- n }); err != nil {
			t.Error(err)
		}
	})
	defer watcher.Wait()
	defer cancel()
	for round := range 2 {
		s.start()
		s.await()
		awaitZero(t, notices, "when Redis is there")
		c := seatClaim("a")
		if round == 1 {
			st, err := table.Renew(ctx, "e", []session.Renewal{{Key: c.Seat.Key, TTL: time.Hour}})
			if err != nil || st[0].State != session.Gone {
				t.Fatalf("%+v %v", st, err)
			}
			c.Restore, c.Seat.Uses[0].Max = true, 0
		}
		mustClaim(t, table, c, session.Held)
		s.stop()
	}
}

// TestForgotten: FLUSHALL, and the loss of scripts alone.
func TestForgotten(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	table := s.open(t, "f")
	ctx := context.Background()
	mustClaim(t, table, seatClaim("a"), session.Held)
	s.ask.ScriptFlush(ctx)
	all := []session.Renewal{{Key: session.Key{ID: "a", Group: "g"}, TTL: time.Hour}}
	if st, err := table.Renew(ctx, "e", all); err != nil || st[0].State != session.Kept {
		t.Fatalf("%+v %v", st, err)
	}
	s.ask.FlushAll(ctx)
	if st, err := table.Renew(ctx, "e", all); err != nil || st[0].State != session.Gone {
		t.Fatalf("%+v %v", st, err)
	}
}

// TestNothingIsLeft: every key goes by itself, so that an abandoned deployment leaves nothing; and what is released is gone at once.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	table := s.open(t, "ttl")
	ctx := context.Background()
	for i := range 20 {
		c := seatClaim(fmt.Sprint(i))
		c.Seat.Slot = []string{"", "tv"}[i%2]
		c.Policy, c.Seat.Uses[0].Max, c.Cooldown, c.Sentence = session.EndOldest, 5, time.Minute, time.Minute
		mustClaim(t, table, c, session.Held)
		if _, err := table.Renew(ctx, "e", []session.Renewal{{Key: c.Seat.Key, TTL: time.Hour, Sighting: session.Sighting{Face: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Post(ctx, session.Note{Kind: "ban", ID: "x", Body: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, key := range s.keys(table) {
		kind, _, _ := strings.Cut(key, ":")
		kinds[kind] = true
		if ttl := s.ask.PTTL(ctx, table.tag+":"+key).Val(); ttl <= 0 || ttl > 31*24*time.Hour {
			t.Errorf("%q lives for %v", key, ttl)
		}
	}
	if len(kinds) != 15 {
		t.Errorf("%d kinds of keys: %v", len(kinds), kinds)
	}
	seats, err := table.Seats(ctx, "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, seat := range seats {
		if err := table.Release(ctx, "", seat.Key); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range s.keys(table) {
		if kind, _, _ := strings.Cut(key, ":"); kind != "ended" && kind != "cool" && kind != "board" {
			t.Errorf("%q is left", key)
		}
	}
}

// TestDamage: what lies in Redis may be anything. It is dropped and counted; nothing panics, and limits come right again.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := context.Background()
	for name, damage := range map[string]func(key string) error{
		"no seat":      func(key string) error { return s.ask.Del(ctx, key).Err() },
		"empty":        func(key string) error { return s.ask.Set(ctx, key, "", 0).Err() },
		"noise":        func(key string) error { return s.ask.Set(ctx, key, strings.Repeat("\xff\x00\xc1", 100), 0).Err() },
		"a list":       func(key string) error { s.ask.Del(ctx, key); return s.ask.RPush(ctx, key, "x").Err() },
		"cut off":      func(key string) error { return s.ask.Set(ctx, key, s.ask.Get(ctx, key).Val()[:80], 0).Err() },
		"a head alone": func(key string) error { return s.ask.Set(ctx, key, s.ask.Get(ctx, key).Val()[:57], 0).Err() },
		"numbers for text": func(key string) error {
			return s.ask.Set(ctx, key, s.ask.Get(ctx, key).Val()[:57]+"\xdc\x00\x0f"+strings.Repeat("\x01", 15), 0).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			m := NewMetrics(reg)
			table := openAt(t, Options{URL: s.url(), Deployment: strings.ReplaceAll(name, " ", "-"), Timeout: 5 * time.Second, Metrics: m})
			for _, id := range []string{"a", "b", "c"} {
				c := seatClaim(id)
				c.Seat.Uses[0].Max = 3
				mustClaim(t, table, c, session.Held)
			}
			if err := damage(table.tag + ":seat:b\x00g"); err != nil {
				t.Fatal(err)
			}
			seats, err := table.Seats(ctx, "ann", "", 10)
			if err != nil || len(seats) != 2 {
				t.Fatalf("%d seats, %v", len(seats), err)
			}
			if n := counted(t, reg, "earshot_redis_damaged_total"); n != 1 {
				t.Errorf("%v counted", n)
			}
			st, err := table.Renew(ctx, "e", []session.Renewal{{Key: session.Key{ID: "b", Group: "g"}, TTL: time.Hour}})
			if err != nil || st[0].State != session.Gone {
				t.Errorf("%+v %v", st, err)
			}
			for id, want := range map[string]session.Outcome{"d": session.Held} {
				c := seatClaim(id)
				c.Seat.Uses[0].Max = 3
				mustClaim(t, table, c, want) // there is room, though the count said otherwise
			}
			c := seatClaim("e")
			c.Seat.Uses[0].Max = 3
			mustClaim(t, table, c, session.Refused)
		})
	}
}

func counted(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no ", name)
	return 0
}

// TestDamagedPlaces: what a listener who moves is to be counted by is no set. The others of the batch are renewed, and he is.
func TestDamagedPlaces(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := context.Background()
	table := s.open(t, "places")
	var all []session.Renewal
	for _, id := range []string{"a", "b", "c"} {
		c := seatClaim(id)
		c.Seat.Uses = []session.Use{{Name: "here", Max: 9}}
		if id == "c" {
			c.Seat.Owner, c.Seat.Slot = "", "tv"
		}
		mustClaim(t, table, c, session.Held)
		all = append(all, session.Renewal{Key: c.Seat.Key, TTL: time.Hour, Place: &session.Place{Owner: "new", Uses: []session.Use{{Name: "there", Max: 9}}}})
	}
	all[1].Place = nil
	long := session.Renewal{Key: all[1].Key, TTL: time.Hour, Place: &session.Place{Agent: strings.Repeat("x", maxText+1)}}
	for _, key := range []string{":use:here", ":use:there", ":max", ":uses", ":owner:" + tag("new")} {
		if err := s.ask.Set(ctx, table.tag+key, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		st, err := table.Renew(ctx, "e", append(all, long))
		if err != nil {
			t.Fatal(err)
		}
		for i := range st {
			if st[i].State != session.Kept {
				t.Errorf("%d: %+v", i, st[i])
			}
		}
	}
	seats, err := table.Seats(ctx, "", "a", 1)
	if err != nil || len(seats) != 1 || seats[0].Uses[0].Name != "there" || seats[0].Owner != "new" {
		t.Errorf("%+v %v", seats, err)
	}
}

// TestHostileValues: a seat that decodes, and makes no sense to Go.
func TestHostileValues(t *testing.T) {
	good := []any{"a\x00g", int64(1), int64(2), int64(3), "u", "", int64(0), "e", "192.0.2.1", "", "hls", "", "", "", "", "name", int64(3)}
	if s, err := seat(good); err != nil || s.Uses[0].Max != 3 {
		t.Fatalf("%+v %v", s, err)
	}
	for i, bad := range map[int]any{0: "a", 1: int64(1) << 60, 3: "x", 8: "localhost", 10: "rtmp", 13: strings.Repeat("x", maxText+1), 14: nil, 16: "3"} {
		v := append([]any{}, good...)
		v[i] = bad
		if s, err := seat(v); err == nil {
			t.Errorf("%d: %+v", i, s)
		}
	}
	for _, bad := range []any{nil, "x", int64(1), []any{}, good[:16], append(good, make([]any, 2*maxUses)...)} {
		if _, err := seat(bad); err == nil {
			t.Errorf("%v", bad)
		}
	}
	for _, payload := range []string{"", "x", "{}", `{"from":"x"}`, `{"ended":{}}`, `{"taken":{"m":"a"}}`, `{"taken":{"m":"\u0000"}}`, `{"ended":{"m":"a\u0000g","for":-1}}`,
		`{"posted":true,"x":"` + strings.Repeat("x", maxMessage) + `"}`} {
		if n, _, err := parseMessage(payload, "me"); err == nil {
			t.Errorf("%.40q: %+v", payload, n)
		}
	}
	n, own, err := parseMessage(`{"from":"you","ended":{"m":"a\u0000g","reason":"kicked","for":60000}}`, "me")
	if err != nil || own || n.Ended == nil || *n.Ended != (session.Ending{Key: session.Key{ID: "a", Group: "g"}, Reason: "kicked", For: time.Minute}) {
		t.Errorf("%+v %v %v", n, own, err)
	}
	for _, text := range []string{"x", "AAAA", packSighting(&session.Sighting{Face: 1})[:20], strings.Repeat("A", 200)} {
		if _, err := unpackSighting(text); err == nil {
			t.Errorf("%q is a sighting", text)
		}
	}
	for _, value := range []any{nil, "", "x\n{}", "-1\n{}", "0\n{", "0"} {
		if _, err := parseNote("ban\x00x", value); err == nil {
			t.Errorf("%q is a note", value)
		}
	}
}

// TestManyExpireAtOnce: a dead edge's seats go together. No claim after that is held up by them all, and none is refused for their sake.
func TestManyExpireAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	v := newVirtual(t, s, "many")
	v.set(time.UnixMilli(1_800_000_000_000))
	const many = 2000
	claim := func(id string) session.Outcome {
		c := seatClaim(id)
		c.Seat.UserID, c.Seat.Uses = "", []session.Use{{Name: "stream", Max: many}, {Name: "edge", Max: many}}
		c.TTL = time.Minute
		a, err := v.Claim(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		return a.Outcome
	}
	for i := range many {
		claim(fmt.Sprint("old", i))
	}
	if claim("new") != session.Refused {
		t.Fatal("no room is room")
	}
	v.set(v.now.Add(2 * time.Minute))
	if claim("new") != session.Held {
		t.Fatal("refused for the sake of the dead")
	}
	if left := s.ask.ZCard(context.Background(), v.tag+":exp").Val(); left < many/2 {
		t.Errorf("%d left after one claim: it was held up by all of them", left)
	}
	if u, err := v.Usage(context.Background(), "", 10); err != nil || len(u) != 2 || u[0].Taken != 1 || u[1].Taken != 1 {
		t.Errorf("%+v %v", u, err)
	}
}

func TestURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h":                            "[h:6379] false   0 false",
		"redis://h:7000/3":                     "[h:7000] false   3 false",
		"rediss://u:p%40w@h":                   "[h:6379] false u p@w 0 true",
		"redis://:secret@[2001:db8::1]":        "[[2001:db8::1]:6379] false  secret 0 false",
		"redis://a:1,b,[2001:db8::1]:3/":       "[a:1 b:6379 [2001:db8::1]:3] true   0 false",
		"rediss://u:p@a,b:2/0?cluster=1":       "[a:6379 b:2] true u p 0 true",
		"redis://config.example/?cluster=true": "[config.example:6379] true   0 false",
	} {
		to, err := parseURL(url)
		got := fmt.Sprint(to.addrs, to.cluster, " ", to.user, " ", to.password, " ", to.database, " ", to.tls != nil)
		if squash(got) != squash(want) || err != nil {
			t.Errorf("%s: %s, %v; want %s", url, got, err, want)
		}
	}
	for _, url := range []string{"", "h:6379", "http://h", "redis://", "redis:///1", "redis://h:x", "redis://h:0", "redis://h:70000", "redis://a,,b", "redis://a,b/1", "redis://h/x",
		"redis://h/?db=1", "redis://h/?cluster=maybe", "redis://h/#x", "redis://u:se%zzcret@h", "redis://u:cret/x@h",
		"redis://:cret#x@h", "redis://:cret?x@h", "redis://cret@h", "redis://:cret@", "redis://h/cret", "redis://h/?cret", "redis://h/?cret=1", "redis://h/?cluster=cret",
		"redis://h/?cluster=1&cluster=1", "redis://h/?a;b", "redis://h/?ca=/tmp/x", "rediss://h/?ca=/no/such", "rediss://h/?ca=", "rediss://h/?cert=/tmp/x", "rediss://h/?key=/tmp/x"} {
		_, err := Open(Options{URL: url})
		if err == nil {
			t.Errorf("%q is taken", url)
		} else if strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, name := range []string{"a}", "{", "a b", strings.Repeat("x", 65)} {
		if _, err := Open(Options{URL: "redis://h", Deployment: name}); err == nil {
			t.Errorf("deployment %q is taken", name)
		}
	}
}

func squash(s string) string { return strings.Join(strings.Fields(s), " ") }

// TestCancelled: a caller who goes away does not make Redis count as lost.
func TestCancelled(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	table := s.open(t, "c")
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := table.Claim(gone, seatClaim("a")); !errors.Is(err, session.ErrLive) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mustClaim(t, table, seatClaim("a"), session.Held)
}

// TestWatchEndsWithTheTable: a table that is closed leaves no watcher behind.
func TestWatchEndsWithTheTable(t *testing.T) {
	t.Parallel()
	table := startServer(t).open(t, "w")
	zero, ended := make(chan struct{}), make(chan error)
	go func() { ended <- table.Watch(context.Background(), func(session.Notice) { close(zero) }) }()
	<-zero
	table.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, session.ErrLive) {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("it goes on watching")
	}
}
