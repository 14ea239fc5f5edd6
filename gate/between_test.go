package gate

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// TestCutBeforeItJoined: what ends a session between its admission and the moment when its connection can be closed closes it then.
func TestCutBeforeItJoined(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		for _, end := range []func(p *player){
			func(p *player) { r.End(r.t.Context(), p.id) },
			func(p *player) {
				r.Ban(r.t.Context(), Ban{User: p.user, Until: time.Now().Add(time.Hour)}, "")
				synctest.Wait()
			},
		} {
			p := r.player(fmt.Sprint("ann", time.Now().UnixNano()), "", home, "vlc")
			p.kind = session.ICY
			v := p.start("radio")
			r.want(v, "")
			joined, cut := false, Code("")
			sit := r.Sit(v.Session, Seated{Taken: func() int64 { return 0 }, Move: func(*session.Session) {}, Cut: func(why Code) {
				if joined {
					cut = why
				}
			}})
			end(p)
			joined = true
			sit.Check()
			synctest.Wait()
			if cut == "" {
				t.Error("he listens on")
			}
			sit.Leave()
			time.Sleep(time.Second)
		}
	})
}

// slow is a live table that answers when it is let.
type slow struct {
	session.Live
	claims chan chan struct{}
}

func (s *slow) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	let := make(chan struct{})
	s.claims <- let
	<-let
	return s.Live.Claim(ctx, c)
}

// TestRoamsWhileItIsJudged: he who roams into a blackout while another request of his waits for the table of seats is judged where he is.
func TestRoamsWhileItIsJudged(t *testing.T) {
	rules := []blackout.Rule{{ID: "away", Streams: []string{"*"}, Where: blackout.Audience{Network: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
		Action: blackout.Deny, Unknown: blackout.Allow}}
	live := &slow{Live: session.NewMemory(100)}
	door(t, Options{Live: live, Limits: perUser(5), SeatTTL: time.Minute, Rules: rules}, func(r *rig) {
		live.claims = make(chan chan struct{}, 10)
		p := r.player("ann", "", home, "vlc")
		go func() { close(<-live.claims) }()
		r.want(p.start("news"), "")
		time.Sleep(61 * time.Second) // his seat is gone
		s, _ := r.table.Get(session.Key{ID: p.id, Group: p.group})
		first, second := make(chan Verdict, 1), make(chan Verdict, 1)
		go func() { first <- p.next(1) }()
		synctest.Wait()
		go func() {
			second <- r.Renew(r.t.Context(), s, Visit{Address: netip.MustParseAddr("198.51.100.7"), Agent: "vlc"})
		}()
		for s.Listener().Address.String() != "198.51.100.7" {
			runtime.Gosched() // he waits for the first, and not for the clock
		}
		close(<-live.claims)
		r.want(<-first, "")
		r.want(<-second, Blackout)
	})
}

// TestEndedWhileItIsAdmitted: an ending that comes while the origin is asked holds, whoever counts the session.
func TestEndedWhileItIsAdmitted(t *testing.T) {
	door(t, Options{}, func(r *rig) {
		p := r.player("", "", home, "vlc")
		p.id, p.group = session.NewID(), "news"
		q := &Request{Key: session.Key{ID: p.id, Group: p.group}, Kind: session.HLS, Grant: &session.Grant{Group: "news", Issued: time.Now()},
			Listener: session.Listener{Address: p.at(), Agent: "vlc"}}
		r.want(r.Look(q), "")
		r.ended(q.Key, byOperator, time.Hour) // by another edge's word
		r.want(r.Admit(r.t.Context(), q), Ended)
	})
}

// TestManyEndings: when there are as many as may be, room for one more costs no look at all.
func TestManyEndings(t *testing.T) {
	var e endings
	e.init()
	until, looks := time.Now().Add(time.Hour), 0
	for i := range maxEndings + 10_000 {
		was := len(e.all)
		if e.add(session.Key{ID: session.ID(fmt.Sprint(i))}, "", until); len(e.all) <= was {
			looks++
		}
	}
	if looks > 2 || len(e.all) > maxEndings {
		t.Errorf("%d times all were looked at; %d are remembered", looks, len(e.all))
	}
}

// TestSweepWaitsForNobody: a session that is being decided about keeps none of the others waiting for their renewal.
func TestSweepWaitsForNobody(t *testing.T) {
	g, all := crowded(t, 10)
	all[3].Lease.Mu.Lock()
	defer all[3].Lease.Mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); g.renewAll(context.Background()) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("all wait for one")
	}
}

// TestSameIDTwoUsers: of two users who begin with the same id at the same time each has his own session.
func TestSameIDTwoUsers(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		ann, bob := r.player("ann", "", home, "vlc"), r.player("bob", "", home, "vlc")
		ann.id, ann.group, bob.id, bob.group = "chosen", "news", "chosen", "news"
		r.want(ann.admit(nil, true), "")
		v := bob.admit(nil, true) // he had been looked at before she was there
		r.want(v, "")
		if s := v.Session; s.Key.ID == "chosen" || s.Listener().UserID != "bob" {
			t.Errorf("bob has %s of %s", s.Key.ID, s.Listener().UserID)
		}
	})
}

// TestRevivedOnce: two requests of a session that was found in the store are of one session.
func TestRevivedOnce(t *testing.T) {
	table := session.NewTable(10)
	old := session.New(session.Key{ID: "1", Group: "g"}, session.HLS, session.Listener{})
	if _, _, err := table.Admit(old, time.Now()); err != nil {
		t.Fatal(err)
	}
	table.Drop(old)
	next, _, err := table.Admit(session.New(old.Key, session.HLS, session.Listener{}), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	table.Drop(old) // by the other request, which had found it too
	if s, ok := table.Get(old.Key); !ok || s != next {
		t.Error("the session that goes on was forgotten")
	}
}

// far is a live table at the end of a long way.
type far struct {
	session.Live
	mu      sync.Mutex
	asking  int
	most    int // calls at once
	renewed map[session.Key]int
}

func (f *far) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	f.mu.Lock()
	f.asking++
	f.most = max(f.most, f.asking)
	for _, r := range all {
		f.renewed[r.Key]++
	}
	f.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	f.mu.Lock()
	f.asking--
	f.mu.Unlock()
	return f.Live.Renew(ctx, edge, all)
}

// TestFarTable: the renewals of many seats wait for a far table together, some calls at a time, and each seat is renewed once.
func TestFarTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 8 * renewBatch
		live := &far{Live: session.NewMemory(n), renewed: make(map[session.Key]int)}
		r := &rig{t, New(Options{Table: session.NewTable(n), Live: live, Many: true, Edge: "edge"}), nil}
		for i := range n {
			p := r.player(fmt.Sprint("user", i), "", home, "TV")
			r.want(p.start("news"), "")
		}
		began := time.Now()
		r.renewAll(t.Context())
		if took := time.Since(began); took != 8/renewsAtOnce*50*time.Millisecond || live.most != renewsAtOnce {
			t.Errorf("%v, %d calls at once", took, live.most)
		}
		for k, times := range live.renewed {
			if times != 1 {
				t.Errorf("%v was renewed %d times", k, times)
			}
		}
		if len(live.renewed) != n {
			t.Errorf("%d were renewed", len(live.renewed))
		}
		synctest.Wait()
	})
}
