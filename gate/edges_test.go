package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"earshot/session"
)

// shared is a live table that several gates share, which can be slow and can forget all it holds.
type shared struct {
	mu    sync.Mutex
	inner session.Live

	releasing atomic.Int64 // ns that a release takes
	late      atomic.Bool  // claims are answered too late
	down      atomic.Bool
	full      atomic.Bool // of notes
}

var errFull = fmt.Errorf("the board is full")

func newShared() *shared { return &shared{inner: session.NewMemory(10_000)} }

func (s *shared) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inner = session.NewMemory(10_000)
}

func (s *shared) now() session.Live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner
}

func (s *shared) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	if s.down.Load() {
		return session.Answer{}, session.ErrLive
	}
	a, err := s.now().Claim(ctx, c)
	if s.late.Load() {
		<-ctx.Done()
		return session.Answer{}, fmt.Errorf("%w: %w", session.ErrLive, ctx.Err())
	}
	return a, err
}

func (s *shared) Renew(ctx context.Context, edge string, all []session.Renewal) ([]session.Standing, error) {
	if s.down.Load() {
		return nil, session.ErrLive
	}
	return s.now().Renew(ctx, edge, all)
}

func (s *shared) Release(ctx context.Context, edge string, keys ...session.Key) error {
	time.Sleep(time.Duration(s.releasing.Load()))
	if s.down.Load() {
		return session.ErrLive
	}
	return s.now().Release(ctx, edge, keys...)
}

func (s *shared) End(ctx context.Context, e session.Ending) error { return s.now().End(ctx, e) }

func (s *shared) Seats(ctx context.Context, user string, id session.ID, limit int) ([]session.Seat, error) {
	return s.now().Seats(ctx, user, id, limit)
}

func (s *shared) Usage(ctx context.Context, after string, limit int) ([]session.Usage, error) {
	return s.now().Usage(ctx, after, limit)
}

func (s *shared) Post(ctx context.Context, n session.Note) error {
	if s.down.Load() {
		return session.ErrLive
	}
	if s.full.Load() {
		return errFull
	}
	return s.now().Post(ctx, n)
}

func (s *shared) Withdraw(ctx context.Context, kind, id string) (bool, error) {
	return s.now().Withdraw(ctx, kind, id)
}

func (s *shared) Board(ctx context.Context) ([]session.Note, error) {
	if s.down.Load() {
		return nil, session.ErrLive
	}
	return s.now().Board(ctx)
}

func (s *shared) Watch(ctx context.Context, told func(session.Notice)) error {
	return s.now().Watch(ctx, told)
}

func (s *shared) Close() error { return nil }

// house runs a test with several edges on one table, in a bubble of its own time. open starts another one.
func house(t *testing.T, n int, opt Options, live session.Live, test func(t *testing.T, edges []*rig, open func() *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var edges []*rig
		signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
		if err != nil {
			t.Fatal(err)
		}
		open := func() *rig {
			o := opt
			o.Table, o.Live, o.Many, o.Signer, o.Edge = session.NewTable(1000), live, true, signer, fmt.Sprint("edge", len(edges))
			r := &rig{t, New(o), o.Table}
			edges = append(edges, r)
			r.Restore(ctx)
			running.Go(func() { r.Run(ctx) })
			synctest.Wait()
			return r
		}
		for range n {
			open()
		}
		test(t, edges, open)
		cancel()
		running.Wait()
	})
}

// on has a player go on at another edge.
func (p *player) on(r *rig) *player {
	there := *p
	there.rig = r
	return &there
}

// holds fails unless exactly these have seats.
func holds(t *testing.T, live session.Live, want ...session.ID) {
	t.Helper()
	seats, err := live.Seats(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	got := map[session.ID]bool{}
	for _, s := range seats {
		got[s.Key.ID] = true
	}
	ok := len(got) == len(want)
	for _, id := range want {
		ok = ok && got[id]
	}
	if !ok {
		t.Fatalf("at %v: %v hold seats, want %v", time.Now().UTC().Format("15:04:05"), got, want)
	}
}

// TestSweptWhereItWas: an edge that a listener has left does not free the seat that he goes on with at another one.
func TestSweptWhereItWas(t *testing.T) {
	live := newShared()
	house(t, 2, Options{Limits: perUser(1)}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		tv := edges[0].player("ann", "tv", home, "TV")
		tv.want(tv.start("news"), "")
		there := tv.on(edges[1])
		for i := range 100 {
			time.Sleep(4 * time.Second)
			tv.want(there.next(i), "")
			if i == 10 || i == 99 { // before its time to live is over, and after
				edges[0].Sweep(func(s *session.Session) bool { return time.Since(s.Seen()) > 30*time.Second })
				synctest.Wait()
				holds(t, live, tv.id)
				tv.want(tv.next(i), "")
			}
		}
		phone := edges[0].player("ann", "phone", phone, "Phone")
		phone.want(phone.start("news"), TooManySessions)
	})
}

