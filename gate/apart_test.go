package gate

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"earshot/session"
	"earshot/session/sessiontest"
)

// follow has p play on with another's id and grant, as one who was sent the other's URL.
func (r *rig) follow(p *player, user *player) *player {
	p.id, p.group, p.grant = user.id, user.group, user.grant
	return p
}

// TestSharedURL: two who use one id are told apart by what they ask for, and the second needs a seat of his own.
func TestSharedURL(t *testing.T) {
	for _, max := range []int{1, 2} {
		door(t, Options{Limits: perUser(max)}, func(r *rig) {
			ann := r.player("ann", "", home, "TV")
			r.want(ann.start("news"), "")
			eve := r.follow(r.player("ann", "", phone, "Phone"), ann)
			var own session.ID
			refused := 0
			for i := range 30 {
				time.Sleep(3 * time.Second)
				v := ann.next(i)
				r.want(v, "")
				if v.Session.Key.ID != ann.id {
					t.Fatal("the first was given another id")
				}
				time.Sleep(time.Second)
				switch v := eve.next(i); {
				case v.Action != Allow:
					r.want(v, TooManySessions)
					refused++
				case v.Session.Key.ID != ann.id:
					if own != "" && own != v.Session.Key.ID {
						t.Fatal("the second's id changes")
					}
					own = v.Session.Key.ID
				}
			}
			if max == 1 && refused < 20 {
				t.Errorf("refused %d times of 30", refused)
			}
			if max == 2 && (refused > 0 || own == "") {
				t.Errorf("refused %d times, own id %q", refused, own)
			}
		})
	}
}

// TestRoaming: one listener, whatever address and agent his requests come from, is one.
func TestRoaming(t *testing.T) {
	roads := map[string]func(i int) (address, agent string){
		"once":       func(i int) (string, string) { return []string{home, phone}[min(1, i/10)], "App" },
		"dual stack": func(i int) (string, string) { return []string{home, "2001:db8::1"}[i%2], "App" },
		"a pool":     func(i int) (string, string) { return fmt.Sprintf("203.0.113.%d", i%50), "App" },
		"AirPlay":    func(i int) (string, string) { return home, []string{"App", "AirPlay"}[i/5%2] },
	}
	for name, road := range roads {
		t.Run(name, func(t *testing.T) {
			door(t, Options{Limits: []Limit{{Per: PerUser, Max: 1}, {Per: PerAddress, Max: 1}}}, func(r *rig) {
				p := r.player("ann", "", home, "App")
				r.want(p.start("news"), "")
				for i := range 120 {
					time.Sleep(2 * time.Second)
					p.address, p.agent = road(i)
					v := p.next(i)
					if i%10 == 0 {
						v = p.next(i) // what was broken off is asked for again
					}
					r.want(v, "")
					if v.Session.Key.ID != p.id {
						t.Fatalf("taken for another at request %d", i)
					}
					if l := v.Session.Listener(); l.Address != p.at() || l.Agent != p.agent {
						t.Fatalf("not handed over: %v", l)
					}
				}
			})
		})
	}
}

// seat is a connection that a test holds open.
type seated struct {
	*Sitting
	bytes atomic.Int64
	cut   atomic.Pointer[Code]
	moved atomic.Pointer[session.Session]
}

// listen opens a connection for a player whose session was admitted.
func (p *player) listen(s *session.Session) *seated {
	c := new(seated)
	c.Sitting = p.Sit(s, Seated{Visit: Visit{Address: p.at(), Agent: p.agent}, Taken: c.bytes.Load, Cut: func(why Code) { c.cut.Store(&why) },
		Move: func(s *session.Session) { c.moved.Store(s) }})
	return c
}

// flow has the connections take audio for a while.
func flow(d time.Duration, all ...*seated) {
	for range d / time.Second {
		time.Sleep(time.Second)
		for _, c := range all {
			if c.cut.Load() == nil {
				c.bytes.Add(16_000)
			}
		}
	}
}

func (p *player) connect(mount string) (*seated, Verdict) {
	p.kind = session.ICY
	v := p.start(mount)
	if v.Action != Allow {
		return nil, v
	}
	return p.listen(v.Session), v
}

