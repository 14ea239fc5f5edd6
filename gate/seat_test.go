package gate

import (
	"testing"
	"time"

	"earshot/session"
)

const (
	home  = "192.0.2.1"
	phone = "198.51.100.7"
)

// TestReject: who comes last is refused while the other plays, whatever he tries, and let in when the other has gone.
func TestReject(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		tv, tablet := r.player("ann", "tv", home, "TV"), r.player("ann", "tablet", home, "Tablet")
		r.want(tv.start("news"), "")
		for i := range 40 {
			r.want(tv.next(i), "")
			r.want(tablet.start("news"), TooManySessions)
			time.Sleep(6 * time.Second)
		}
		time.Sleep(time.Minute)
		r.want(tablet.start("news"), "")
		r.want(r.player("bob", "tv", home, "TV").start("news"), "")
	})
}

// TestZap: a listener changes channels faster than seats expire, back and forth, and is never refused. He counts once.
func TestZap(t *testing.T) {
	for _, device := range []string{"tv", ""} {
		door(t, Options{Limits: perUser(1)}, func(r *rig) {
			p := r.player("ann", device, home, "TV")
			for i := range 60 {
				r.want(p.start([]string{"one", "two", "three"}[i%3]), "")
				for k := range i % 4 {
					time.Sleep(time.Second)
					r.want(p.next(k), "")
				}
			}
			usage, err := r.Usage(r.t.Context(), "", 10)
			if err != nil || len(usage) != 1 || usage[0].Taken != 1 || usage[0].Name != "user=ann" {
				t.Errorf("%+v, %v", usage, err)
			}
		})
	}
}

// TestZapBack: the same session ids, as a player has that keeps one for all it plays.
func TestZapBack(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		p := r.player("ann", "tv", home, "TV")
		p.id = "mine"
		for i := range 40 {
			p.group = []string{"one", "two"}[i%2]
			if s, ok := r.table.Get(session.Key{ID: p.id, Group: p.group}); ok {
				r.want(r.Renew(r.t.Context(), s, Visit{Address: p.at(), Agent: p.agent, Starts: true}), "")
			} else {
				r.want(p.admit(nil, true), "")
			}
			for k := range 3 {
				time.Sleep(time.Second)
				r.want(p.next(i+k), "")
			}
		}
	})
}

// TestZapOverMany: who polls media playlists comes back to the sessions that he had, over others.
func TestZapOverMany(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		var channels []*player
		for _, group := range []string{"one", "two", "three", "four"} {
			p := r.player("ann", "", home, "VLC")
			r.want(p.start(group), "")
			channels = append(channels, p)
			time.Sleep(3 * time.Second)
		}
		for i := range 12 {
			for k := range 3 {
				r.want(channels[i%4].next(3*i+k), "")
				time.Sleep(2 * time.Second)
			}
		}
	})
}

// TestManyTabs: three that all go on have no more than one seat's worth.
func TestManyTabs(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		var tabs []*player
		for range 3 {
			p := r.player("ann", "", home, "Chrome")
			r.want(p.start("news"), "")
			tabs = append(tabs, p)
			time.Sleep(2 * time.Second)
		}
		served := make([]int, 3)
		for i := range 60 {
			for k, p := range tabs {
				if p.next(i).Action == Allow {
					served[k]++
				}
				time.Sleep(2 * time.Second)
			}
		}
		if sum := served[0] + served[1] + served[2]; sum > 60+20 || max(served[0], served[1], served[2]) < 55 {
			t.Errorf("served %v of 60 each", served)
		}
	})
}

// TestSecondTab: two players of one user, device, address and agent cannot be told from one who zaps until both go on. Then it is the second that is refused,
// within seconds, and the first hears nothing of it.
func TestSecondTab(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		first, second := r.player("ann", "", home, "Chrome"), r.player("ann", "", home, "Chrome")
		r.want(first.start("news"), "")
		for i := range 5 {
			time.Sleep(4 * time.Second)
			r.want(first.next(i), "")
		}
		r.want(second.start("news"), "")
		refused := 0
		for i := range 60 {
			time.Sleep(2 * time.Second)
			r.want(first.next(5+i), "")
			time.Sleep(2 * time.Second)
			if v := second.next(5 + i); v.Action != Allow {
				r.want(v, TooManySessions)
				refused++
			} else if i > 8 {
				t.Fatalf("the second still plays after %d requests", i)
			}
		}
		if refused == 0 {
			t.Error("never refused")
		}
		time.Sleep(70 * time.Second) // the first has stopped
		r.want(second.start("news"), "")
	})
}

