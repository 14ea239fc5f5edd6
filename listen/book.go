package listen

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"earshot/session"
)

// Options of a Book. Zero values take the defaults in brackets.
type Options struct {
	Edge     string        // names this edge in events
	Slice    time.Duration // [30s] of listening in one event
	Idle     time.Duration // [5m] without anything heard, after which a session is over
	Log      *slog.Logger
	Metrics  *Metrics
	Recorder *Recorder
	Journal  *Journal // nil: open slices do not survive a kill
}

// settleEvery is how often transfers are settled and the journal is written: half of the second of listening that a
// killed process may lose.
const settleEvery = 500 * time.Millisecond

const bookShards = 64

// Book holds the accounts of all sessions that are heard through this edge. It is the Rewinder: Run turns open slices
// into events, each account every Slice; accounts are spread over the slice so that writes spread evenly.
type Book struct {
	opt    Options
	prefix string // of event ids: edge and boot
	seq    atomic.Uint64
	seed   maphash.Seed
	part   [bookShards]struct {
		mu       sync.Mutex
		accounts map[session.Key]*Account
	}
	kicked chan *Account // wants the journal to be written before the next tick

	journalOK atomic.Bool

	endedMu sync.Mutex
	ended   map[session.Key]Reason // of closed accounts, until they are finalised
}

// NewBook makes an empty Book. boot must be new with each start of the process.
func NewBook(opt Options, boot string) *Book {
	if opt.Slice <= 0 {
		opt.Slice = 30 * time.Second
	}
	if opt.Idle <= 0 {
		opt.Idle = 5 * time.Minute
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	b := &Book{opt: opt, prefix: opt.Edge + "-" + boot + "-", seed: maphash.MakeSeed(), kicked: make(chan *Account, 4096),
		ended: make(map[session.Key]Reason)}
	b.journalOK.Store(true)
	for i := range b.part {
		b.part[i].accounts = make(map[session.Key]*Account)
	}
	opt.Metrics.watch(b)
	return b
}

func (b *Book) now() time.Time { return time.Now() }

// eventID is the id of the seq-th event of this boot.
func (b *Book) eventID(seq uint64) string { return b.prefix + strconv.FormatUint(seq, 36) }

func (b *Book) shard(k session.Key) int {
	return int(maphash.Comparable(b.seed, k) % bookShards)
}

// Account is the account of a session, opened if it is not open yet.
func (b *Book) Account(who Who) *Account {
	p := &b.part[b.shard(who.Key)]
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[who.Key]
	if !ok {
		a = b.newAccount(who)
		p.accounts[who.Key] = a
	}
	return a
}

func (b *Book) newAccount(who Who) *Account {
	now := b.now().UnixMilli()
	who = who.clip(b.opt.Edge)
	a := &Account{book: b, gauge: b.opt.Metrics.stream(who), lastMS: now, startMS: now}
	a.who.Store(&who)
	return a
}

// Find is the open account of a session.
func (b *Book) Find(k session.Key) (*Account, bool) {
	p := &b.part[b.shard(k)]
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[k]
	return a, ok
}

// Start records the zero event with which a session of a master begins, under its group key.
func (b *Book) Start(who Who) {
	now := b.now().UnixMilli()
	who = who.clip(b.opt.Edge)
	seq := b.seq.Add(1)
	e := Event{ID: b.eventID(seq), FromMS: now, TimeMS: now, Who: who, Stream: who.Key.Group}
	if b.take(e) {
		return
	}
	// The recorder is full: the event waits as an open slice, as everything else does then.
	a := b.Account(who).lock()
	defer a.mu.Unlock()
	if m := a.meter(e.Stream); m.seq == 0 {
		*m = meter{stream: e.Stream, seq: seq, fromMS: now, timeMS: now}
		a.unwritten = true
	}
}

// Len is the number of open accounts.
func (b *Book) Len() int {
	n := 0
	for i := range b.part {
		b.part[i].mu.Lock()
		n += len(b.part[i].accounts)
		b.part[i].mu.Unlock()
	}
	return n
}

// Each calls f for every account until it returns false. Accounts may come and go meanwhile.
func (b *Book) Each(f func(*Account) bool) {
	var batch []*Account
	for i := range b.part {
		batch = b.accounts(i, batch[:0])
		for _, a := range batch {
			if !f(a) {
				return
			}
		}
	}
}

func (b *Book) accounts(shard int, batch []*Account) []*Account {
	p := &b.part[shard]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.accounts {
		batch = append(batch, a)
	}
	return batch
}

// kick asks for the account to be journalled soon. When too many ask, the next tick serves them all.
func (b *Book) kick(a *Account) {
	if b.opt.Journal == nil {
		return
	}
	select {
	case b.kicked <- a:
	default:
	}
}

// Run settles, journals and rewinds until ctx is done, then closes every slice into an event. It returns when the
// recorder has taken them all; the recorder must still be running.
func (b *Book) Run(ctx context.Context) {
	var done sync.WaitGroup
	done.Go(func() { b.runRewinder(ctx) })
	done.Go(func() { b.runJournal(ctx) })
	done.Wait()
	b.flush()
	b.opt.Journal.rotate(b)
}

// journalRest is how long those wait who ask to be journalled just after others have been: they are written together.
const journalRest = 20 * time.Millisecond

// runJournal settles all accounts with bodies on their way, every settleEvery, and journals what changed; and at
// once, or after journalRest, what was kicked.
func (b *Book) runJournal(ctx context.Context) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	var kicked chan *Account
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
			kicked = b.kicked
		case a := <-kicked:
			b.journalKicked(a)
			kicked = nil
			rest.Reset(journalRest)
		case <-tick.C:
			b.settleAll()
		}
	}
}