// TestBackAtOnce: one who closes his connection and is back before the live table has heard that he went keeps his seat.
func TestBackAtOnce(t *testing.T) {
	live := newShared()
	live.releasing.Store(int64(50 * time.Millisecond))
	house(t, 1, Options{Limits: perUser(1)}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		radio := edges[0].player("ann", "car", home, "Radio")
		seated, v := radio.connect("kpcc")
		radio.want(v, "")
		seated.Leave()
		radio.want(radio.admit(nil, true), "")
		time.Sleep(time.Second)
		holds(t, live, radio.id)
		other := edges[0].player("ann", "phone", phone, "Phone")
		other.want(other.start("kpcc"), TooManySessions)
	})
}

// TestBackThroughAnotherEdge: a receiver whose connection breaks comes back through another edge before the first has noticed. When that does, the seat is the other's.
func TestBackThroughAnotherEdge(t *testing.T) {
	for _, both := range []time.Duration{2 * time.Second, 50 * time.Second} { // before the first renews, and after both have
		live := newShared()
		house(t, 2, Options{Limits: perUser(1)}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
			car := edges[0].player("ann", "car", home, "Radio")
			first, v := car.connect("kpcc")
			car.want(v, "")
			flow(5*time.Second, first)
			again := car.on(edges[1])
			v = again.admit(nil, true)
			again.want(v, "")
			second := again.listen(v.Session)
			flow(both, second)
			first.Leave()
			synctest.Wait()
			holds(t, live, car.id)
			for _, r := range edges {
				other := r.player("ann", "phone", phone, "Phone")
				other.want(other.start("kpcc"), TooManySessions)
			}
			flow(3*time.Minute, second)
			if code := second.cut.Load(); code != nil {
				t.Errorf("the connection was cut: %v", *code)
			}
			second.Leave()
			synctest.Wait()
			holds(t, live)
		})
	}
}

// TestSameIDTwoUsersApart: of two users who begin with the same id on two edges each has his own session, as on one.
func TestSameIDTwoUsersApart(t *testing.T) {
	for _, kind := range []session.Kind{session.HLS, session.ICY} {
		live := newShared()
		house(t, 2, Options{Limits: perUser(1)}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
			ann, bob := edges[0].player("ann", "", home, "vlc"), edges[1].player("bob", "", phone, "Radio")
			for _, p := range []*player{ann, bob} {
				p.id, p.group, p.kind = "chosen", "news", kind
			}
			ann.want(ann.admit(nil, true), "")
			v := bob.admit(nil, true)
			bob.want(v, "")
			if s := v.Session; s.Key.ID == "chosen" || s.Listener().UserID != "bob" || !v.Fresh {
				t.Fatalf("bob has %s of %q", s.Key.ID, s.Listener().UserID)
			}
			holds(t, live, "chosen", v.Session.Key.ID)
			if n := edges[1].table.Len(); n != 1 {
				t.Errorf("%d sessions at bob's edge", n)
			}
			usage, err := edges[0].Usage(t.Context(), "", 10)
			if err != nil || len(usage) != 2 || usage[0].Taken != 1 || usage[1].Taken != 1 {
				t.Errorf("%+v, %v", usage, err)
			}
			for _, user := range []string{"ann", "bob"} {
				other := edges[1].player(user, "tv", phone, "TV")
				other.want(other.start("news"), TooManySessions)
			}
			there := ann.on(edges[1]) // her own id is hers everywhere
			v = there.admit(nil, true)
			there.want(v, "")
			if v.Session.Key.ID != "chosen" {
				t.Errorf("ann has %s", v.Session.Key.ID)
			}
		})
	}
}

// TestReleasedLater: what could not be given back while the table was away is given back when it is there again, unless its session is back.
func TestReleasedLater(t *testing.T) {
	live := newShared()
	house(t, 1, Options{Limits: perUser(2), SeatTTL: 3 * time.Minute}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		gone, back := edges[0].player("ann", "car", home, "Radio"), edges[0].player("ann", "tv", home, "TV")
		one, v := gone.connect("kpcc")
		gone.want(v, "")
		two, v := back.connect("kpcc")
		back.want(v, "")
		live.down.Store(true)
		one.Leave()
		two.Leave()
		time.Sleep(time.Second)
		holds(t, live, gone.id, back.id)
		back.want(back.admit(nil, true), "")
		s, _ := back.table.Get(session.Key{ID: back.id, Group: "kpcc"})
		again := back.listen(s)
		live.down.Store(false)
		flow(62*time.Second, again)
		holds(t, live, back.id)
	})
}

