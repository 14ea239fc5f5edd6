package redislive

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"earshot/session"
)

// TestDeadElsewhere: a limit is full of the living when an edge dies with seats that count under others. A claim reads few seats to find that out, and one
// dead seat among them, in a slot or not, is found.
func TestDeadElsewhere(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	v := newVirtual(t, s, "dead")
	now := time.UnixMilli(1_800_000_000_000)
	v.set(now)
	const max, dead = 1000, 300
	claim := func(id, use string, ttl time.Duration, slot string) session.Answer {
		a, err := v.Claim(t.Context(), &session.Claim{Seat: session.Seat{Key: session.Key{ID: session.ID(id)}, Owner: "owner of " + id, Slot: slot,
			Uses: []session.Use{{Name: use, Max: max}}}, TTL: ttl, Policy: session.Reject})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for i := range max - 2 {
		claim(fmt.Sprint("a", i), "full", time.Hour, "")
	}
	for i := range dead {
		claim(fmt.Sprint("b", i), "other", time.Minute, "")
	}
	claim("one", "full", 2*time.Minute, "")
	claim("two", "full", 2*time.Minute, "tv")
	v.set(now.Add(90 * time.Second))
	before := s.calls("get")
	if a := claim("three", "full", time.Hour, ""); a.Outcome != session.Refused {
		t.Fatalf("%+v", a)
	}
	if n := s.calls("get") - before; n > max/2 {
		t.Errorf("%d seats were read for one refusal", n)
	}
	for i := range dead {
		claim(fmt.Sprint("c", i), "other", time.Second, "")
	}
	v.set(now.Add(3 * time.Minute))
	for _, id := range []string{"three", "four"} {
		if a := claim(id, "full", time.Hour, ""); a.Outcome != session.Held {
			t.Fatalf("%s: %+v", id, a)
		}
	}
	if a := claim("five", "full", time.Hour, ""); a.Outcome != session.Refused {
		t.Fatalf("%+v", a)
	}
}

// calls is how often a command was called, by scripts or otherwise.
func (s *server) calls(command string) int {
	s.t.Helper()
	info, err := s.ask.Info(context.Background(), "commandstats").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`cmdstat_` + command + `:calls=(\d+)`).FindStringSubmatch(info)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// TestNoUse: a Redis that lets nobody in, or takes no writes, is declared out of reach, and not asked by every listener.
func TestNoUse(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"no password": {"--requirepass", "secret"}, "password": {"--requirepass", "secret"},
		"memory": {"--maxmemory", "1kb"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{t: t, dir: t.TempDir(), port: freePort(t), args: args}
			s.start()
			t.Cleanup(s.stop)
			url := s.url()
			if name == "password" {
				url = "redis://:wrong@" + s.addr()
			}
			table := openAt(t, Options{URL: url, Timeout: 5 * time.Second})
			claim := &session.Claim{Seat: session.Seat{Key: session.Key{ID: "a"}}, TTL: time.Minute}
			eventually(t, 10*time.Second, "it is asked all the time", func() bool {
				_, err := table.Claim(t.Context(), claim)
				if err == nil {
					t.Fatal("granted")
				}
				return errors.Is(err, errUnasked)
			})
			time.Sleep(2 * pause)
			_, err := table.Claim(t.Context(), claim)
			if errors.Is(err, errUnasked) {
				t.Error("it is not asked again")
			}
			if _, err = table.Claim(t.Context(), claim); !errors.Is(err, errUnasked) {
				t.Errorf("it is asked at once: %v", err)
			}
		})
	}
}