// TestZapConnections: a receiver opens the next station before it closes the last, or its last connection is dead. Who listens on is not robbed.
func TestZapConnections(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		radio := r.player("ann", "", home, "Radio")
		old, v := radio.connect("one")
		r.want(v, "")
		flow(5*time.Second, old)
		go func() { time.Sleep(300 * time.Millisecond); old.Leave() }()
		next, v := radio.connect("two")
		r.want(v, "")
		flow(5*time.Second, next)
		dead := next // nothing is taken of it any more, and nobody has closed it
		time.Sleep(3 * time.Second)
		third, v := radio.connect("three")
		r.want(v, "")
		flow(2*time.Minute, third)
		if third.cut.Load() != nil {
			t.Fatal("cut for a dead connection")
		}
		dead.Leave()
		other := r.player("ann", "", home, "Radio")
		began := time.Now()
		done := make(chan Verdict)
		go func() { _, v := other.connect("four"); done <- v }()
		for {
			select {
			case v := <-done:
				r.want(v, TooManySessions)
				if wait := time.Since(began); wait > 3*time.Second {
					t.Errorf("refused after %v", wait)
				}
			default:
				flow(time.Second, third)
				continue
			}
			break
		}
		flow(2*time.Minute, third)
		if third.cut.Load() != nil {
			t.Error("robbed by who was refused")
		}
		third.Leave()
		time.Sleep(time.Second)
		_, v = other.connect("four")
		r.want(v, "")
	})
}

// eager is a table at which somebody else asks for a seat before and after each call.
type eager struct {
	session.Live
	ask func()
}

func (e *eager) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	e.ask()
	defer e.ask()
	return e.Live.Claim(ctx, c)
}

func (e *eager) Release(ctx context.Context, edge string, keys ...session.Key) error {
	e.ask()
	defer e.ask()
	return e.Live.Release(ctx, edge, keys...)
}

// TestNoThird: while a newcomer gives a seat back to the one whom he had taken for gone, no third gets it.
func TestNoThird(t *testing.T) {
	live := &eager{Live: sessiontest.NewModel(time.Now), ask: func() {}}
	door(t, Options{Limits: perUser(1), Live: live}, func(r *rig) {
		radio := r.player("ann", "", home, "Radio")
		first, v := radio.connect("one")
		r.want(v, "")
		flow(5*time.Second, first)
		asked, got := 0, 0
		live.ask = func() {
			asked++
			a, err := live.Live.Claim(t.Context(), &session.Claim{TTL: time.Minute, Policy: session.Reject, Seat: session.Seat{
				Key: session.Key{ID: session.NewID(), Group: "one"}, Kind: session.ICY, UserID: "ann", Uses: []session.Use{{Name: "user=ann", Max: 1}}}})
			if err != nil || a.Outcome == session.Held {
				got++
			}
		}
		second := r.player("ann", "", home, "Radio")
		done := make(chan Verdict, 1)
		go func() { _, v := second.connect("two"); done <- v }()
		flow(5*time.Second, first)
		r.want(<-done, TooManySessions)
		if asked < 4 || got > 0 {
			t.Errorf("a third asked %d times, and got a seat %d times", asked, got)
		}
		flow(2*time.Minute, first)
		if code := first.cut.Load(); code != nil {
			t.Errorf("who listened on was cut: %v", *code)
		}
	})
}

// TestDoubleSockets: two connections of one listener are one, however long he keeps them; two of two listeners are told apart.
func TestDoubleSockets(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		p := r.player("ann", "", home, "AVPlayer")
		first, v := p.connect("kpcc")
		r.want(v, "")
		second := p.listen(v.Session)
		flow(3*time.Minute, first, second)
		if first.cut.Load() != nil || second.cut.Load() != nil {
			t.Fatal("one of one listener's connections was cut")
		}
		first.Leave()
		flow(time.Minute, second)
		if usage, err := r.Usage(r.t.Context(), "", 1); err != nil || len(usage) != 1 || usage[0].Taken != 1 {
			t.Errorf("the seat went with the first connection: %v %v", usage, err)
		}
		eve := r.player("ann", "", phone, "Phone")
		third := eve.listen(v.Session)
		flow(2*time.Minute, second, third)
		if second.cut.Load() != nil || third.cut.Load() == nil {
			t.Errorf("second cut: %v, third: %v", second.cut.Load(), third.cut.Load())
		}
	})
	door(t, Options{Limits: perUser(2)}, func(r *rig) {
		p, eve := r.player("ann", "", home, "Radio"), r.player("ann", "", phone, "Phone")
		first, v := p.connect("kpcc")
		r.want(v, "")
		second := eve.listen(v.Session)
		flow(2*time.Minute, first, second)
		if first.moved.Load() != nil || second.moved.Load() == nil || second.cut.Load() != nil {
			t.Error("not told apart")
		}
	})
}

// TestLeaving: the seat of a connection is free at once.
func TestLeaving(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		for range 5 {
			c, v := r.player("ann", "", home, "one").connect("kpcc")
			r.want(v, "")
			flow(time.Second, c)
			c.Leave()
			time.Sleep(time.Millisecond)
			c, v = r.player("ann", "", phone, "two").connect("kpcc")
			r.want(v, "")
			c.Leave()
			time.Sleep(time.Millisecond)
		}
	})
}
