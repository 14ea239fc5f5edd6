package gate

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/auth"
	"earshot/session"
	"earshot/session/redislive"
)

// How long seats live: raceTTL must outlast what a busy machine has a process wait; mortalTTL is that of seats at an edge that is killed, whose end is waited for.
const (
	raceTTL   = 45 * time.Second
	mortalTTL = 3 * time.Second
)

// patient has claims be answered by Redis even where the gate has given up on them: on a busy machine this test would be about outages otherwise.
type patient struct {
	*redislive.Table
	mu    sync.Mutex
	asked map[session.Key]int // claims under way
}

func (p *patient) Claim(ctx context.Context, c *session.Claim) (session.Answer, error) {
	p.count(c.Seat.Key, 1)
	defer p.count(c.Seat.Key, -1)
	return p.Table.Claim(context.WithoutCancel(ctx), c)
}

func (p *patient) count(k session.Key, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked[k] += n; p.asked[k] == 0 {
		delete(p.asked, k)
	}
}

// idle waits until nothing is asked for a session.
func (p *patient) idle(k session.Key) {
	for {
		p.mu.Lock()
		n := p.asked[k]
		p.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// calm waits until an answer that came late has been dealt with: the seat that it gave may be about to be given back.
func (e *racer) calm(k session.Key) {
	e.live.idle(k)
	time.Sleep(time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	e.leaving.back(ctx, k)
}

// racer is one of the edges.
type racer struct {
	*Gate
	table  *session.Table
	live   *patient
	name   string
	mortal bool // it will be killed. Its seats may expire at any time
	killed atomic.Bool
	cancel context.CancelFunc
	done   chan struct{}
}

func openTable(t *testing.T, url string) *redislive.Table {
	t.Helper()
	live, err := redislive.Open(redislive.Options{URL: url, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	return live
}

func startRacer(t *testing.T, url, name string, policy session.Policy, ttl time.Duration) *racer {
	t.Helper()
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
	if err != nil {
		t.Fatal(err)
	}
	e := &racer{table: session.NewTable(50_000), live: &patient{Table: openTable(t, url), asked: make(map[session.Key]int)}, name: name,
		mortal: ttl != raceTTL, done: make(chan struct{})}
	e.Gate = New(Options{Table: e.table, Live: e.live, Many: true, Edge: name, Signer: signer, Limits: raceLimits, OnLimit: policy, SeatTTL: ttl,
		OnLiveError: LiveDeny, LiveTime: time.Minute}) // or on a busy machine this test would be about outages
	ctx, cancel := context.WithCancel(t.Context())
	e.cancel = cancel
	go func() { e.Run(ctx); close(e.done) }()
	t.Cleanup(e.kill)
	return e
}

// kill ends an edge so that it tells nobody anything any more.
func (e *racer) kill() {
	e.killed.Store(true)
	e.live.Close()
	e.cancel()
	<-e.done
}

// race is listeners who race for seats.
type race struct {
	t     *testing.T
	url   string
	edges []*racer
	watch *redislive.Table // of one who only looks
	books *books           // nil: of a policy that takes seats from those who have them
	asked atomic.Int64     // admissions
	again atomic.Int64     // times that one asked again, as the gate had not waited for the answer
	none  atomic.Int64     // of these, such as got no answer: their edge was killed

	mu   sync.Mutex
	seen int // number of listeners
	in   map[*hopeful]bool

	unknown []*hopeful // asked an edge that was killed before it answered
}

// hopeful is a listener who wants in.
type hopeful struct {
	user, device, group string
	address             netip.Addr
	edge                *racer
	id                  session.ID
	uses                []session.Use
	session             *session.Session
	asking              sync.Mutex
	retry               []string // termination codes
}

func newRace(t *testing.T, policy session.Policy) *race {
	url := "redis://127.0.0.1:" + startRedis(t).port
	r := &race{t: t, url: url, watch: openTable(t, url), in: make(map[*hopeful]bool)}
	for i := range 3 {
		r.edges = append(r.edges, startRacer(t, url, fmt.Sprintf("edge-%d", i), policy, raceTTL))
	}
	if policy != session.EndOldest {
		r.books = &books{t: t, of: make(map[string]*book)}
	}
	return r
}

// enters asks for a seat, as often as the table does not answer in time.
func (r *race) enters(h *hopeful) Verdict {
	r.asked.Add(1)
	r.mu.Lock()
	r.seen++
	h.id = session.ID(fmt.Sprintf("s%d", r.seen))
	if h.device == "" {
		h.device = fmt.Sprintf("d%d", r.seen)
	}
	r.mu.Unlock()
	l := session.Listener{UserID: h.user, DeviceID: h.device, Address: h.address, Agent: "Racer"}
	h.uses = h.edge.uses(&l, h.group, 0)
	if r.books != nil {
		r.books.asks(string(h.id), h.uses)
	}
	v := h.asks(r.t.Context(), l)
	for end := time.Now().Add(time.Minute); v.Code == EdgeFull && !h.edge.killed.Load() && time.Now().Before(end); {
		r.again.Add(1)
		h.edge.calm(session.Key{ID: h.id, Group: h.group})
		v = h.asks(r.t.Context(), l)
	}
	if v.Code == EdgeFull { // and nobody knows what the table would have said
		r.none.Add(1)
		r.mu.Lock()
		r.unknown = append(r.unknown, h)
		r.mu.Unlock()
		return v
	}
	if v.Action != Allow {
		if v.Code != TooManySessions && v.Code != ChooseSession {
			r.t.Errorf("%s: %s %s", h.id, v.Code, v.Detail)
		}
		if r.books != nil {
			r.books.refused(string(h.id), h.uses)
		}
		return v
	}
	h.session = v.Session
	if r.books != nil {
		r.books.granted(string(h.id), h.uses)
		if h.edge.mortal { // and who knows for how long
			r.books.leaves(h.uses)
		}
	}
	r.mu.Lock()
	r.in[h] = true
	r.mu.Unlock()
	return v
}

func (h *hopeful) asks(ctx context.Context, l session.Listener) Verdict {
	return h.edge.Admit(ctx, &Request{Key: session.Key{ID: h.id, Group: h.group}, Kind: session.HLS, Listener: l, Starts: true, Terminate: h.retry,
		Identity: auth.Identity{User: h.user, Device: h.device}})
}

// goes is a listener's next request.
func (h *hopeful) goes(ctx context.Context) Verdict {
	return h.edge.Renew(ctx, h.session, Visit{Address: h.address, Agent: "Racer", Piece: 1})
}

// leaves gives a seat back, in one of two ways, and returns when it is free.
func (r *race) leaves(h *hopeful, ended bool) {
	h.asking.Lock()
	defer h.asking.Unlock()
	r.mu.Lock()
	delete(r.in, h)
	r.mu.Unlock()
	if r.books != nil && !h.edge.mortal {
		r.books.leaves(h.uses)
	}
	if ended {
		if _, err := h.edge.End(r.t.Context(), h.id); err != nil {
			r.t.Errorf("end %s: %v", h.id, err)
		}
	} else {
		h.edge.Release(h.session.Key)
		h.edge.settled(r, h.id)
	}
	if r.books != nil {
		r.books.left(h.uses)
	}
}

// settled waits until a seat that was released is free.
func (e *racer) settled(r *race, id session.ID) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		seats, err := r.watch.Seats(r.t.Context(), "", id, 1)
		if err == nil && len(seats) == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Errorf("%s was released, and has a seat: %v", id, err)
			return
		}
	}
}

// holders are those who are in.
func (r *race) holders(only func(*hopeful) bool) (all []*hopeful) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h := range r.in {
		if only == nil || only(h) {
			all = append(all, h)
		}
	}
	return all
}

func (r *race) usage() (map[string]int, error) {
	all := make(map[string]int)
	for after := ""; ; {
		page, err := r.watch.Usage(r.t.Context(), after, 1000)
		if err != nil {
			return nil, err
		}
		for _, u := range page {
			all[u.Name], after = u.Taken, u.Name
			if u.Taken > u.Max {
				r.t.Errorf("%q has %d seats taken of %d", u.Name, u.Taken, u.Max)
			}
		}
		if len(page) < 1000 {
			return all, nil
		}
	}
}

func (r *race) mustUsage() map[string]int {
	all, err := r.usage()
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// observe looks at the table's own count, and has those who are in play, until stop is called.
func (r *race) observe(lose func(*hopeful, Verdict)) (stop func() (looks int)) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var both sync.WaitGroup
	looks := 0
	both.Go(func() {
		for ctx.Err() == nil {
			if _, err := r.usage(); err == nil {
				looks++
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	both.Go(func() {
		for ctx.Err() == nil {
			all := r.holders(nil)
			crowd(len(all), func(i int) { // not one after the other: who waits for his turn for too long loses his seat
				h := all[i]
				h.asking.Lock() // who leaves asks for nothing any more
				defer h.asking.Unlock()
				if !r.holds(h) {
					return
				}
				if v := h.goes(ctx); v.Action != Allow && !h.edge.mortal {
					lose(h, v)
				}
			})
			time.Sleep(mortalTTL / 5)
		}
	})
	return func() int { cancel(); both.Wait(); return looks }
}

// crowd has many do something at once.
func crowd(n int, do func(i int)) {
	var all sync.WaitGroup
	next := atomic.Int64{}
	for range 64 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// district is the part of a name that says which limit counts there.
func district(group string) string { d, _, _ := strings.Cut(group, "-"); return d }
