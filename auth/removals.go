package auth

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

const (
	maxRemovals   = 65_536 // in memory, until the store has taken them; and as many of sessions that have begun
	removalBatch  = 500
	removalsAtOne = 8 // deliveries at a time
	removalsDue   = 64
	removalLook   = 2 * time.Second
	removalFirst  = 5 * time.Second // until a second attempt
	removalLast   = 10 * time.Minute
	removalLife   = 7 * 24 * time.Hour
	storeTimeout  = 5 * time.Second
)

// removals takes the sessions that are over, keeps them in the store, and tells the backend. Who was told is known to the store only: a
// removal may be told twice, and is never left out. So that a killed process leaves none out, those of sessions that go on are in the store, too
// (tickets.go).
type removals struct {
	store   Removals
	tell    func(context.Context, *Removal) error
	idle    time.Duration // how long what an earlier process left waits for its session
	log     *slog.Logger
	metrics *Metrics
	added   chan struct{} // there is something to keep
	opened  chan struct{} // there is something to keep soon
	kept    chan struct{} // there is something to tell

	storing sync.Mutex // one at a time writes what waits in memory

	mu      sync.Mutex
	queue   []Removal          // that are over
	open    map[int64]*Removal // that are not, and not in the store yet. Nobody changes what it points to
	last    int64              // the ID given last
	held    map[place][]*held
	waiting []*held // that an earlier process left, in order of ID, until it is looked whether their sessions came back
	most    int     // of those in memory
	room    int     // for what is open and not in the store
	rest    int64   // those beyond this ID were left, too, and not taken into memory; 0: there are none
	born    int64   // what was left has lower IDs
	lost    int     // since that was logged
	logged  time.Time
}

func newRemovals(store Removals, tell func(context.Context, *Removal) error, log *slog.Logger, metrics *Metrics) *removals {
	if store == nil {
		store = &inMemory{}
	}
	return &removals{store: store, tell: tell, log: log, metrics: metrics, added: make(chan struct{}, 1), opened: make(chan struct{}, 1),
		kept: make(chan struct{}, 1), open: make(map[int64]*Removal), held: make(map[place][]*held), most: maxHeld, room: maxRemovals}
}

// own has a removal keep nothing alive of what it was made of, which may be part of a request's head.
func (m *Removal) own() {
	for s, most := range map[*string]int{&m.SessionID: maxText, &m.Group: maxPath, &m.Kind: maxText, &m.Path: maxPath, &m.Host: maxText,
		&m.User: maxText, &m.Ticket: MaxTicket, &m.Address: maxText, &m.Agent: maxAgent} {
		*s = strings.Clone(clip(*s, most))
	}
}

// number is the ID of another removal: higher than all before, those of earlier processes too as long as the clock is not put back. The caller holds r.mu.
func (r *removals) number() int64 {
	r.last = max(r.last+1, time.Now().UnixNano())
	return r.last
}

// add takes a removal, and waits for nobody.
func (r *removals) add(one Removal) {
	one.own()
	if one.At.IsZero() {
		one.At = time.Now()
	}
	one.Next, one.Open = time.Now(), false
	r.mu.Lock()
	if one.ID == 0 {
		one.ID = r.number()
	}
	delete(r.open, one.ID)
	full := len(r.queue) >= maxRemovals
	if !full {
		r.queue = append(r.queue, one)
		r.metrics.setWaiting(len(r.queue))
	}
	r.mu.Unlock()
	if full {
		r.lose(1, "the store does not take them")
		return
	}
	poke(r.added)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lose counts removals that the backend will not be told of, and logs now and then.
func (r *removals) lose(n int, why string) {
	r.metrics.lose(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost += n
	if time.Since(r.logged) < 10*time.Second {
		return
	}
	r.log.Error("the auth callback will not be told of sessions that are over", "sessions", r.lost, "err", why)
	r.lost, r.logged = 0, time.Now()
}

func (r *removals) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { r.keep(ctx) })
	all.Go(func() { r.deliver(ctx) })
	all.Go(func() { r.settle(ctx) })
	all.Wait()
	last, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := r.flush(last); err != nil {
		r.log.Warn("removals cannot be stored", "err", err)
	}
}