// TestPictureInPicture: where there is room, two players of one device each have a seat.
func TestPictureInPicture(t *testing.T) {
	door(t, Options{Limits: perUser(2)}, func(r *rig) {
		big, small, other := r.player("ann", "tv", home, "TV"), r.player("ann", "tv", home, "TV"), r.player("ann", "phone", phone, "Phone")
		r.want(big.start("one"), "")
		r.want(small.start("two"), "")
		for i := range 20 {
			time.Sleep(3 * time.Second)
			r.want(big.next(i), "")
			r.want(small.next(i), "")
			if i > 2 {
				r.want(other.start("one"), TooManySessions)
			}
		}
	})
}

// TestMultiStream: a device whose players count once.
func TestMultiStream(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		for i := range 4 {
			p := r.player("ann", "tv", home, "TV")
			p.id, p.group = session.NewID(), "news"
			req := &Request{Key: session.Key{ID: p.id, Group: p.group}, Kind: session.HLS, Listener: session.Listener{Address: p.at(), Agent: p.agent}}
			req.Identity.User, req.Identity.Device, req.Identity.Shared = "ann", "tv", true
			r.want(r.Admit(r.t.Context(), req), "")
			time.Sleep(time.Duration(i) * time.Second)
		}
		r.want(r.player("ann", "phone", phone, "Phone").start("news"), TooManySessions)
	})
}

// TestEndOldest: the newcomer plays; the other is over, and does not take the place back in a loop.
func TestEndOldest(t *testing.T) {
	door(t, Options{Limits: perUser(1), OnLimit: session.EndOldest}, func(r *rig) {
		tv, tablet := r.player("ann", "tv", home, "TV"), r.player("ann", "tablet", home, "Tablet")
		r.want(tv.start("news"), "")
		time.Sleep(10 * time.Second)
		r.want(tv.next(1), "")
		r.want(tablet.start("news"), "")
		time.Sleep(time.Second)
		r.want(tv.next(2), Ended)
		for range 10 {
			time.Sleep(3 * time.Second)
			r.want(tv.start("news"), TooManySessions) // cooling down
			r.want(tablet.next(1), "")
		}
		time.Sleep(40 * time.Second)
		r.want(tv.start("news"), "")
	})
}

// TestChoose: a refusal lists the user's sessions, and a retry ends the one that it names. Another user's code does nothing.
func TestChoose(t *testing.T) {
	door(t, Options{Limits: []Limit{{Per: PerUser, Max: 1}, {Per: PerStream, Max: 2}}, OnLimit: session.Choose}, func(r *rig) {
		tv, bob := r.player("ann", "tv", home, "TV"), r.player("bob", "tv", phone, "TV")
		r.want(tv.start("news"), "")
		r.want(bob.start("news"), "")
		tablet := r.player("ann", "tablet", home, "Tablet")
		v := tablet.start("sport")
		r.want(v, ChooseSession)
		if len(v.Conflicts) != 1 || v.Conflicts[0].SessionID != tv.id || v.Conflicts[0].Code == "" {
			t.Fatalf("%+v", v.Conflicts)
		}
		r.want(r.player("cid", "tv", phone, "Other").start("news"), TooManySessions) // full of others' sessions, which are nobody's to choose from
		try := func(user string, codes ...string) Verdict {
			return r.Admit(r.t.Context(), &Request{Key: session.Key{ID: session.NewID(), Group: "sport"}, Kind: session.HLS, Terminate: codes,
				Listener: session.Listener{Address: tablet.at(), Agent: "Tablet", UserID: user}})
		}
		bobs := r.player("bob", "tablet", phone, "Tablet").start("sport").Conflicts[0].Code
		r.want(try("ann", bobs, "nonsense", ""), ChooseSession)
		r.want(try("ann", v.Conflicts[0].Code), "")
		time.Sleep(time.Second)
		r.want(tv.next(1), Ended)
		r.want(bob.next(1), "")
	})
}