func (b *Book) journalKicked(a *Account) {
	for more := true; more; {
		b.opt.Journal.write(a)
		select {
		case a = <-b.kicked:
		default:
			more = false
		}
	}
	b.opt.Journal.flush(b)
}

func (b *Book) settleAll() {
	now := b.now()
	b.Each(func(a *Account) bool {
		if a.busy.Load() > 0 {
			a.mu.Lock()
			a.settle(now, false)
			a.mu.Unlock()
		}
		b.opt.Journal.write(a)
		return true
	})
	b.opt.Journal.flush(b)
}

// runRewinder visits one shard after another, all of them once a slice.
func (b *Book) runRewinder(ctx context.Context) {
	began := b.now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for turn := 1; ; turn++ {
		due := began.Add(b.opt.Slice * time.Duration(turn) / bookShards)
		timer.Reset(due.Sub(b.now()))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := b.now()
		b.opt.Metrics.lagged(now.Sub(due))
		b.rewindShard(turn%bookShards, now)
	}
}

func (b *Book) rewindShard(shard int, now time.Time) {
	for _, a := range b.accounts(shard, nil) {
		a.rewind(now, false, b.take)
		b.kick(a) // the store has the event soon: what it covers must be in the journal by then, or after a kill it would be heard twice
		b.drop(a, now.Add(-b.opt.Idle))
	}
}

// take hands a closed slice to the recorder, and to the journal as it is now: what that had of it may be half a second old.
func (b *Book) take(e Event) bool {
	b.opt.Journal.note(e) // if it is refused the slice grows on, and what is written of it later replaces this
	return b.opt.Recorder.Take(e)
}

// drop closes an account that has heard nothing since t.
func (b *Book) drop(a *Account, t time.Time) {
	p := &b.part[b.shard(a.who.Load().Key)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.closeIfIdle(t) {
		delete(p.accounts, a.who.Load().Key)
	}
}

// Discard forgets an account that has heard nothing and to which nothing is on its way. It reports whether it did.
func (b *Book) Discard(a *Account) bool {
	p := &b.part[b.shard(a.who.Load().Key)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accounts[a.who.Load().Key] != a || !a.closeUnheard() {
		return false
	}
	delete(p.accounts, a.who.Load().Key)
	return true
}

// flush closes every slice into an event, whatever the recorder holds already.
func (b *Book) flush() {
	b.Each(func(a *Account) bool {
		a.rewind(b.now(), true, b.opt.Recorder.push)
		return true
	})
}