// TestAbandonedClaim: a claim that was answered too late has given a seat that nobody knows of. It is given back.
func TestAbandonedClaim(t *testing.T) {
	live := newShared()
	house(t, 1, Options{Limits: perUser(1), OnLiveError: LiveDeny, SeatTTL: 3 * time.Minute}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		live.late.Store(true)
		tv := edges[0].player("ann", "tv", home, "TV")
		tv.want(tv.start("news"), EdgeFull)
		_, _, err := edges[0].Make(t.Context(), Play{User: "bob", Service: "live"})
		if err == nil {
			t.Error("made")
		}
		live.late.Store(false)
		time.Sleep(61 * time.Second)
		holds(t, live)
	})
}

// TestForgetful: the table forgets all, at once, without being out of reach. Nobody who listens is cut for it, though others were let in meanwhile.
func TestForgetful(t *testing.T) {
	live := newShared()
	house(t, 2, Options{Limits: perUser(1)}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		tv := edges[0].player("ann", "tv", home, "TV")
		tv.want(tv.start("news"), "")
		radio := edges[1].player("bob", "car", home, "Radio")
		on, v := radio.connect("kpcc")
		radio.want(v, "")
		for i := range 20 {
			flow(4*time.Second, on)
			tv.want(tv.next(i), "")
		}
		flow(time.Second, on) // not at the very moment when the seats are renewed, and he who had one gets it back
		live.forget()
		newcomer := edges[0].player("ann", "phone", phone, "Phone")
		newcomer.want(newcomer.start("news"), "")
		for i := range 40 {
			flow(4*time.Second, on)
			tv.want(tv.next(20+i), "")
		}
		if code := on.cut.Load(); code != nil {
			t.Errorf("the connection was cut: %v", *code)
		}
		other := edges[1].player("ann", "tablet", phone, "Tablet")
		other.want(other.start("news"), TooManySessions)
		other = edges[0].player("bob", "tablet", phone, "Tablet")
		other.want(other.start("news"), TooManySessions)
	})
}

// TestBanOutlivesForgetting: an edge that is new to a table that has just forgotten does not have the others forget too.
func TestBanOutlivesForgetting(t *testing.T) {
	live := newShared()
	house(t, 2, Options{}, live, func(t *testing.T, edges []*rig, open func() *rig) {
		time.Sleep(time.Minute)
		if _, err := edges[0].Ban(t.Context(), Ban{User: "ann", Until: time.Now().Add(time.Hour)}, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(65 * time.Second) // between two looks of the others
		live.forget()
		fresh := open() // it comes to the empty board first
		time.Sleep(time.Minute)
		for i, r := range append(edges, fresh) {
			p := r.player("ann", "tv", home, "TV")
			if v := p.start("news"); v.Code != Banned {
				t.Errorf("edge %d: %v %s", i, v.Action, v.Code)
			}
		}
		if t.Failed() {
			return
		}
		if err := edges[1].Unban(t.Context(), edges[1].Bans()[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		fresh.want(fresh.player("ann", "tv", home, "TV").start("news"), "")
	})
}

// TestNoteNobodyTakes: a note that the table does not take keeps this edge from nothing that others say.
func TestNoteNobodyTakes(t *testing.T) {
	live := newShared()
	house(t, 2, Options{}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		time.Sleep(time.Minute)
		live.full.Store(true)
		if _, err := edges[0].Ban(t.Context(), Ban{User: "bob", Until: time.Now().Add(time.Hour)}, ""); err != nil {
			t.Fatal(err)
		}
		body, _ := json.Marshal(Ban{ID: "x", User: "ann", Until: time.Now().Add(time.Hour)})
		if err := live.now().Post(t.Context(), session.Note{Kind: banNote, ID: "x", Until: time.Now().Add(time.Hour), Body: body}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		edges[0].want(edges[0].player("ann", "tv", home, "TV").start("news"), Banned)
		edges[0].want(edges[0].player("bob", "tv", home, "TV").start("news"), Banned)
	})
}

// TestRenewedAfterItWasForgotten: a session that is let in though this edge has just forgotten it is in the table again, and so is its seat renewed.
func TestRenewedAfterItWasForgotten(t *testing.T) {
	live := newShared()
	house(t, 1, Options{Limits: perUser(1)}, live, func(t *testing.T, edges []*rig, _ func() *rig) {
		radio := edges[0].player("ann", "car", home, "Radio")
		radio.kind = session.ICY
		v := radio.start("kpcc")
		radio.want(v, "")
		edges[0].Release(v.Session.Key)
		synctest.Wait()
		v = radio.Renew(t.Context(), v.Session, Visit{Address: radio.at(), Agent: radio.agent, Starts: true})
		radio.want(v, "")
		on := radio.listen(v.Session)
		flow(3*time.Minute, on)
		holds(t, live, radio.id)
	})
}