// keep puts what is added into the store.
func (r *removals) keep(ctx context.Context) {
	var soon <-chan time.Time // what was opened is stored then, with what others open meanwhile
	for failures := 0; ; {
		added, opened, due := r.added, r.opened, soon
		if failures > 0 {
			added, opened, due = nil, nil, nil
		}
		select {
		case <-ctx.Done():
			return
		case <-opened:
			if soon == nil {
				soon = time.After(openLag)
			}
			continue
		case <-added:
		case <-due:
		case <-after(failures):
		}
		soon = nil
		err := r.flush(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			if failures++; failures == 1 {
				r.log.Warn("removals cannot be stored; they wait in memory", "err", err)
			}
		}
	}
}

// after fires when something that failed so often is tried again; never for what did not.
func after(failures int) <-chan time.Time {
	if failures == 0 {
		return nil
	}
	return time.After(backoff(failures-1, backoffFirst, backoffLast))
}

// flush puts into the store what waits in memory.
func (r *removals) flush(ctx context.Context) error {
	r.storing.Lock()
	defer r.storing.Unlock()
	for {
		batch, open := r.batch()
		if len(batch) == 0 {
			return nil
		}
		part, cancel := context.WithTimeout(ctx, storeTimeout)
		err := r.store.AddRemovals(part, batch)
		cancel()
		if err != nil {
			return err
		}
		r.stored(len(batch)-len(open), open)
	}
}

// batch is what is stored next: what is over, and then what is open, if there is room. A session that ends while it is written is stored after.
func (r *removals) batch() (all []Removal, open []*Removal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all = append(all, r.queue[:min(len(r.queue), removalBatch)]...)
	for _, m := range r.open {
		if len(all) == removalBatch {
			break
		}
		all, open = append(all, *m), append(open, m)
	}
	return all, open
}

func (r *removals) stored(over int, open []*Removal) {
	r.mu.Lock()
	if r.queue = r.queue[over:]; len(r.queue) == 0 {
		r.queue = nil
	}
	for _, m := range open {
		delete(r.open, m.ID)
	}
	r.metrics.setWaiting(len(r.queue))
	r.mu.Unlock()
	if over > 0 {
		poke(r.kept)
	}
}

// close stores what is still in memory.
func (r *removals) close() {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := r.flush(ctx)
	r.mu.Lock()
	left := len(r.queue)
	r.mu.Unlock()
	if err != nil && left > 0 {
		r.lose(left, err.Error())
	}
}

// deliver tells the backend what is due.
func (r *removals) deliver(ctx context.Context) {
	failures, told := 0, false
	for {
		n, err := r.due(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures, told = 0, false
		} else if failures++; !told {
			told = true
			r.log.Warn("removals are not delivered; they are kept and tried again", "err", err)
		}
		if n == removalsDue && err == nil {
			continue
		}
		pause := removalLook
		kept := r.kept
		if err != nil {
			pause, kept = backoff(failures-1, backoffFirst, backoffLast), nil
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-kept:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// due delivers a batch. It fails when the store does, or the backend for all of the batch: others need not be tried then for a while.
func (r *removals) due(ctx context.Context) (int, error) {
	part, cancel := context.WithTimeout(ctx, storeTimeout)
	batch, err := r.store.DueRemovals(part, time.Now(), removalsDue)
	cancel()
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	errs := make([]error, len(batch))
	stores := make([]error, len(batch))
	var all sync.WaitGroup
	next := make(chan int)
	for range min(removalsAtOne, len(batch)) {
		all.Go(func() {
			for i := range next {
				errs[i], stores[i] = r.one(ctx, &batch[i])
			}
		})
	}
	for i := range batch {
		next <- i
	}
	close(next)
	all.Wait()
	failed := 0
	for i := range batch {
		if stores[i] != nil {
			return len(batch), stores[i]
		}
		if errs[i] != nil {
			failed, err = failed+1, errs[i]
		}
	}
	if failed == len(batch) {
		return len(batch), err
	}
	return len(batch), nil
}

// one tells the backend of one, and the store how that went.
func (r *removals) one(ctx context.Context, m *Removal) (told, stored error) {
	told = r.tell(ctx, m)
	if ctx.Err() != nil && told != nil {
		return told, nil
	}
	// What was told is to be forgotten, even if everything ends now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	switch {
	case told == nil:
		r.metrics.told(true)
		return nil, r.store.DropRemoval(ctx, m.ID)
	case time.Since(m.At) > removalLife:
		r.lose(1, told.Error())
		return told, r.store.DropRemoval(ctx, m.ID)
	}
	r.metrics.told(false)
	wait := backoff(m.Tries, removalFirst, removalLast)
	return told, r.store.RetryRemoval(ctx, m.ID, m.Tries+1, time.Now().Add(wait+rand.N(time.Second)))
}
