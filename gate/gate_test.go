package gate

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"earshot/session"
)

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Table: session.NewTable(1000), NewPerAddress: 10})
		one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		knock := func(a netip.Addr, n int) (allowed int) {
			for range n {
				v := g.Knock(a)
				if v.Action == Allow {
					allowed++
				} else if v.Code != RateLimited || v.RetryAfter <= 0 || v.RetryAfter > time.Second {
					t.Fatalf("refused with %+v", v)
				}
			}
			return allowed
		}
		if n := knock(one, 50); n != 10 {
			t.Errorf("%d of 50 at once", n)
		}
		if n := knock(two, 5); n != 5 {
			t.Errorf("another address: %d of 5", n)
		}
		time.Sleep(500 * time.Millisecond)
		if n := knock(one, 50); n != 5 {
			t.Errorf("%d after half a second", n)
		}
		for range 10 { // over the turns of generations
			time.Sleep(700 * time.Millisecond)
			if n := knock(one, 50); n != 7 {
				t.Errorf("%d after 700 ms", n)
			}
		}
		time.Sleep(time.Minute)
		if n := knock(one, 50); n != 10 {
			t.Errorf("%d after a minute", n)
		}
		six := func(s string) netip.Addr { return netip.MustParseAddr(s) }
		if n := knock(six("2001:db8::1"), 6) + knock(six("2001:db8::2"), 6); n != 10 {
			t.Errorf("%d from one /64", n)
		}
	})
}

func TestRateMemoryIsBounded(t *testing.T) {
	r := newRates(1, 1)
	now := time.Unix(0, 0)
	for i := range 3 * maxAddresses {
		r.take(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if n := len(r.now) + len(r.old); n > 2*maxAddresses {
		t.Errorf("%d addresses held", n)
	}
}

func TestFull(t *testing.T) {
	table := session.NewTable(3)
	g := New(Options{Table: table})
	for i := range 5 {
		v := g.Admit(t.Context(), &Request{Key: session.Key{ID: session.ID(fmt.Sprint(i)), Group: "g"}})
		if want := i < 3; (v.Action == Allow) != want || !want && v.Code != EdgeFull {
			t.Errorf("%d: %+v", i, v)
		}
	}
	if v := g.Knock(netip.MustParseAddr("192.0.2.1")); v.Code != EdgeFull || v.RetryAfter <= 0 {
		t.Errorf("%+v", v)
	}
	if v := g.Admit(t.Context(), &Request{Key: session.Key{ID: "1", Group: "g"}}); v.Action != Allow || v.Fresh {
		t.Errorf("who is in is shut out: %+v", v)
	}
	table.Remove(session.Key{ID: "1", Group: "g"})
	if v := g.Admit(t.Context(), &Request{Key: session.Key{ID: "9", Group: "g"}}); v.Action != Allow || !v.Fresh {
		t.Errorf("%+v", v)
	}
}

// A seat that is released is free, and nothing is denied to whose it was.
func TestRelease(t *testing.T) {
	g := New(Options{Table: session.NewTable(1)})
	key := session.Key{ID: "a", Group: "kpcc"}
	for range 2 {
		if v := g.Admit(t.Context(), &Request{Key: key, Kind: session.ICY}); v.Action != Allow || !v.Fresh {
			t.Fatalf("%+v", v)
		}
		g.Release(key)
		if _, known := g.Live(key); known {
			t.Error("still known")
		}
	}
}
