package gate

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"earshot/session"
)

// Sitting is an open connection of a session, which asks for nothing while it listens. The gate looks after it.
type Sitting struct {
	gate    *Gate
	session atomic.Pointer[session.Session]
	address netip.Addr
	agent   string
	taken   func() int64
	cut     func(Code)
	move    func(*session.Session)

	mu     sync.Mutex
	had    int64 // of taken, when it was asked last
	active time.Time
	gone   bool
	over   Code // why it was cut
}

// Seated is what the gate is told of a connection.
type Seated struct {
	Visit Visit
	Taken func() int64           // bytes that have reached the listener
	Cut   func(Code)             // closes the connection; it must not block
	Move  func(*session.Session) // the connection is another session's from now on: its listener used that one's id
}

// sittings are the open connections, by session.
type sittings struct {
	mu  sync.Mutex
	all map[*session.Session][]*Sitting
}

func (t *sittings) init() { t.all = make(map[*session.Session][]*Sitting) }

// Sit has the gate look after a connection of a session that was admitted, until Leave.
func (g *Gate) Sit(s *session.Session, of Seated) *Sitting {
	now := time.Now()
	sit := &Sitting{gate: g, address: of.Visit.Address, agent: of.Visit.Agent, taken: of.Taken, cut: of.Cut, move: of.Move, active: now}
	if l := s.Listener(); l.Agent == sit.agent {
		sit.agent = l.Agent // one copy for both
	}
	sit.session.Store(s)
	g.sittings.add(s, sit)
	return sit
}

func (sit *Sitting) visit() Visit { return Visit{Address: sit.address, Agent: sit.agent} }

// Check is called when the connection can be cut: the session may have been ended, or a rule come, while it was let in.
func (sit *Sitting) Check() {
	sit.mu.Lock()
	over := sit.over
	sit.mu.Unlock()
	if over != "" {
		sit.cut(over) // the first time there was nothing to close yet
		return
	}
	s := sit.session.Load()
	if now := time.Now(); s.Lease.Until.Load() <= now.UnixMilli() || s.Lease.Judged.Load() != sit.gate.stamp.Load() {
		sit.gate.background.Go(func() { sit.gate.look(s, time.Now()) })
	}
}

// Leave is called when the connection is closed. With the last one the seat is given back, or left to expire if an app made it.
func (sit *Sitting) Leave() {
	g := sit.gate
	sit.mu.Lock()
	sit.gone = true
	s := sit.session.Load()
	sit.mu.Unlock()
	if g.sittings.remove(s, sit) > 0 {
		return
	}
	s.Lease.Mu.Lock()
	if g.sittings.count(s) > 0 {
		s.Lease.Mu.Unlock()
		return // he is back
	}
	if s.Lease.Seated {
		s.Lease.Seated = false
		if !s.App {
			g.free(s.Key)
		} // else it lapses: the app says Stop, and who only reconnects, or changes the station, finds whose it is
	}
	s.Lease.Lapse()
	answered := s.Lease.Ticket != ""
	s.Lease.Mu.Unlock()
	if answered { // who answers for him counts connections, and is asked again when he comes back
		g.table.Drop(s)
		g.removed(s)
	}
}

func (t *sittings) add(s *session.Session, sit *Sitting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[s] = append(t.all[s], sit)
}

// remove returns how many are left.
func (t *sittings) remove(s *session.Session, sit *Sitting) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.all[s]
	for i := range list {
		if list[i] == sit {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(t.all, s)
	} else {
		t.all[s] = list
	}
	return len(list)
}

func (t *sittings) of(s *session.Session) []*Sitting {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[s]
}

func (t *sittings) count(s *session.Session) int { return len(t.of(s)) }

func (t *sittings) sessions() []*session.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*session.Session, 0, len(t.all))
	for s := range t.all {
		out = append(out, s)
	}
	return out
}

// cut closes the connections of a session. They are as good as gone.
func (t *sittings) cut(s *session.Session, why Code) {
	t.mu.Lock()
	list := t.all[s]
	delete(t.all, s)
	t.mu.Unlock()
	for _, sit := range list {
		sit.close(why)
	}
}

// close cuts the connection.
func (sit *Sitting) close(why Code) {
	sit.mu.Lock()
	sit.over = why
	sit.mu.Unlock()
	sit.cut(why)
}

// later looks at a session with open connections whose seat was taken over: if it goes on listening it wants one of its own.
func (t *sittings) later(g *Gate, s *session.Session, wait time.Duration) {
	if t.count(s) == 0 {
		return
	}
	time.AfterFunc(wait, func() {
		if now := time.Now(); g.goesOn(s, now) {
			g.look(s, now)
		}
	})
}

// goesOn tells whether somebody listens on the session's connections though its seat was taken over.
func (g *Gate) goesOn(s *session.Session, now time.Time) bool {
	last := g.heardLast(s, now)
	s.Lease.Mu.Lock()
	defer s.Lease.Mu.Unlock()
	return !s.Lease.Seated && last.After(s.Lease.Lost)
}

// progress notes whether the listener has taken anything since it was asked last, and returns when he last had.
func (sit *Sitting) progress(now time.Time) time.Time {
	sit.mu.Lock()
	defer sit.mu.Unlock()
	if n := sit.taken(); n != sit.had {
		sit.had, sit.active = n, now
	}
	return sit.active
}

// heardLast is when somebody on the session's connections last took anything, as far as was looked.
func (g *Gate) heardLast(s *session.Session, now time.Time) (last time.Time) {
	for _, sit := range g.sittings.of(s) {
		if at := sit.progress(now); at.After(last) {
			last = at
		}
	}
	return last
}

// look judges a session with open connections again. What it may not do any longer ends them.
func (g *Gate) look(s *session.Session, now time.Time) {
	if g.sittings.count(s) == 0 {
		return
	}
	s.Lease.Mu.Lock()
	v := g.settle(context.Background(), s, asked{}, now)
	s.Lease.Mu.Unlock()
	if v.Action != Allow {
		g.sittings.cut(s, v.Code)
	}
}

// judgeSeated judges all who hold a connection open.
func (g *Gate) judgeSeated() {
	now := time.Now()
	for _, s := range g.sittings.sessions() {
		if s.Lease.Judged.Load() != g.stamp.Load() {
			g.look(s, now)
		}
	}
}

// tell has a session's connections be told apart: those of one listener, and those of others who use its id. It is called a few times within SeatTTL.
func (g *Gate) tell(s *session.Session, now time.Time) {
	if g.sittings.count(s) > 1 {
		g.tellFrom(s, 0, now)
	}
}

// tellFrom is tell, with a face that listens on another edge.
func (g *Gate) tellFrom(s *session.Session, elsewhere uint64, now time.Time) {
	piece := uint64(now.UnixNano()) | 1 // they are all sent the same at the same time
	if elsewhere != 0 {
		s.Gather().Note(elsewhere, piece, now, g.opt.SeatTTL)
	}
	for _, sit := range g.sittings.of(s) {
		if !sit.progress(now).Equal(now) {
			continue // he takes nothing: it is a connection that nobody has closed yet
		}
		face := session.FaceOf(sit.address, sit.agent)
		if id, another := s.Gather().Note(face, piece, now, g.opt.SeatTTL); another {
			sit.part(s, g.part(context.Background(), s, sit.visit(), face, id))
			g.handBack(s, face)
		}
	}
}

// handBack charges a session to who listens on: it was handed to one who then turned out to be another, and no request hands it back.
func (g *Gate) handBack(s *session.Session, from uint64) {
	if s.Face() != from {
		return
	}
	for _, sit := range g.sittings.of(s) {
		if session.FaceOf(sit.address, sit.agent) != from {
			g.handOver(s, sit.visit())
			return
		}
	}
}

// part has a connection go on as another session's.
func (sit *Sitting) part(from *session.Session, v Verdict) {
	if v.Action != Allow {
		sit.close(v.Code)
		return
	}
	if sit.movesTo(from, v.Session) {
		sit.move(v.Session)
	}
}

// movesTo has the connection be another session's, unless it is closed or about to be. Leave, which may come meanwhile, finds it with the one or the other.
func (sit *Sitting) movesTo(from, to *session.Session) bool {
	sit.mu.Lock()
	defer sit.mu.Unlock()
	if sit.gone || sit.over != "" {
		return false
	}
	sit.gate.sittings.remove(from, sit)
	sit.gate.sittings.add(to, sit)
	sit.session.Store(to)
	return true
}
